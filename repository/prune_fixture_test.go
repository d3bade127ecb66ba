package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// kept are the snapshots of a repository that have to stay, with their files.
type kept map[ID]map[string][]byte

// agedRepository fills a repository as years do: each backup has a file that
// stays, one that changes, one that the next has too, and its directory; every
// second snapshot is removed again. One pack in no index is left by a run that died, and one blob has two
// places.
func agedRepository(t testing.TB, s storage.Store) kept {
	t.Helper()
	all := make(kept)
	blind := testOpen(t, s, Options{})
	for i := range 6 {
		files := map[string][]byte{
			"same":                          testData(1, 150_000),
			"changes":                       testData(uint64(10+i), 120_000),
			fmt.Sprintf("own-%d", i):        testData(uint64(20+i), 60_000),
			fmt.Sprintf("pair-%d", (i+1)/2): testData(uint64(30+(i+1)/2), 40_000),
		}
		r := testOpen(t, s, Options{})
		if i == 4 {
			r = blind // knows nothing of those before, and stores again
		}
		all[backup(t, r, s.Writer(), files)] = files
	}
	r := testOpen(t, s, Options{})
	list, _, err := r.Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d, unlock := mustDelete(t, r, s)
	for id, files := range all {
		if _, ok := files["own-1"]; ok || files["own-3"] != nil || files["own-5"] != nil {
			if err := d.RemoveSnapshot(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			delete(all, id)
		}
	}
	unlock()
	if len(list) != 6 || len(all) != 3 {
		t.Fatalf("%d snapshots, %d kept", len(list), len(all))
	}
	w := testWriter(t, r, dead{s.Writer()}, WriterOptions{})
	mustWait(t, mustWrite(t, w, CutFile, randomData(77, 50_000)))
	if err := w.Flush(t.Context()); !errors.Is(err, errDead) {
		t.Fatal(err)
	}
	if err := w.Close(t.Context()); !errors.Is(err, errDead) {
		t.Fatal(err)
	}
	return all
}

var errDead = errors.New("died before the index")

// dead is a run that dies when it is about to store its index.
type dead struct{ storage.Writer }

func (d dead) Save(ctx context.Context, h storage.Handle, p storage.Payload) error {
	if h.Kind == storage.IndexFile {
		return errDead
	}
	return d.Writer.Save(ctx, h, p)
}

// mustDelete locks a repository and returns what can delete.
func mustDelete(t testing.TB, r *Repository, s storage.Store) (*Deleter, func()) {
	t.Helper()
	l, err := r.Lock(t.Context(), s.Locker(), LockOptions{Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDeleter(r, s.Remover(), l)
	if err != nil {
		t.Fatal(err)
	}
	return d, func() {
		if err := l.Unlock(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// prune opens a repository and prunes it.
func prune(ctx context.Context, s storage.Store, opt PruneOptions) (p *PrunePlan, res PruneResult, err error) {
	r, err := Open(ctx, s.Reader(), testPassword, Options{Workers: 1})
	if err != nil {
		return nil, res, err
	}
	l, err := r.Lock(ctx, s.Locker(), LockOptions{Exclusive: true})
	if err != nil {
		return nil, res, err
	}
	defer func() { err = errors.Join(err, l.Unlock(ctx)) }()
	d, err := NewDeleter(r, s.Remover(), l)
	if err != nil {
		return nil, res, err
	}
	if p, err = d.PlanPrune(ctx, opt); err != nil {
		return nil, res, err
	}
	res, err = d.Prune(ctx, s.Writer(), p, opt)
	return p, res, err
}

func mustPrune(t testing.TB, s storage.Store, opt PruneOptions) (*PrunePlan, PruneResult) {
	t.Helper()
	p, res, err := prune(t.Context(), s, opt)
	if err != nil {
		t.Fatalf("prune: %v", err)
	}
	return p, res
}

// wantWhole demands that every kept snapshot can be restored and that a check
// that reads everything finds no damage.
func wantWhole(t *testing.T, s storage.Store, all kept) CheckReport {
	t.Helper()
	r := testOpen(t, s, Options{Workers: 1})
	for id, files := range all {
		verifySnapshot(t, r, id, files)
		stored, err := r.LoadSnapshot(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.HasAll(t.Context(), *stored.Tree); err != nil {
			t.Error(err)
		}
	}
	report := mustCheck(t, s, CheckOptions{ReadData: true})
	if !report.OK() || int(report.Snapshots) != len(all) {
		t.Errorf("check: %+v", report)
	}
	return report
}

// export writes a store in memory to a directory, for stock restic.
func export(t testing.TB, m *storagetest.Memory) string {
	t.Helper()
	dir := t.TempDir()
	for _, k := range storage.Kinds() {
		if err := os.MkdirAll(filepath.Join(dir, k.Dir()), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, h := range m.Handles(k) {
			data, _ := m.Bytes(h)
			path := filepath.Join(dir, filepath.FromSlash(h.Path()))
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// wantRestored demands that stock restic restores what is kept.
func wantRestored(t *testing.T, restic func(dir string, args ...string) string, dir string, all kept) {
	t.Helper()
	for id, files := range all {
		target := t.TempDir()
		restic(dir, "restore", id.String(), "--target", target)
		for name, want := range files {
			got, err := os.ReadFile(filepath.Join(target, name))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s of %s: %v, %d bytes", name, id.Short(), err, len(got))
			}
		}
	}
}
