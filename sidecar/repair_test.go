package sidecar

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/storage/local"
)

// damagedShop is a project of two volumes with one snapshot, of which a bit of
// one volume's file "big" is flipped.
func damagedShop(t *testing.T) *shop {
	t.Helper()
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true"}, "data", "more")
	s.cheap()
	if err := os.WriteFile(s.path("volumes", "shop_data", "big"), noise(1, 700_000), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	pack := s.largest()
	b, err := os.ReadFile(pack)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := errors.Join(os.Chmod(pack, 0o600), os.WriteFile(pack, b, 0o600)); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *shop) repair(opt RepairOptions) *RepairReport {
	s.t.Helper()
	r, err := s.app.Repair(s.t.Context(), opt)
	if err != nil {
		s.t.Fatalf("repair %s: %v", opt.What, err)
	}
	return r
}

// TestRepairNamesWhatIsLostAndKeepsTheRest: from damage to a repository that is
// whole, with the items' states as they are now.
func TestRepairNamesWhatIsLostAndKeepsTheRest(t *testing.T) {
	s := damagedShop(t)
	if _, err := s.app.Check(t.Context(), CheckOptions{ReadData: true}); !errors.Is(err, ErrDamaged) {
		t.Fatalf("check: %v", err)
	}
	// A dry run and a "no" change nothing.
	before := s.files(s.path("repo", "index"))
	if r := s.repair(RepairOptions{What: RepairPacks, DryRun: true}); r.Done || len(r.Steps) != 2 || r.Steps[0].Do != "salvage" || r.Steps[0].Lost != 1 || r.Steps[0].Blobs == 0 {
		t.Errorf("dry run: %+v", r)
	}
	asked := 0
	_, err := s.app.Repair(t.Context(), RepairOptions{What: RepairPacks, Confirm: func(*RepairReport) error { asked++; return ErrDeclined }})
	if !errors.Is(err, ErrDeclined) || asked != 1 || !slices.Equal(before, s.files(s.path("repo", "index"))) {
		t.Errorf("declined: %v, asked %d times", err, asked)
	}

	r := s.repair(RepairOptions{What: RepairPacks})
	if !r.Done || len(r.Lost) != 1 || r.Lost[0].Item != "volume data" || !slices.Equal(r.Lost[0].Paths, []string{"big"}) {
		t.Errorf("packs: %+v", r)
	}
	if h := s.history().Check; h.Damage == nil {
		t.Error("health forgot that the snapshot has lost something")
	}
	r = s.repair(RepairOptions{What: RepairSnapshots})
	if len(r.Written) != 1 || len(r.Lost) != 1 || r.Lost[0].Files != 1 || s.snapshots() != 2 {
		t.Errorf("snapshots: %+v", r)
	}
	s.wantRestated(r.Written[0])
	if r = s.repair(RepairOptions{What: RepairSnapshots, Forget: true}); len(r.Written) != 0 || s.snapshots() != 1 {
		t.Errorf("forget: %+v, %d snapshots", r, s.snapshots())
	}
	if _, err := s.app.Check(t.Context(), CheckOptions{ReadData: true}); err != nil {
		t.Errorf("check: %v", err)
	}
	if h := s.history().Check; h.Healthy() != nil {
		t.Errorf("health: %v", h.Healthy())
	}
	if left := s.files(s.path("repo", "locks")); len(left) > 0 {
		t.Errorf("locks are left: %q", left)
	}
	if r := s.repair(RepairOptions{What: RepairIndex, Confirm: func(*RepairReport) error { return ErrDeclined }}); len(r.Steps) != 0 {
		t.Errorf("of a whole repository: %+v", r.Steps)
	}
}

// wantRestated demands that the project's newest snapshot is the new one, in
// which the volume is good no more and the other still is.
func (s *shop) wantRestated(w RewrittenSnapshot) {
	t := s.t
	t.Helper()
	v, err := s.app.openVault(t.Context(), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := v.close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	if err := v.repo.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := s.app.projectSnapshots(t.Context(), v.repo, "shop")
	if err != nil || len(list) != 1 || list[0].ID.String() != w.New {
		t.Fatalf("the project's snapshots: %+v, %v", list, err)
	}
	if !list[0].HasTag(TagIncomplete) || !list[0].HasTag(repository.TagRepaired) || list[0].Original == nil || list[0].Original.String() != w.Old {
		t.Errorf("%+v", list[0].Snapshot)
	}
	m, err := loadManifest(t.Context(), v.repo, &list[0].Snapshot, "shop")
	if err != nil {
		t.Fatal(err)
	}
	data, _ := m.Find("volume data")
	more, _ := m.Find("volume more")
	if data.State != manifest.Partial || data.Error == "" || !slices.Equal(data.VolumeInfo.Unreadable, []string{"big"}) || data.VolumeInfo.UnreadableCount != 1 || data.Files != 1 || data.Bytes != int64(len("content of data")) {
		t.Errorf("data: %+v %+v", data, data.VolumeInfo)
	}
	if more.State != manifest.Good || more.Files != 1 {
		t.Errorf("more: %+v", more)
	}
	if _, err := v.repo.HasAll(t.Context(), *list[0].Tree); err != nil {
		t.Error(err)
	}
}

func TestRepairOfNonsense(t *testing.T) {
	s := newShop(t)
	s.cheap()
	if _, err := s.app.Repair(t.Context(), RepairOptions{What: "everything"}); err == nil {
		t.Error("a repair of everything")
	}
	if _, err := s.app.Repair(t.Context(), RepairOptions{What: RepairPacks, Packs: []string{"0a1b"}}); err == nil || !strings.Contains(err.Error(), "check --read-data") {
		t.Errorf("an ID that is none: %v", err)
	}
}

func TestSpoil(t *testing.T) {
	items := func() *manifest.Manifest {
		return &manifest.Manifest{Items: []manifest.Item{
			{Kind: manifest.Dump, Service: "db", Name: "a", State: manifest.Good, DumpInfo: &manifest.DumpInfo{Files: []manifest.DumpFile{{Name: "a.dump"}}}},
			{Kind: manifest.Dump, Service: "db", Name: "b", State: manifest.Good, DumpInfo: &manifest.DumpInfo{Files: []manifest.DumpFile{{Name: "b.dump"}, {Name: "b.json"}}}},
			{Kind: manifest.Volume, Name: "data", State: manifest.Good, Files: 5, Bytes: 100, VolumeInfo: &manifest.VolumeInfo{}},
			{Kind: manifest.Volume, Name: "database", State: manifest.Skipped, VolumeInfo: &manifest.VolumeInfo{}},
		}}
	}
	for _, tt := range []struct {
		lost repository.LostPath
		want string // the states of a, b, data, database
	}{
		{repository.LostPath{Path: "/shop/dumps/db/a.dump", Files: 1}, "failed good good skipped"},
		{repository.LostPath{Path: "/shop/dumps/db/b.json", Files: 1}, "good failed good skipped"},
		{repository.LostPath{Path: "/shop/dumps/db", Folder: true}, "failed failed good skipped"},
		{repository.LostPath{Path: "/shop/dumps", Folder: true}, "failed failed good skipped"},
		{repository.LostPath{Path: "/shop", Folder: true}, "failed failed failed skipped"},
		{repository.LostPath{Path: "/", Folder: true}, "failed failed failed skipped"},
		{repository.LostPath{Path: "/shop/volumes/data", Folder: true}, "good good failed skipped"},
		{repository.LostPath{Path: "/shop/volumes/data/x/y", Files: 1, Size: 7}, "good good partial skipped"},
		{repository.LostPath{Path: "/shop/volumes/data/x", Folder: true}, "good good partial skipped"},
		{repository.LostPath{Path: "/shop/ripplebak.json", Files: 1}, "good good good skipped"},
		{repository.LostPath{Path: "/other/volumes/data/x", Files: 1}, "good good good skipped"},
	} {
		m := items()
		spoilPath(m, "shop", tt.lost)
		var got []string
		for _, it := range m.Items {
			got = append(got, string(it.State))
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %q, want %q", tt.lost.Path, got, tt.want)
		}
	}
	m := items()
	spoilPath(m, "shop", repository.LostPath{Path: "/shop/volumes/data/x/", Files: 3})
	if v := m.Items[2].VolumeInfo; v.UnreadableCount != 3 || len(v.Unreadable) != 0 || m.Items[2].Files != 2 {
		t.Errorf("files without names: %+v", m.Items[2])
	}
}

// TestUnlock: stale locks go, whosever they are; living ones only when asked
// for, and confirmed.
func TestUnlock(t *testing.T) {
	s := newShop(t)
	s.cheap()
	store, err := local.Open(s.path("repo"), local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // nothing is written
	h := s.host()
	lock := func(host string, now time.Time) *repository.Lock {
		repo, err := repository.Open(t.Context(), store.Reader(), "correct horse", repository.Options{})
		if err != nil {
			t.Fatal(err)
		}
		l, err := repo.Lock(t.Context(), store.Locker(), repository.LockOptions{Host: host, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	now := time.Now()
	held := []*repository.Lock{
		lock("elsewhere/c1", now), lock("elsewhere/c2", now.Add(-29*time.Minute)), lock("elsewhere/c3", now.Add(-31*time.Minute)),
		lock(h.lockPrefix()+"deadbeef", now.Add(-time.Minute)),
	}
	r, err := s.app.Unlock(t.Context(), UnlockOptions{DryRun: true})
	if err != nil || len(r.Locks) != 4 || len(s.files(s.path("repo", "locks"))) != 4 {
		t.Fatalf("dry run: %+v, %v", r, err)
	}
	if r, err = s.app.Unlock(t.Context(), UnlockOptions{Confirm: func(*UnlockReport) error { return ErrDeclined }}); err != nil {
		t.Fatal(err)
	}
	var removed []string
	for _, l := range r.Locks {
		if l.Removed != (l.Stale != "") || l.Removed != l.Remove {
			t.Errorf("%+v", l)
		}
		if l.Removed {
			removed = append(removed, filepath.Base(l.Host))
		}
	}
	if !slices.Equal(removed, []string{"c3", "deadbeef"}) || len(s.files(s.path("repo", "locks"))) != 2 {
		t.Errorf("removed %q", removed)
	}
	if _, err = s.app.Unlock(t.Context(), UnlockOptions{All: true, Confirm: func(*UnlockReport) error { return ErrDeclined }}); !errors.Is(err, ErrDeclined) || len(s.files(s.path("repo", "locks"))) != 2 {
		t.Errorf("declined: %v", err)
	}
	if r, err = s.app.Unlock(t.Context(), UnlockOptions{All: true}); err != nil || len(r.Locks) != 2 || len(s.files(s.path("repo", "locks"))) != 0 {
		t.Errorf("all: %+v, %v", r, err)
	}
	for _, l := range held {
		if err := l.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
