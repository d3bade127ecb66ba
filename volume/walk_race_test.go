package volume

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// pausing walks a volume over a connection that takes nothing until release is
// called: the walk is stuck in the middle of what it reads.
func pausing(t *testing.T, root string, until string) (w *Walk, ev Event) {
	t.Helper()
	w, err := connect(t, 1).Walk(t.Context(), WalkRequest{Root: root}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	for {
		ev, err := w.Next()
		if err != nil {
			t.Fatal(err)
		}
		if ev.Entry != nil && ev.Entry.Path == until {
			return w, ev
		}
	}
}

// What happens to a large file after its first segments have been sent is said,
// and the stream stays whole.
func TestF14_AFileThatChangesWhileItIsRead(t *testing.T) {
	const size = 64 << 20 // far more than the buffers between the two ends
	for name, change := range map[string]func(path string) error{
		"grows": func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.Write(make([]byte, 1<<20))
			return err
		},
		"shrinks": func(path string) error { return os.Truncate(path, size/2) },
		"is emptied": func(path string) error {
			return os.Truncate(path, 0)
		},
		"changes": func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt([]byte("x"), size-5)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			path := filepath.Join(root, "large")
			write(t, path, bytes.Repeat([]byte("c"), size))
			write(t, filepath.Join(root, "next"), []byte("next"))
			w, _ := pausing(t, root, "large")
			if err := change(path); err != nil {
				t.Fatal(err)
			}
			got, err := tryCollectFrom(w, "large")
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.warned("large"), []WarningKind{WarnChanged}) {
				t.Errorf("warnings: %v", got.warnings)
			}
			if string(got.content["next"]) != "next" {
				t.Error("what comes next is not whole")
			}
			if len(got.content["large"]) > size {
				t.Errorf("%d bytes of a file that had %d", len(got.content["large"]), size)
			}
		})
	}
}

// tryCollectFrom collects what comes after the FileStart of a path.
func tryCollectFrom(w *Walk, path string) (*found, error) {
	f := &found{entries: map[string]Entry{}, content: map[string][]byte{}, holes: map[string]int64{}, kinds: map[string]EventKind{}}
	if err := f.take(path, w); err != nil {
		return f, err
	}
	for {
		ev, err := w.Next()
		if errors.Is(err, io.EOF) {
			f.result = w.Result()
			return f, nil
		}
		if err != nil {
			return f, err
		}
		if ev.Warning != nil {
			f.warnings = append(f.warnings, *ev.Warning)
		}
		if ev.Kind == FileStart {
			if err := f.take(ev.Entry.Path, w); err != nil {
				return f, err
			}
		}
	}
}

func TestF14_FilesThatVanish(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "a-large"), make([]byte, 64<<20))
	const n = 3000 // more than is read ahead
	for i := range n {
		write(t, filepath.Join(root, fmt.Sprintf("f%04d", i)), []byte("small"))
	}
	write(t, filepath.Join(root, "g-large"), make([]byte, 1<<20))
	write(t, filepath.Join(root, "zdir/x"), []byte("x"))
	w, _ := pausing(t, root, "a-large")
	for _, name := range []string{"g-large", "f2999", "zdir"} {
		if err := os.RemoveAll(filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := tryCollectFrom(w, "a-large")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"g-large", "f2999", "zdir"} {
		if !slices.Equal(got.warned(name), []WarningKind{WarnVanished}) {
			t.Errorf("%s: %v", name, got.warnings)
		}
	}
	if got.result.Files != n || got.result.Unreadable != 0 {
		t.Errorf("%+v", got.result)
	}
}

// Writers that change, replace, rename and remove everything they can, while
// walks go on: each walk ends well or not at all, whatever it saw.
func TestF14_AWriterRacingWithEachWalkNeverTearsTheStream(t *testing.T) {
	root := t.TempDir()
	rng := rand.New(rand.NewPCG(3, 4))
	name := func(rng *rand.Rand) string {
		return filepath.Join(root, fmt.Sprintf("d%d", rng.IntN(4)), fmt.Sprintf("f%d", rng.IntN(40)))
	}
	sizes := []int{0, 10, 5000, 100 << 10, 300 << 10, 3 << 20}
	for range 150 {
		write(t, name(rng), make([]byte, sizes[rng.IntN(len(sizes))]))
	}
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for seed := range 2 {
		writers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(seed), 9))
			for ctx.Err() == nil {
				disturb(rng, name(rng), name(rng), sizes)
			}
		})
	}
	peer := connect(t, 1)
	var last *found
	for i := range 25 {
		var known KnownSource
		if last != nil {
			known = last.known()
		}
		w, err := peer.Walk(t.Context(), WalkRequest{Root: root}, known, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tryCollect(w)
		if err != nil {
			t.Fatalf("walk %d: %v", i, err)
		}
		if got.result.Unreadable > 0 {
			t.Errorf("walk %d: %v", i, got.warnings)
		}
		last = got
	}
	stop()
	writers.Wait()
	// When all is quiet, one walk has it as it is.
	got := walk(t, peer, root, nil)
	for path, content := range got.content {
		want, err := os.ReadFile(filepath.Join(root, path))
		if err != nil || !bytes.Equal(want[len(want)-min(len(want), len(content)):], content) && got.holes[path] == 0 {
			t.Errorf("%s: %v", path, err)
		}
	}
	if len(got.warnings) != 0 {
		t.Errorf("%v", got.warnings)
	}
}

// disturb does one thing to a volume; that it may fail is part of it. It never
// follows a link and never waits for a FIFO.
func disturb(rng *rand.Rand, a, b string, sizes []int) {
	open := func(flags int, change func(f *os.File)) {
		f, err := os.OpenFile(a, flags|os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o644)
		if err != nil {
			return
		}
		defer f.Close()
		change(f)
	}
	switch rng.IntN(8) {
	case 0:
		open(os.O_CREATE|os.O_TRUNC, func(f *os.File) { f.Write(make([]byte, sizes[rng.IntN(len(sizes))])) })
	case 1:
		os.Remove(a)
	case 2:
		os.Rename(a, b)
	case 3:
		open(0, func(f *os.File) { f.Truncate(int64(rng.IntN(1 << 20))) })
	case 4:
		open(os.O_CREATE|os.O_APPEND, func(f *os.File) { f.Write(make([]byte, rng.IntN(300<<10))) })
	case 5:
		os.Remove(a)
		os.Symlink("nowhere", a)
	case 6:
		os.Remove(a)
		unix.Mkfifo(a, 0o600)
	case 7:
		os.Link(a, b)
	}
}

// A directory of the volume is exchanged for a symlink to a directory outside,
// and a file for a symlink to a file outside, over and over: nothing of what
// lies outside is ever in a walk.
func TestF18_ASwappedSymlinkNeverLeadsOut(t *testing.T) {
	for _, mode := range []string{"openat2", "openat"} {
		t.Run(mode, func(t *testing.T) {
			root, outside := t.TempDir(), t.TempDir()
			const secret = "the host's secret"
			write(t, filepath.Join(outside, "f"), []byte(secret))
			for i := range 20 {
				write(t, filepath.Join(root, fmt.Sprintf("d%02d/f", i)), []byte("inside"))
				write(t, filepath.Join(root, fmt.Sprintf("file%02d", i)), []byte("inside"))
			}
			dirLink, fileLink := filepath.Join(t.TempDir(), "dir"), filepath.Join(t.TempDir(), "file")
			if err := errors.Join(os.Symlink(outside, dirLink), os.Symlink(filepath.Join(outside, "f"), fileLink)); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			var swapping sync.WaitGroup
			swaps := 0
			swapping.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					dir, file := filepath.Join(root, fmt.Sprintf("d%02d", i%20)), filepath.Join(root, fmt.Sprintf("file%02d", i%20))
					for range 2 {
						if unix.Renameat2(unix.AT_FDCWD, dirLink, unix.AT_FDCWD, dir, unix.RENAME_EXCHANGE) == nil &&
							unix.Renameat2(unix.AT_FDCWD, fileLink, unix.AT_FDCWD, file, unix.RENAME_EXCHANGE) == nil {
							swaps++
						}
					}
				}
			})
			links := 0
			for range 60 {
				got := walkDirectly(t, root, mode == "openat2")
				for path, content := range got.content {
					if strings.Contains(string(content), secret) {
						t.Errorf("%s leads out of the volume", path)
					}
				}
				for _, e := range got.entries {
					if e.Type == Symlink {
						links++
					}
				}
			}
			stop()
			swapping.Wait()
			if swaps == 0 || links == 0 {
				t.Errorf("nothing was exchanged (%d) or seen exchanged (%d)", swaps, links)
			}
		})
	}
}

// walkDirectly walks without a helper, with or without openat2.
func walkDirectly(t *testing.T, path string, openat2 bool) *found {
	t.Helper()
	r, err := openRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	if openat2 && !r.openat2 {
		t.Skip("no openat2 here")
	}
	r.openat2 = openat2
	s, out := streamOf(strings.NewReader("\x00\x00\x00\x00"))
	if err := walkTo(t.Context(), r, nil, "", s); err != nil {
		t.Fatal(err)
	}
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	in, _ := streamOf(&out.out)
	got, err := receiveWalk(&Walk{rx: newReceiver(in)})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestFallbackSeesTheSame(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "a/b/c"), []byte("content"))
	if err := os.Symlink("a", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	with, without := walkDirectly(t, root, true), walkDirectly(t, root, false)
	if !slices.Equal(with.order, without.order) || string(without.content["a/b/c"]) != "content" {
		t.Errorf("%v and %v", with.order, without.order)
	}
	var new, old meta
	for _, name := range []string{"a", "link", "a/b/c"} {
		z := append([]byte(filepath.Join(root, name)), 0)
		err := errors.Join(statName(unix.AT_FDCWD, z, &new), fstatAt(unix.AT_FDCWD, z, unix.AT_SYMLINK_NOFOLLOW, &old))
		new.mountKnown, new.mountRoot = false, false
		if err != nil || new != old {
			t.Errorf("%s: statx %+v, stat %+v, %v", name, new, old, err)
		}
	}
}
