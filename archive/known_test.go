package archive

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/volume"
)

func TestTrustRule(t *testing.T) {
	start := volume.Time{Sec: 1000, Nsec: 500_000_000}
	trust := Trust{WalkStarted: start, Slack: 20 * time.Millisecond}
	for name, c := range map[string]struct {
		trust        Trust
		mtime, ctime volume.Time
		want         bool
	}{
		"old":                     {trust, volume.Time{Sec: 5, Nsec: 1}, volume.Time{Sec: 5, Nsec: 1}, true},
		"just old enough":         {trust, volume.Time{Sec: 5}, volume.Time{Sec: 1000, Nsec: 479_999_999}, true},
		"within the slack":        {trust, volume.Time{Sec: 5}, volume.Time{Sec: 1000, Nsec: 480_000_000}, false},
		"changed after the start": {trust, volume.Time{Sec: 5}, volume.Time{Sec: 1001, Nsec: 1}, false},
		"mtime in the future":     {trust, volume.Time{Sec: 2000}, volume.Time{Sec: 5, Nsec: 1}, false},
		"whole seconds, close":    {trust, volume.Time{Sec: 999}, volume.Time{Sec: 999}, false},
		"whole seconds, far":      {trust, volume.Time{Sec: 998}, volume.Time{Sec: 998}, true},
		"no start":                {Trust{}, volume.Time{Sec: 5, Nsec: 1}, volume.Time{Sec: 5, Nsec: 1}, false},
		"a minute":                {Trust{WalkStarted: start, Slack: time.Minute}, volume.Time{Sec: 945, Nsec: 1}, volume.Time{Sec: 945, Nsec: 1}, false},
		"before 1970":             {trust, volume.Time{Sec: -5, Nsec: 1}, volume.Time{Sec: -5, Nsec: 1}, true},
		"negative slack":          {Trust{WalkStarted: start, Slack: -time.Hour}, volume.Time{Sec: 1001, Nsec: 1}, volume.Time{Sec: 5, Nsec: 1}, false},
	} {
		if got := c.trust.believes(c.mtime, c.ctime); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// known collects what a tree holds.
func (b *bench) known(tree repository.ID, trust Trust) map[string]volume.Known {
	b.t.Helper()
	out, last := map[string]volume.Known{}, ""
	err := Known(b.t.Context(), NewTrees(b.repo, nil), tree, trust)(func(k volume.Known) error {
		if volume.Compare(last, k.Path) >= 0 {
			b.t.Errorf("%q comes after %q", k.Path, last)
		}
		last = k.Path
		out[k.Path] = k
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

func TestKnownComesInWalkOrder(t *testing.T) {
	b := newBench(t)
	for _, path := range []string{"a/x", "a/y/z", "a.b", "a-b/c", "b", "c/1", "d/1", "e/1", "f/1", "g/1", "h/1"} {
		b.write(path, path)
	}
	settle()
	res := b.save(nil)
	if err := b.w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := b.known(res.Tree, TrustOf(res.Walk))
	if len(got) != 11+9 || !got["a/y/z"].Trusted || got["a/y/z"].Size != 5 || got["a/y/z"].Type != volume.File {
		t.Errorf("%v", got)
	}
	stop := errors.New("enough")
	err := Known(t.Context(), NewTrees(b.repo, nil), res.Tree, Trust{})(func(volume.Known) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("yield's error became %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Known(ctx, NewTrees(b.repo, nil), res.Tree, Trust{})(func(volume.Known) error { return nil }); err == nil {
		t.Error("went on after its context had ended")
	}
}

// What the parent has lost is read again: neither a file whose content is gone
// nor a directory whose tree is gone stops the next backup.
func TestWhatTheIndexHasLostIsReadAgain(t *testing.T) {
	b := newBench(t)
	b.write("dir/a", "content of a")
	b.write("dir/b", "content of b")
	b.write("top", "content of top")
	settle()
	first := b.save(nil)
	if err := b.w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	tree, err := b.repo.LoadTree(t.Context(), first.Tree)
	if err != nil {
		t.Fatal(err)
	}
	missing := repository.ID{1, 2, 3}
	nodes := []*repository.Node{}
	for _, n := range tree.Nodes {
		n := *n
		if n.Name == "dir" {
			n.Subtree = &missing
		}
		if n.Name == "top" {
			n.Content = []repository.ID{missing}
		}
		nodes = append(nodes, &n)
	}
	broken, err := b.w.SaveTree(t.Context(), &repository.Tree{Nodes: nodes})
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.try(&broken, TrustOf(first.Walk))
	if err != nil {
		t.Fatal(err)
	}
	if second.Tree != first.Tree || second.Unchanged != 0 || second.Walk.Opened != 3 || second.WarningCount != 1 {
		t.Errorf("%+v", second)
	}
}

// A store through mmap between the two walks, into a page that was dirty before
// the first, is in what the second saves.
func TestF23_AStoreBetweenTheTwoWalksIsSaved(t *testing.T) {
	b := newBench(t)
	b.write("store", string(make([]byte, 8192)))
	b.write("quiet", "quiet")
	f, err := os.OpenFile(filepath.Join(b.root, "store"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mem, err := unix.Mmap(int(f.Fd()), 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	mem[5000] = 'a'
	settle()
	first := b.save(nil)
	if first.Walk.Started.IsZero() {
		t.Skip("nothing is trusted on this filesystem")
	}
	mem[5000] = 'b'
	second := b.save(first)
	if got := b.content(second.Tree, "store"); got[5000] != 'b' {
		t.Errorf("saved is %q", got[5000])
	}
	if second.Unchanged != 1 || second.Changed != 1 {
		t.Errorf("%+v", second)
	}
}

// A walk that fails leaves no result, whatever it had sent before.
func TestAFailedWalkIsNotSaved(t *testing.T) {
	b := newBench(t)
	b.write("f", "f")
	settle()
	first := b.save(nil)
	if err := b.w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The index knows the parent's trees, and they cannot be read: what leans on
	// them would not be good.
	for _, h := range b.store.Handles(storage.PackFile) {
		b.store.Delete(h)
	}
	b.reopen()
	res, err := b.try(&first.Tree, TrustOf(first.Walk))
	if err == nil || !strings.Contains(err.Error(), "parent") {
		t.Errorf("saved on top of a parent that is gone: %+v, %v", res, err)
	}
}
