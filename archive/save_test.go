package archive

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

func TestSaveAndSaveAgain(t *testing.T) {
	b := newBench(t)
	for i := range 50 {
		b.write(fmt.Sprintf("dir%d/file%d", i%5, i), strings.Repeat(fmt.Sprint(i), i))
	}
	b.write("deep/er/file", "deep")
	random := make([]byte, 3<<20)
	rand.NewChaCha8([32]byte{1}).Read(random)
	b.write("large", string(random))
	if err := os.Symlink("large", filepath.Join(b.root, "link")); err != nil {
		t.Fatal(err)
	}
	settle()
	first := b.save(nil)
	if first.New != 53 || first.Unchanged != 0 || first.Dirs != 8 || first.Files != 52 || first.Others != 1 {
		t.Errorf("first: %+v", first)
	}
	if got := b.content(first.Tree, "large"); got != string(random) {
		t.Errorf("large came back with %d bytes", len(got))
	}
	if got := b.content(first.Tree, "deep", "er", "file"); got != "deep" {
		t.Errorf("deep/er/file is %q", got)
	}
	if n := first.Root; n.Type != repository.NodeDir || n.Mode != os.ModeDir|0o755 || *n.Subtree != first.Tree || n.DeviceID != 7 {
		t.Errorf("root: %+v", n)
	}

	second := b.save(first) // its parent is still on its way to the storage
	if second.Tree != first.Tree || second.Unchanged != 53 || second.TreesReused != 8 || second.Walk.Opened != 0 {
		t.Errorf("second: %+v", second)
	}
	if err := b.w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.reopen()
	b.write("dir3/file8", "changed")
	b.write("dir3/new", "new")
	if err := os.Remove(filepath.Join(b.root, "dir2/file7")); err != nil {
		t.Fatal(err)
	}
	third := b.save(second)
	if third.New != 1 || third.Changed != 1 || third.Unchanged != 51 || third.TreesReused != 5 || third.Walk.Opened != 2 {
		t.Errorf("third: %+v", third)
	}
	if b.content(third.Tree, "dir3", "file8") != "changed" || b.content(third.Tree, "dir3", "new") != "new" {
		t.Error("the changes were not saved")
	}
	if _, err := b.repo.Resolve(t.Context(), third.Tree, "dir2", "file7"); err == nil {
		t.Error("a removed file is still there")
	}
	if got := b.content(third.Tree, "large"); got != string(random) {
		t.Errorf("large came back with %d bytes", len(got))
	}
}

// A file whose times are not older than the walk is read again.
func TestYoungFilesAreNotTrusted(t *testing.T) {
	b := newBench(t)
	b.write("old", "old")
	settle()
	first := b.save(nil)
	b.write("young", "young")
	second := b.save(first)
	third := b.save(second)
	if second.Unchanged != 1 || third.Unchanged+third.Changed != 2 {
		t.Errorf("second %+v, third %+v", second, third)
	}
	settle()
	fourth := b.save(third)
	fifth := b.save(fourth)
	if fifth.Unchanged != 2 || fifth.Walk.Opened != 0 {
		t.Errorf("fifth %+v", fifth)
	}
}

func TestNothingIsTrustedWithoutAStart(t *testing.T) {
	b := newBench(t)
	b.write("f", "f")
	settle()
	first := b.save(nil)
	got, err := b.try(&first.Tree, Trust{StableInodes: true})
	if err != nil {
		t.Fatal(err)
	}
	if got.Unchanged != 0 || got.Walk.Opened != 1 || got.Tree != first.Tree {
		t.Errorf("%+v", got)
	}
}

func TestNodesAreAsTheFormatWants(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	b := newBench(t)
	at := func(name string) string { return filepath.Join(b.root, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	b.write("suid", "s")
	must(unix.Chmod(at("suid"), 0o6751))
	must(os.Chown(at("suid"), 12, 34))
	must(unix.Chmod(at("suid"), 0o6751))
	must(os.Mkdir(at("sticky"), 0o755))
	must(unix.Chmod(at("sticky"), 0o1777))
	must(os.Symlink("tar\xffget", at("link")))
	must(unix.Mknod(at("char"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 300))))
	must(unix.Mknod(at("block"), unix.S_IFBLK|0o600, int(unix.Mkdev(7, 1))))
	must(unix.Mkfifo(at("fifo"), 0o600))
	must(unix.Mknod(at("sock"), unix.S_IFSOCK|0o600, 0))
	b.write("bad\xff\n", "name")
	must(unix.Setxattr(at("suid"), "user.x", []byte{0, 255}, 0))
	b.write("one", "linked")
	must(os.Link(at("one"), at("two")))
	ts := []unix.Timespec{{Sec: -1, Nsec: 5}, {Sec: -1_000_000_000, Nsec: 5}}
	must(unix.UtimesNanoAt(unix.AT_FDCWD, at("fifo"), ts, 0))

	res := b.save(nil)
	tree, err := b.repo.LoadTree(t.Context(), res.Tree)
	must(err)
	check := func(name string, ok func(n *repository.Node) bool) {
		t.Helper()
		if n := tree.Find(name); n == nil || !ok(n) {
			t.Errorf("%q: %+v", name, n)
		}
	}
	check("suid", func(n *repository.Node) bool {
		return n.Type == "file" && n.Mode == os.ModeSetuid|os.ModeSetgid|0o751 && n.UID == 12 && n.GID == 34 &&
			len(n.ExtendedAttributes) == 1 && n.ExtendedAttributes[0].Name == "user.x" && string(n.ExtendedAttributes[0].Value) == "\x00\xff"
	})
	check("sticky", func(n *repository.Node) bool { return n.Type == "dir" && n.Mode == os.ModeDir|os.ModeSticky|0o777 })
	check("link", func(n *repository.Node) bool {
		return n.Type == "symlink" && n.LinkTarget == "tar\xffget" && n.Mode&os.ModeSymlink != 0
	})
	check("char", func(n *repository.Node) bool {
		return n.Type == "chardev" && n.Device == unix.Mkdev(1, 300) && n.Mode == os.ModeDevice|os.ModeCharDevice|0o600
	})
	check("block", func(n *repository.Node) bool {
		return n.Type == "dev" && n.Device == unix.Mkdev(7, 1) && n.Mode == os.ModeDevice|0o600
	})
	check("fifo", func(n *repository.Node) bool {
		return n.Type == "fifo" && n.Mode == os.ModeNamedPipe|0o600 && n.ModTime.Unix() == -1_000_000_000 && n.ModTime.Nanosecond() == 5
	})
	check("sock", func(n *repository.Node) bool { return n.Type == "socket" })
	check("bad\xff\n", func(n *repository.Node) bool { return n.Size == 4 })
	one := tree.Find("one")
	check("two", func(n *repository.Node) bool {
		return n.Inode == one.Inode && n.Links == 2 && n.DeviceID == one.DeviceID && n.Size == 6 && n.Content[0] == one.Content[0]
	})
	settle()
	again := b.save(b.save(res))
	if again.Walk.Opened != 0 || again.TreesReused != again.Dirs {
		t.Errorf("again: %+v", again)
	}
}

// A new name of a file that did not change otherwise.
func TestALinkToAnUnchangedFile(t *testing.T) {
	b := newBench(t)
	b.write("a", "content")
	b.write("z", "other")
	if err := os.Link(filepath.Join(b.root, "a"), filepath.Join(b.root, "b")); err != nil {
		t.Fatal(err)
	}
	settle()
	first := b.save(nil)
	// The parent of one name is gone, the other is trusted: the walk sends b as
	// a link to a, of which only the name came.
	tree, err := b.repo.LoadTree(t.Context(), first.Tree)
	if err != nil {
		t.Fatal(err)
	}
	id, err := b.w.SaveTree(t.Context(), &repository.Tree{Nodes: []*repository.Node{tree.Find("a"), tree.Find("z")}})
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.try(&id, TrustOf(first.Walk))
	if err != nil {
		t.Fatal(err)
	}
	if second.Tree != first.Tree || second.Unchanged != 2 || second.New != 1 || second.Walk.Opened != 0 {
		t.Errorf("%+v", second)
	}
}

func TestTimesBeyondTheFormatAreClampedAndSaid(t *testing.T) {
	for _, c := range []struct {
		sec   int64
		year  int
		exact bool
	}{{-1 << 60, 0, false}, {1 << 60, 9999, false}, {-62167219200, 0, true}, {253402300799, 9999, true}, {253402300800, 9999, false}} {
		at, exact := recordable(volTime(c.sec))
		if at.Year() != c.year || exact != c.exact {
			t.Errorf("%d: %v, %v", c.sec, at, exact)
		}
	}
}

func volTime(sec int64) volume.Time { return volume.Time{Sec: sec} }
