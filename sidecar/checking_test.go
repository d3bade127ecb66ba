package sidecar

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/state"
	"github.com/ripplebak/ripplebak/storage/local"
)

func somePacks(n int) []repository.PackInfo {
	packs := make([]repository.PackInfo, n)
	for i := range packs {
		packs[i].Size = 8 << 20
		binary.BigEndian.PutUint32(packs[i].ID[:], uint32(i+1))
	}
	return packs
}

func noted(t *testing.T, packs []repository.PackInfo, now time.Time) *state.PackTimes {
	t.Helper()
	times, err := state.At(t.TempDir()).PackTimes("id")
	if err != nil {
		t.Fatal(err)
	}
	note(times, packs, now)
	return times
}

func note(times *state.PackTimes, packs []repository.PackInfo, now time.Time) {
	times.Note(func(yield func([32]byte) bool) {
		for _, p := range packs {
			if !yield(p.ID) {
				return
			}
		}
	}, now)
}

func TestTurnsTakeSuspectsThenTheLeastRecentlyRead(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	packs := somePacks(5)
	times := noted(t, packs[:4], now) // the fifth is not known at all
	times.Read(packs[0].ID, now.Add(3*time.Hour))
	times.Read(packs[1].ID, now.Add(2*time.Hour))
	times.Read(packs[2].ID, now.Add(4*time.Hour))
	got := turns(packs, times, []string{packs[2].ID.String()})
	want := []repository.PackInfo{packs[2], packs[4], packs[3], packs[1], packs[0]}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	// What was read comes behind what was only seen at the same time.
	times.Read(packs[3].ID, now)
	note(times, packs, now)
	if got := turns(packs, times, nil); got[0] != packs[4] || got[1] != packs[3] {
		t.Errorf("seen or read at once: %v", got)
	}
	// Without a record, repeated choices come around all the same.
	seen := map[repository.ID]bool{}
	for range 200 {
		seen[turns(packs, nil, nil)[0].ID] = true
	}
	if len(seen) != len(packs) {
		t.Errorf("of %d packs, %d came first", len(packs), len(seen))
	}
}

// TestEverythingIsReadWithinThePeriod simulates months of scheduled checks of a
// repository that grows, shrinks, is not checked for a while, and whose record
// is lost once.
func TestEverythingIsReadWithinThePeriod(t *testing.T) {
	const period, interval = 30 * 24 * time.Hour, 7 * 24 * time.Hour
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	packs := somePacks(400)
	born := map[repository.ID]time.Time{} // or read last
	for _, p := range packs {
		born[p.ID] = now
	}
	times := noted(t, packs, now)
	most := 0
	for week := range 60 {
		if week == 30 {
			times = noted(t, nil, now)
			for id := range born {
				born[id] = now // the promise begins anew
			}
		}
		if week%3 == 0 { // ten are pruned, forty come
			packs = packs[10:]
			for _, p := range somePacks(1000 + 40*(week+1))[1000+40*week:] {
				packs = append(packs, p)
				born[p.ID] = now
			}
		}
		note(times, packs, now)
		chosen := share(turns(packs, times, nil), times, nil, now, now.Add(interval), period)
		for _, p := range chosen {
			times.Read(p.ID, now)
			born[p.ID] = now
		}
		if week < 30 {
			most = max(most, len(chosen)*100/len(packs))
		}
		now = now.Add(interval)
		for _, p := range packs {
			if now.Sub(born[p.ID]) > period {
				t.Fatalf("week %d: a pack was not read for %s", week, now.Sub(born[p.ID]))
			}
		}
	}
	if most > 45 {
		t.Errorf("one check read %d %% of all", most)
	}
	if got := share(packs, times, nil, now, now.Add(2*period), period); len(got) != len(packs) {
		t.Errorf("checks that are rarer than the period read %d of %d packs", len(got), len(packs))
	}
	if got := share(packs, nil, nil, now, now.Add(interval), period); len(got) == 0 || len(got) > len(packs)/4+1 {
		t.Errorf("without a record %d of %d packs are read", len(got), len(packs))
	}
}

func TestItemAt(t *testing.T) {
	for path, want := range map[string][2]string{
		"/shop/volumes/data/a/b":             {"volume data", "a/b"},
		"/shop/volumes/data":                 {"volume data", ""},
		"/shop/volumes":                      {"", "/shop/volumes"},
		"/shop/dumps/db/shop.dump":           {"dump db/shop", "shop.dump"},
		"/shop/dumps/db/a%2Fb.dump":          {"dump db/a/b", "a%2Fb.dump"},
		"/shop/dumps/db/globals.sql":         {"dump db (globals)", "globals.sql"},
		"/shop/dumps/db":                     {"dump db", ""},
		"/shop/binds/app/etc%2Fx/y":          {"bind app:etc/x", "y"},
		"/shop/binds/app":                    {"bind app", ""},
		"/shop/config/compose.yaml":          {"config", "compose.yaml"},
		"/shop/ripplebak.json":               {"", "/shop/ripplebak.json"},
		"/other/volumes/data/a":              {"", "/other/volumes/data/a"},
		"/":                                  {"", "/"},
		"/shop/elsewhere/x/y":                {"", "/shop/elsewhere/x/y"},
		"/shop/volumes/" + "data%0A/a%2Fb/c": {"volume data\n", "a%2Fb/c"},
	} {
		if key, below := itemAt("shop", path); key != want[0] || below != want[1] {
			t.Errorf("%s: %q, %q; want %q", path, key, below, want)
		}
	}
	if key, below := itemAt("", "/shop/volumes/data/a"); key != "" || below != "/shop/volumes/data/a" {
		t.Errorf("of no project: %q, %q", key, below)
	}
}

// cheap makes the repository with a key that is derived in no time.
func (s *shop) cheap() {
	s.t.Helper()
	store, err := local.Open(s.path("repo"), local.Options{})
	if err == nil {
		err = repository.Init(s.t.Context(), store.Reader(), store.Writer(), s.app.Settings.Password, repository.InitOptions{KDF: repository.KDF{N: 1024, R: 8, P: 1}})
		err = errors.Join(err, store.Close())
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// noise is data that does not compress, the same for the same seed.
func noise(seed byte, size int) []byte {
	out := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(out) // never fails
	return out
}

// largest is the largest pack of the shop's repository.
func (s *shop) largest() string {
	s.t.Helper()
	var path string
	var size int64
	err := filepath.Walk(s.path("repo", "data"), func(p string, i os.FileInfo, err error) error {
		if err == nil && i.Mode().IsRegular() && i.Size() > size {
			path, size = p, i.Size()
		}
		return err
	})
	if err != nil || path == "" {
		s.t.Fatalf("no pack: %v", err)
	}
	return path
}

// TestCheckRemembersDamage: damage is remembered for health until a check has
// shown that it is gone, and what is lost is named by items.
func TestCheckRemembersDamage(t *testing.T) {
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true"}, "data")
	s.cheap()
	if err := os.WriteFile(s.path("volumes", "shop_data", "big"), noise(1, 700_000), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	check := func(opt CheckOptions, damaged bool) *CheckReport {
		t.Helper()
		r, err := s.app.Check(t.Context(), opt)
		if r == nil || errors.Is(err, ErrDamaged) != damaged || !damaged && err != nil {
			t.Fatalf("%+v: %v", opt, err)
		}
		return r
	}
	remembered := func(want bool) {
		t.Helper()
		h := s.history().Check
		if (h.Damage != nil) != want || (h.Healthy() != nil) != want || h.Last.IsZero() {
			t.Errorf("damage is remembered: %v, want %v: %+v", h.Damage != nil, want, h)
		}
	}
	if r := check(CheckOptions{ReadData: true}, false); r.PacksRead == 0 || len(r.Lost) > 0 {
		t.Errorf("%+v", r)
	}
	remembered(false)

	pack := s.largest()
	whole, err := os.ReadFile(pack)
	if err != nil {
		t.Fatal(err)
	}
	bad := slices.Clone(whole)
	for i := range len(bad) - 2000 {
		bad[i] ^= 1
	}
	if err := errors.Join(os.Chmod(pack, 0o600), os.WriteFile(pack, bad, 0o600)); err != nil {
		t.Fatal(err)
	}
	check(CheckOptions{}, false) // the structure is as it was
	remembered(false)
	r := check(CheckOptions{ReadData: true}, true)
	if len(r.Lost) == 0 || r.Lost[0].Item != "volume data" || r.Lost[0].Project != "shop" || r.Lost[0].Files == 0 || !slices.Contains(r.Lost[0].Paths, "big") {
		t.Errorf("lost: %+v", r.Lost)
	}
	if len(r.BadPacks) != 1 || r.BadPacks[0] != filepath.Base(pack) {
		t.Errorf("bad packs: %q", r.BadPacks)
	}
	remembered(true)
	check(CheckOptions{}, false)
	remembered(true) // it was not looked at
	check(CheckOptions{Subset: "1"}, true)
	remembered(true) // the damaged pack comes first
	if err := os.WriteFile(pack, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	check(CheckOptions{Subset: "1"}, false)
	remembered(false)
	if _, err := s.app.Check(t.Context(), CheckOptions{Subset: "0%"}); err == nil || !strings.Contains(err.Error(), "2.5%") {
		t.Errorf("a subset that is none: %v", err)
	}
}
