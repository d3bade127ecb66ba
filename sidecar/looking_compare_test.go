package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/repository"
)

func TestDiffSaysWhatBecameOfItems(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	big := randomText(9 << 20) // more than a chunk can have
	a := l.shelve(day(1), nil, shelvedVolume("uploads", map[string]string{"keep": "k", "old": "old!", "big": big}), shelvedVolume("gone", map[string]string{"x": "12"}),
		shelvedVolume("still", map[string]string{"y": "y"}), shelvedDump("db", "shop", map[string]string{"shop.dump": "one", "shop.sql": "GRANT"}))
	b := l.shelve(day(2), nil, shelvedVolume("uploads", map[string]string{"keep": "k", "new/\xff\x1b": "new", "big": big + "tail"}), shelvedVolume("fresh", map[string]string{"z": ""}),
		shelvedVolume("still", map[string]string{"y": "y"}), shelvedDump("db", "shop", map[string]string{"shop.dump": "two!", "shop.sql": "GRANT"}))
	var got []string
	var news uint64
	report, err := l.app.Diff(t.Context(), a.String(), "latest", func(e DiffEntry) error {
		got = append(got, fmt.Sprintf("%s %s %q %d %d", e.Change, e.Item, e.Path, e.SizeBefore, e.SizeAfter))
		if strings.HasSuffix(e.Path, "big") {
			news = e.NewBytes
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`changed dump db/shop "/shop/dumps/db/shop.dump" 3 4`,
		`added volume fresh "/shop/volumes/fresh" 0 0`, `added volume fresh "/shop/volumes/fresh/z" 0 0`,
		`removed volume gone "/shop/volumes/gone" 0 0`, `removed volume gone "/shop/volumes/gone/x" 2 0`,
		`changed volume uploads "/shop/volumes/uploads/big" 9437184 9437188`,
		`added volume uploads "/shop/volumes/uploads/new" 0 0`, `added volume uploads "/shop/volumes/uploads/new/\xff\x1b" 0 3`, `removed volume uploads "/shop/volumes/uploads/old" 4 0`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if news == 0 || news >= 9<<20 {
		t.Errorf("%d bytes of the big file are new", news)
	}
	var items []string
	for _, it := range report.Items {
		items = append(items, fmt.Sprintf("%s %s +%d -%d M%d %d %d", it.Key, it.Change, it.Added, it.Removed, it.Changed, it.BytesAdded, it.BytesRemoved))
	}
	wantItems := []string{"dump db/shop changed +0 -0 M1 0 0", "volume fresh added +2 -0 M0 0 0", "volume gone removed +0 -2 M0 0 2", "volume still same +0 -0 M0 0 0", "volume uploads changed +2 -1 M1 3 4"}
	if !slices.Equal(items, wantItems) {
		t.Errorf("got %q\nwant %q", items, wantItems)
	}
	total := DiffCounts{Added: 4, Removed: 3, Changed: 2, BytesAdded: 3, BytesRemoved: 6, BytesBefore: 9<<20 + 3, BytesAfter: 9<<20 + 8, BytesNew: news + 3 + 4}
	if report.DiffCounts != total || report.Before.ID != a.String() || report.After.ID != b.String() {
		t.Errorf("%+v, want %+v", report, total)
	}
	if _, err := l.app.Diff(t.Context(), a.String(), "ffffff", func(DiffEntry) error { return nil }); !errors.Is(err, repository.ErrNoSnapshot) {
		t.Error(err)
	}
}

func TestFindTellsVersionsAndWhereTheyAre(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	files := func(content string) map[string]string {
		return map[string]string{"a/report.pdf": content, "report.pdf": "top", "\xff\x1b.pdf": "odd"}
	}
	one := l.shelve(day(1), nil, shelvedVolume("docs", files("v1")), shelvedDump("db", "shop", map[string]string{"report.dump": "d"}))
	two := l.shelve(day(2), nil, shelvedVolume("docs", files("v2")), shelvedVolume("other", map[string]string{"report.pdf": "elsewhere"}))
	three := l.shelve(day(3), nil, shelvedVolume("docs", files("v1")))
	foreign := l.shelve(day(4), func(s *repository.Snapshot) { s.Tags = []string{"theirs"} }, shelvedVolume("docs", files("v9")))
	find := func(opt FindOptions) string {
		t.Helper()
		var out []string
		err := l.app.Find(t.Context(), opt, func(f FoundFile) error {
			line := fmt.Sprintf("%s|%q", f.Item, f.Path)
			for _, v := range f.Versions {
				line += fmt.Sprintf(" %d", v.Size)
				for _, s := range v.Snapshots {
					id, err := repository.ParseID(s.ID)
					if err != nil {
						return err
					}
					line += fmt.Sprintf("%d", 1+slices.Index([]repository.ID{one, two, three, foreign}, id))
				}
			}
			out = append(out, line)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(out, "\n")
	}
	docs := func(path, versions string) string {
		return fmt.Sprintf("volume docs|%q %s", "/shop/volumes/docs/"+path, versions)
	}
	all := docs("a/report.pdf", "213 22") + "\n" + docs("report.pdf", "3123")
	other := "\n" + `volume other|"/shop/volumes/other/report.pdf" 92`
	for name, c := range map[string]struct {
		opt  FindOptions
		want string
	}{
		"at any depth": {FindOptions{Patterns: []string{"report.pdf"}}, all + other},
		"anchored":     {FindOptions{Patterns: []string{"/report.pdf"}}, docs("report.pdf", "3123") + other},
		"in an item":   {FindOptions{Patterns: []string{"report.*"}, Item: "volume docs"}, all},
		"bytes":        {FindOptions{Patterns: []string{"\xff*"}}, docs("\xff\x1b.pdf", "3123")},
		"a folder":     {FindOptions{Patterns: []string{"/a"}}, docs("a", "0123")},
		"dumps":        {FindOptions{Patterns: []string{"*.dump"}}, `dump db/shop|"/shop/dumps/db/report.dump" 11`},
		"two patterns": {FindOptions{Patterns: []string{"*.dump", "/a/*.pdf"}}, `dump db/shop|"/shop/dumps/db/report.dump" 11` + "\n" + docs("a/report.pdf", "213 22")},
		"newer":        {FindOptions{Patterns: []string{"report.pdf"}, Newer: written().Add(time.Second)}, ""},
		"older":        {FindOptions{Patterns: []string{"report.pdf"}, Item: "volume docs", Older: written()}, all},
		"nothing":      {FindOptions{Patterns: []string{"*.jpg"}}, ""},
		"of all":       {FindOptions{Patterns: []string{"/shop/volumes/docs/a/*.pdf"}, All: true}, `|"/shop/volumes/docs/a/report.pdf" 24`},
	} {
		if got := find(c.opt); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
	if err := l.app.Find(t.Context(), FindOptions{Patterns: []string{"a["}}, nil); err == nil || !strings.Contains(err.Error(), "is not a pattern") {
		t.Error(err)
	}
}

// TestStatsAgreeWithStockRestic: both sizes, of one snapshot and of all, of
// ours and of theirs.
func TestStatsAgreeWithStockRestic(t *testing.T) {
	if testing.Short() {
		t.Skip("runs restic many times")
	}
	t.Parallel()
	l := newLibrary(t)
	text := strings.Repeat("all work and no play\n", 100_000)
	one := l.shelve(day(1), nil, shelvedVolume("a", map[string]string{"text": text, "random": randomText(500_000), "d/e": "", "d/l": "-> x"}), shelvedDump("db", "shop", map[string]string{"shop.dump": text}))
	l.shelve(day(2), nil, shelvedVolume("a", map[string]string{"text": text, "random": randomText(600_000)}), shelvedVolume("b", map[string]string{"text": text, "more": "more"}))
	if err := l.w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	src := l.path("src")
	for name, content := range map[string]string{"dir/one": text, "two": "22"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(src, name)), 0o755), os.WriteFile(filepath.Join(src, name), []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(filepath.Join(src, "dir", "one"), filepath.Join(src, "hard")); err != nil {
		t.Fatal(err)
	}
	l.restic("backup", src)

	type theirs struct {
		TotalSize int64  `json:"total_size"`
		Blobs     uint64 `json:"total_blob_count"`
	}
	ask := func(mode string, ids ...string) (out theirs) {
		t.Helper()
		if err := json.Unmarshal([]byte(l.restic(append([]string{"stats", "--json", "--mode", mode}, ids...)...)), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	compare := func(name string, prefixes []string, all bool, ids ...string) *StatsReport {
		t.Helper()
		report, err := l.app.Stats(t.Context(), prefixes, all)
		if err != nil {
			t.Fatal(err)
		}
		restore, raw := ask("restore-size", ids...), ask("raw-data", ids...)
		if report.RestoreSize != restore.TotalSize || int64(report.RawSize) != raw.TotalSize || report.Blobs != raw.Blobs || report.RawSize == 0 {
			t.Errorf("%s: %+v, and restic says %+v and %+v", name, report, restore, raw)
		}
		return report
	}
	compare("all", nil, true)
	compare("one", []string{one.String()}, false, one.String())
	latest := l.restic("snapshots", "--json", "--latest", "1", "--path", src)
	var list []struct{ ID string }
	if err := json.Unmarshal([]byte(latest), &list); err != nil || len(list) != 1 {
		t.Fatalf("%d snapshots, %v", len(list), err)
	}
	foreign := compare("theirs", []string{list[0].ID}, false, list[0].ID)
	if want := int64(len(text) + 2); foreign.RestoreSize != want || len(foreign.Items) != 0 || foreign.Files != 3 {
		t.Errorf("theirs: %+v, want %d bytes", foreign, want)
	}

	report, err := l.app.Stats(t.Context(), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	var items []string
	for _, it := range report.Items {
		items = append(items, fmt.Sprintf("%s %d %d %d", it.Key, it.Snapshots, it.Files, it.RestoreSize))
	}
	n := len(text)
	want := []string{fmt.Sprintf("dump db/shop 1 1 %d", n), fmt.Sprintf("volume a 2 6 %d", 2*n+1_100_000), fmt.Sprintf("volume b 1 2 %d", n+4)}
	if !slices.Equal(items, want) || report.Snapshots != 2 {
		t.Errorf("%d snapshots, items %q, want %q", report.Snapshots, items, want)
	}
	if report.DedupRatio < 2 || report.CompressionRatio < 1.5 {
		t.Errorf("ratios: %+v", report.StatsSizes)
	}
	if twice, err := l.app.Stats(t.Context(), []string{one.String(), one.Short()}, false); err != nil || twice.Snapshots != 1 {
		t.Errorf("one snapshot by two names: %+v, %v", twice, err)
	}
}

// TestLookingSaysWhyItWasEnded: a lock that was lost, say, and not that some
// context was cancelled.
func TestLookingSaysWhyItWasEnded(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	first := l.shelve(day(1), nil, shelvedVolume("a", map[string]string{"d/f": "1"}))
	l.shelve(day(2), nil, shelvedVolume("a", map[string]string{"d/f": "2", "e/f": "2"}))
	lost := errors.New("lost")
	for name, do := range map[string]func(ctx context.Context, end func()) error{
		"diff": func(ctx context.Context, end func()) error {
			_, err := l.app.Diff(ctx, first.String(), "latest", func(DiffEntry) error { end(); return ctx.Err() })
			return err
		},
		"ls": func(ctx context.Context, end func()) error {
			return l.app.List(ctx, "latest", "", func(ListEntry) error { end(); return ctx.Err() })
		},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		if err := do(ctx, func() { cancel(lost) }); !errors.Is(err, lost) || errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLookingHoldsTheSharedLock: whoever deletes has to wait.
func TestLookingHoldsTheSharedLock(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	first := l.shelve(day(1), nil, shelvedVolume("a", map[string]string{"f": "1"}))
	seen := 0
	count := func() error {
		locks, err := os.ReadDir(l.path("repo", "locks"))
		seen += len(locks)
		return err
	}
	l.shelve(day(2), nil, shelvedVolume("a", map[string]string{"f": "2"}))
	for name, do := range map[string]func() error{
		"ls": func() error {
			return l.app.List(t.Context(), "latest", "volumes/a/f", func(ListEntry) error { return count() })
		},
		"diff": func() error {
			_, err := l.app.Diff(t.Context(), first.String(), "latest", func(DiffEntry) error { return count() })
			return err
		},
		"find": func() error {
			return l.app.Find(t.Context(), FindOptions{Patterns: []string{"f"}}, func(FoundFile) error { return count() })
		},
	} {
		seen = 0
		if err := do(); err != nil || seen != 1 {
			t.Errorf("%s: %d locks were held, %v", name, seen, err)
		}
	}
}
