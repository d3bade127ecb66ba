package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// racers change a tree all the time, until they are stopped.
type racers struct {
	root string
	quit chan struct{}
	wg   sync.WaitGroup
}

func race(root string, runners ...func(r *rand.Rand, root string) error) *racers {
	rs := &racers{root: root, quit: make(chan struct{})}
	for i, run := range runners {
		rs.wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 7))
			for {
				select {
				case <-rs.quit:
					return
				default:
				}
				_ = run(r, root) // what one racer needs another has removed
			}
		})
	}
	return rs
}

func (rs *racers) stop() {
	close(rs.quit)
	rs.wg.Wait()
}

func anyFile(r *rand.Rand, root string) string {
	return filepath.Join(root, "race", fmt.Sprintf("f%d", r.IntN(60)))
}

func appendTo(r *rand.Rand, root string) error {
	f, err := os.OpenFile(anyFile(r, root), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 1+r.IntN(200000)))
	f.Close()
	return err
}

func truncateSome(r *rand.Rand, root string) error {
	return os.Truncate(anyFile(r, root), int64(r.IntN(1<<20)))
}

func renameSome(r *rand.Rand, root string) error {
	return os.Rename(anyFile(r, root), anyFile(r, root))
}

func removeAndMake(r *rand.Rand, root string) error {
	name := anyFile(r, root)
	_ = os.Remove(name)
	return os.WriteFile(name, make([]byte, r.IntN(3<<20)), 0o644)
}

func dirsComeAndGo(r *rand.Rand, root string) error {
	dir := filepath.Join(root, "race", fmt.Sprintf("d%d", r.IntN(5)))
	_ = os.MkdirAll(filepath.Join(dir, "sub"), 0o755)
	for i := range 20 {
		_ = os.WriteFile(filepath.Join(dir, "sub", fmt.Sprint(i)), []byte("x"), 0o644)
	}
	return os.RemoveAll(dir)
}

// TestF14_WritersRaceWithEachWalk: nobody stops those who write, in the first
// walk and in the second.
func TestF14_WritersRaceWithEachWalk(t *testing.T) {
	p := newProject(t, restfulApp).withRepository()
	p.up("app", "writer")
	root := p.mountpoint("data")
	if err := os.Mkdir(filepath.Join(root, "race"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		randomFile(t, filepath.Join(root, "race", fmt.Sprintf("f%d", i)), 300000)
	}
	randomFile(t, filepath.Join(root, "still"), 2<<20)
	still := savedCopy(t, filepath.Join(root, "still"))
	warnings := 0
	racing := race(root, appendTo, truncateSome, renameSome, removeAndMake, dirsComeAndGo)
	t.Cleanup(func() {
		if racing != nil {
			racing.stop()
		}
	})
	// Two walks of some hundred milliseconds may miss every race.
	for runs := 0; runs < 2 || warnings == 0 && runs < 12; runs++ {
		report := p.backup()
		for _, i := range report.Items {
			for _, w := range i.Warnings {
				if strings.HasPrefix(w, "it has ") {
					continue // the files that are cut off make the volume smaller
				}
				if !strings.HasPrefix(w, `"race/`) {
					t.Errorf("a warning names no path that was raced for: %s", w)
				}
				warnings++
			}
		}
	}
	racing.stop()
	racing = nil
	if warnings == 0 {
		t.Error("no race was hit in twelve runs")
	}
	t.Logf("%d warnings", warnings)
	p.resticSays()
	for _, s := range p.snapshots() {
		p.mustRun("restore", s.ID, "--yes", "--no-safety-snapshot")
		must(t, "cmp", still, filepath.Join(root, "still"))
	}
	p.assertSettled("app", "writer")
}

// TestF18_SymlinkSwappedIn: a directory and a file turn into links out of the
// volume, and back, while it is walked.
func TestF18_SymlinkSwappedIn(t *testing.T) {
	p := newProject(t, strings.ReplaceAll(twinsApp, "volumes:\n\n", "")+"  one:\n  two:\n")
	p.up("app")
	root := p.mountpoint("one")
	const secret = "what must not be in volume one"
	writeFile(t, filepath.Join(p.mountpoint("two"), "inner"), secret)
	for i := range 40 {
		dir := filepath.Join(root, fmt.Sprintf("d%d", i))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, "inner"), "own")
		writeFile(t, filepath.Join(root, fmt.Sprintf("f%d", i)), "own")
		// In the helper the other volume lies there.
		for name, target := range map[string]string{"d": "/volumes/1", "f": "/volumes/1/inner"} {
			if err := os.Symlink(target, filepath.Join(root, fmt.Sprintf("%s%d.link", name, i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	swaps := 0
	racing := race(root, func(r *rand.Rand, root string) error {
		name := filepath.Join(root, fmt.Sprintf("%c%d", "df"[r.IntN(2)], r.IntN(40)))
		swaps++
		return unix.Renameat2(unix.AT_FDCWD, name, unix.AT_FDCWD, name+".link", unix.RENAME_EXCHANGE)
	})
	var snapshots []string
	for range 3 {
		r := p.run("backup", "--json")
		if r.code != 0 && r.code != 3 {
			t.Fatalf("backup: %s", r)
		}
		var report backupReport
		p.decode(r.stdout, &report)
		snapshots = append(snapshots, report.Snapshot)
	}
	racing.stop()
	if swaps < 1000 {
		t.Errorf("only %d swaps", swaps)
	}
	for _, s := range snapshots {
		target := filepath.Join(t.TempDir(), "restored")
		p.mustRestic("restore", s, "--target", target)
		if r := command(t, "", nil, "", "grep", "-rlF", "--", secret, filepath.Join(target, p.name, "volumes", "one")); r.code != 1 {
			t.Errorf("the walk left the volume: %s", r)
		}
	}
	p.resticSays()
}
