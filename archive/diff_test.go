package archive

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/repository"
)

// plant saves a tree of nodes, which it sorts.
func (b *bench) plant(nodes ...*repository.Node) *repository.ID {
	b.t.Helper()
	slices.SortFunc(nodes, func(x, y *repository.Node) int { return strings.Compare(x.Name, y.Name) })
	id, err := b.w.SaveTree(b.t.Context(), &repository.Tree{Nodes: nodes})
	if err != nil {
		b.t.Fatal(err)
	}
	return &id
}

func (b *bench) leaf(name, content string, change ...func(*repository.Node)) *repository.Node {
	b.t.Helper()
	f := b.w.NewFile(repository.CutFile)
	if _, err := io.WriteString(f, content); err != nil {
		b.t.Fatal(err)
	}
	ids, size, err := f.Finish().Wait(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 2, 3, 4, 5, time.UTC)
	n := &repository.Node{Name: name, Type: repository.NodeFile, Mode: 0o644, ModTime: at, AccessTime: at, ChangeTime: at, Links: 1, Content: ids, Size: size}
	for _, c := range change {
		c(n)
	}
	return n
}

func folder(name string, tree *repository.ID) *repository.Node {
	return &repository.Node{Name: name, Type: repository.NodeDir, Mode: os.ModeDir | 0o755, Subtree: tree}
}

// nowhere is a tree that is not stored: whoever looks into it fails.
func nowhere() *repository.ID { return &repository.ID{1} }

func TestDiffFindsWhatDiffersAndReadsNothingElse(t *testing.T) {
	b := newBench(t)
	later := func(n *repository.Node) { n.ModTime = n.ModTime.Add(time.Nanosecond) }
	before := b.plant(
		folder("common", nowhere()), folder("dir", b.plant(b.leaf("in", "1"), folder("more", nowhere()))), b.leaf("gone", "abc"),
		b.leaf("content", strings.Repeat("x", 100)), b.leaf("ctime", "c"), b.leaf("mtime", "m"), b.leaf("mode", "m"), b.leaf("owner", "o"), b.leaf("xattr", "x"),
		b.leaf("kind", "k"), folder("whole", b.plant(b.leaf("x", "y"))),
		&repository.Node{Name: "link", Type: repository.NodeSymlink, LinkTarget: "a"}, b.leaf("same", "s"),
	)
	touched := folder("dir", b.plant(b.leaf("in", "2"), b.leaf("new", "new"), folder("more", nowhere())))
	touched.ModTime = time.Date(2026, 5, 5, 5, 5, 5, 5, time.UTC)
	after := b.plant(
		folder("common", nowhere()), touched,
		b.leaf("content", strings.Repeat("y", 50)), b.leaf("ctime", "c", func(n *repository.Node) { n.ChangeTime, n.Inode, n.Links = n.ChangeTime.Add(1), 77, 2 }),
		b.leaf("mtime", "m", later), b.leaf("mode", "m", func(n *repository.Node) { n.Mode = 0o600 }), b.leaf("owner", "o", func(n *repository.Node) { n.GID = 5 }),
		b.leaf("xattr", "x", func(n *repository.Node) {
			n.ExtendedAttributes = []repository.ExtendedAttribute{{Name: "user.a", Value: []byte{0}}}
		}),
		folder("kind", b.plant(b.leaf("below", ""))),
		&repository.Node{Name: "link", Type: repository.NodeSymlink, LinkTarget: "b"}, b.leaf("same", "s"),
	)
	b.flush()
	var got []string
	err := Diff(t.Context(), b.repo, *before, *after, func(c Change) error {
		if (c.Before == nil) != (c.Kind == Added) || (c.After == nil) != (c.Kind == Removed) {
			t.Errorf("%+v", c)
		}
		got = append(got, fmt.Sprintf("%s %s %d", c.Kind, c.Path, c.NewBytes(b.repo)))
		return nil
	})
	want := []string{
		"changed /content 50", "changed /dir/in 1", "added /dir/new 3", "removed /gone 0", "removed /kind 0", "added /kind 0", "added /kind/below 0",
		"changed /link 0", "metadata /mode 0", "metadata /mtime 0", "metadata /owner 0", "removed /whole 0", "removed /whole/x 0", "metadata /xattr 0",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\n got %q\nwant %q", err, got, want)
	}
	if err := Diff(t.Context(), b.repo, *before, *before, func(c Change) error { return fmt.Errorf("%s", c.Path) }); err != nil {
		t.Errorf("a tree and itself: %v", err)
	}
	enough := errors.New("enough")
	if err := Diff(t.Context(), b.repo, *before, *after, func(Change) error { return enough }); !errors.Is(err, enough) {
		t.Error(err)
	}
	if err := Diff(t.Context(), b.repo, *before, *nowhere(), func(Change) error { return nil }); !errors.Is(err, repository.ErrNoBlob) {
		t.Error(err)
	}
}

// TestFindLooksOnceIntoWhatIsShared also proves what a version is.
func TestFindLooksOnceIntoWhatIsShared(t *testing.T) {
	b := newBench(t)
	shared := folder("d", b.plant(b.leaf("x", "1"), folder("none", b.plant(b.leaf("other", "")))))
	trees := []*repository.ID{
		b.plant(shared, b.leaf("x", "old")),
		b.plant(shared, b.leaf("x", "new")),
		b.plant(shared, b.leaf("x", "old", func(n *repository.Node) { n.Mode = 0o600 })),
		b.plant(folder("x", b.plant(b.leaf("x", "deep")))),
		b.plant(b.leaf("nothing", "")),
	}
	b.flush()
	f := NewFinder(b.repo)
	looked := map[string]int{}
	f.Want = func(path string, n *repository.Node) bool {
		looked[path]++
		return n.Name == "x"
	}
	f.Enter = func(path string) bool { return path != "/x" || len(looked) == 0 }
	found := make([]*Finds, len(trees))
	for i, id := range trees {
		var err error
		if found[i], err = f.Look(t.Context(), "shop", *id); err != nil {
			t.Fatal(err)
		}
	}
	if looked["/d/x"] != 1 || looked["/d/none/other"] != 1 || looked["/x"] != 4 || looked["/x/x"] != 0 {
		t.Errorf("looked at: %v", looked)
	}
	var got []string
	err := Merge(found, func(path string, versions []Version) error {
		line := path
		for _, v := range versions {
			line += fmt.Sprintf(" %s%d%v%v", v.Type, v.Size, v.Mode, v.In)
		}
		got = append(got, line)
		return nil
	})
	want := []string{"/d/x file1-rw-r--r--[0 1 2]", "/x file3-rw-------[0 2] file3-rw-r--r--[1] dir0drwxr-xr-x[3]"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\n got %q\nwant %q", err, got, want)
	}
}

func TestMeasureCountsNamesOfAFileOnce(t *testing.T) {
	b := newBench(t)
	linked := func(inode, device uint64) func(*repository.Node) {
		return func(n *repository.Node) { n.Inode, n.DeviceID, n.Links = inode, device, 2 }
	}
	inner := b.plant(b.leaf("l1", "12345", linked(9, 1)), b.leaf("plain", "abc"))
	tree := b.plant(folder("a", inner), b.leaf("l2", "12345", linked(9, 1)), b.leaf("other", "12345", linked(9, 2)))
	plain := b.plant(folder("p", b.plant(b.leaf("q", "1234567"))), folder("p2", b.plant(b.leaf("q", "1234567"))))
	b.flush()
	m := NewMeasurer(b.repo)
	for range 2 {
		if err := m.Tree(t.Context(), *tree); err != nil {
			t.Fatal(err)
		}
	}
	if want := (Size{Files: 8, Bytes: 2 * (5 + 3 + 5)}); m.Size != want {
		t.Errorf("twice: %+v, want %+v", m.Size, want)
	}
	if err := m.Tree(t.Context(), *plain); err != nil {
		t.Fatal(err)
	}
	if m.Files != 10 || m.Bytes != 26+14 {
		t.Errorf("%+v", m.Size)
	}
	// Four trees (p and p2 are one), and the contents 12345, abc, 1234567.
	if got := m.Blobs.Totals(); got.Blobs != 4+3 || got.Plain <= 15 || got.Stored < got.Blobs*32 {
		t.Errorf("%+v", got)
	}
	if err := m.Tree(t.Context(), *nowhere()); !errors.Is(err, repository.ErrNoBlob) {
		t.Error(err)
	}
}
