package volume

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// connect starts a helper in this process, over a real socket, and ends it with
// the test.
func connect(t testing.TB, connections int) *Peer {
	t.Helper()
	l, err := Listen(socketDir(t))
	if err != nil {
		t.Fatal(err)
	}
	pending := l.Expect(connections)
	helper := make(chan error, 1)
	go func() {
		helper <- ServeHelper(context.Background(), HelperOptions{
			Socket: pending.Socket, Token: pending.Token, Connections: connections,
		})
	}()
	peer, err := pending.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		peer.Close()
		if err := <-helper; err != nil {
			t.Errorf("the helper ended with: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Errorf("close the listener: %v", err)
		}
	})
	return peer
}

// socketDir is a directory whose name is short enough for a socket.
func socketDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rbvol")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "run")
}

// found is a walk, collected.
type found struct {
	entries  map[string]Entry
	content  map[string][]byte
	holes    map[string]int64
	kinds    map[string]EventKind
	order    []string
	warnings []Warning
	result   WalkResult
}

// warned gives the kinds of warnings about a path.
func (f *found) warned(path string) []WarningKind {
	var out []WarningKind
	for _, w := range f.warnings {
		if w.Path == path {
			out = append(out, w.Kind)
		}
	}
	return out
}

// known makes what a snapshot of this walk would hold, all of it trusted.
func (f *found) known() KnownSource {
	return func(yield func(Known) error) error {
		for _, path := range f.order {
			if path == "" {
				continue
			}
			e := f.entries[path]
			err := yield(Known{
				Path: path, Type: e.Type, Size: e.Size, ModTime: e.ModTime, ChangeTime: e.ChangeTime,
				Inode: e.Inode, Trusted: true,
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
}

func collect(t testing.TB, w *Walk) *found {
	t.Helper()
	f, err := tryCollect(w)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// tryCollect reads a walk to its end and holds it against the rules of order.
func tryCollect(w *Walk) (*found, error) {
	defer w.Close()
	f := &found{entries: map[string]Entry{}, content: map[string][]byte{}, holes: map[string]int64{}, kinds: map[string]EventKind{}}
	var open []string
	for {
		ev, err := w.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return f, err
		}
		switch ev.Kind {
		case Warned, Unreadable:
			f.warnings = append(f.warnings, *ev.Warning)
			continue
		case LeaveDir:
			if len(open) == 0 || open[len(open)-1] != ev.Entry.Path {
				return f, errors.New("left a directory that was not open: " + ev.Entry.Path)
			}
			open = open[:len(open)-1]
			continue
		case EnterDir:
			open = append(open, ev.Entry.Path)
		}
		path := ev.Entry.Path
		e := *ev.Entry
		e.Xattrs = slices.Clone(e.Xattrs)
		f.order = append(f.order, path)
		f.entries[path], f.kinds[path] = e, ev.Kind
		if ev.Kind == FileStart {
			if err := f.take(path, w); err != nil {
				return f, err
			}
		}
	}
	if len(open) != 0 {
		return f, errors.New("directories were not left")
	}
	if !slices.IsSortedFunc(f.order, Compare) {
		return f, errors.New("the walk is not in order")
	}
	f.result = w.Result()
	return f, nil
}

func (f *found) take(path string, w *Walk) error {
	var content bytes.Buffer
	for {
		seg, r, err := w.NextSegment()
		if errors.Is(err, io.EOF) {
			f.content[path] = content.Bytes()
			return nil
		}
		if err != nil {
			return err
		}
		if seg.Offset != int64(content.Len())+f.holes[path] {
			return errors.New("a gap in " + path)
		}
		if seg.Hole {
			f.holes[path] += seg.Length
			continue
		}
		n, err := content.ReadFrom(r)
		if err != nil {
			return err
		}
		if n != seg.Length {
			return errors.New("a short segment in " + path)
		}
	}
}

func walk(t testing.TB, p *Peer, root string, known KnownSource) *found {
	t.Helper()
	w, err := p.Walk(t.Context(), WalkRequest{Root: root}, known, nil)
	if err != nil {
		t.Fatal(err)
	}
	return collect(t, w)
}

func write(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// needRoot skips a test that an ordinary user cannot run.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}
