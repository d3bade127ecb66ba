package repository

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/storage"
)

// TestPruneBesideRestics: on a repository that stock restic and we wrote to in
// turn, of either version, stock restic finds no error after our prune, nothing
// that it would prune too, and restores what is kept.
func TestPruneBesideRestics(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs restic many times")
	}
	for _, version := range []string{"1", "2"} {
		t.Run("v"+version, func(t *testing.T) {
			restic := needRestic(t)
			s, dir := testLocal(t)
			restic(dir, "init", "--repository-version", version)
			src := t.TempDir()
			files := make(map[string][]byte)
			all := make(kept)
			for i := range 4 {
				for j := range 3 {
					name := fmt.Sprintf("f%d", j*j+i*(j%2))
					files[name] = testData(uint64(i*10+j), 700_000)
					if err := os.WriteFile(filepath.Join(src, name), files[name], 0o600); err != nil {
						t.Fatal(err)
					}
				}
				restic(dir, "backup", "--tag", fmt.Sprint(i), src)
				all[backup(t, testOpen(t, s, Options{}), s.Writer(), files)] = maps.Clone(files)
			}
			restic(dir, slices.Concat([]string{"forget"}, firstIDs(all, 2), tagged(t, s, "0", "2"))...)

			p, _ := mustPrune(t, s, PruneOptions{})
			if p.Freed < 1<<20 || p.Count(PruneRepack) == 0 {
				t.Errorf("plan: %+v", p.Steps)
			}
			restic(dir, "check", "--read-data")
			out := restic(dir, "prune", "--dry-run")
			for _, want := range []string{"to repack: 0 blobs / 0 B", "total prune: 0 blobs / 0 B"} {
				if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
					t.Errorf("restic would go on pruning:\n%s", out)
				}
			}
			wantRestored(t, restic, dir, all)
			if again, _ := mustPrune(t, s, PruneOptions{}); len(again.Steps) > 0 {
				t.Errorf("a second prune: %v", again.Steps)
			}
		})
	}
}

// firstIDs takes some snapshots out of those kept.
func firstIDs(all kept, n int) (ids []string) {
	for id := range all {
		if len(ids) < n {
			ids = append(ids, id.String())
			delete(all, id)
		}
	}
	return ids
}

// tagged returns the snapshots with one of the tags.
func tagged(t *testing.T, s storage.Store, tags ...string) (ids []string) {
	t.Helper()
	list, _, err := testOpen(t, s, Options{}).Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, sn := range list {
		if slices.ContainsFunc(tags, sn.HasTag) {
			ids = append(ids, sn.ID.String())
		}
	}
	return ids
}

// TestPruneLeavesWhatIsNotOurs: files that others put into the folders stay.
func TestPruneLeavesWhatIsNotOurs(t *testing.T) {
	s, dir := testLocal(t)
	testInit(t, s, InitOptions{})
	keep := map[string][]byte{"a": testData(1, 10_000)}
	gone := backup(t, testOpen(t, s, Options{}), s.Writer(), map[string][]byte{"b": testData(2, 100_000)})
	all := kept{backup(t, testOpen(t, s, Options{}), s.Writer(), keep): keep}
	d, unlock := mustDelete(t, testOpen(t, s, Options{}), s)
	if err := d.RemoveSnapshot(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	unlock()
	foreign := plantForeign(t, dir)
	if p, _ := mustPrune(t, s, PruneOptions{}); p.Count(PruneRemove) == 0 {
		t.Errorf("plan: %v", p.Steps)
	}
	for _, path := range foreign {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("a file that is not ours: %v", err)
		}
	}
	wantWhole(t, s, all)
}

// plantForeign puts files into a repository's folders that belong to nobody.
func plantForeign(t *testing.T, dir string) (paths []string) {
	t.Helper()
	for _, name := range []string{"README", "data/README", "data/ab/notes.txt", "data/" + strings.Repeat("ab", 32), "data/zz/" + strings.Repeat("zz", 32),
		"index/.DS_Store", "index/" + strings.Repeat("A", 64), "snapshots/lost+found/x", "data/00/" + strings.Repeat("0", 63)} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("not ours"), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// TestPruneWaitsForRestic: while stock restic backs up, a prune is told who
// holds the lock; while a prune holds it, stock restic does not begin.
func TestPruneWaitsForRestic(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs restic many times")
	}
	restic := tryRestic(t)
	s, dir := testLocal(t)
	testInit(t, s, InitOptions{})
	backup(t, testOpen(t, s, Options{}), s.Writer(), map[string][]byte{"a": []byte("a")})

	in, cmd := slowBackup(t, dir)
	deadline := time.Now().Add(time.Minute)
	for locksIn(t, s) == 0 {
		if time.Now().After(deadline) {
			t.Fatal("restic took no lock")
		}
		time.Sleep(20 * time.Millisecond)
	}
	_, _, err := prune(t.Context(), s, PruneOptions{})
	var locked *LockedError
	host, herr := os.Hostname()
	if herr != nil {
		t.Fatal(herr)
	}
	if !errors.As(err, &locked) || locked.PID != cmd.Process.Pid || locked.Host != host || locked.Exclusive {
		t.Errorf("beside restic's backup by %d on %s: %v", cmd.Process.Pid, host, err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("restic: %v", err)
	}
	mustPrune(t, s, PruneOptions{})

	_, unlock := mustDelete(t, testOpen(t, s, Options{}), s)
	out, err := restic(dir, "backup", dir+"/config")
	if err == nil || !strings.Contains(err.Error(), "locked exclusively") {
		t.Errorf("restic beside a prune: %v\n%s", err, out)
	}
	unlock()
	if _, err := restic(dir, "check", "--read-data"); err != nil {
		t.Error(err)
	}
}

// slowBackup is a backup by stock restic that ends when its input does.
func slowBackup(t *testing.T, dir string) (io.WriteCloser, *exec.Cmd) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "restic", "--repo", dir, "--no-cache", "backup", "--stdin")
	cmd.Env = append(os.Environ(), "RESTIC_PASSWORD="+testPassword)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "something"); err != nil {
		t.Fatal(err)
	}
	return in, cmd
}

func locksIn(t *testing.T, s storage.Store) (n int) {
	t.Helper()
	err := s.Reader().List(t.Context(), storage.LockFile, func(storage.Info) error { n++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return n
}
