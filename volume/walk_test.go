package volume

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A single file is walked as what its directory holds, and nothing else is.
func TestWalkOfOneName(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"a": "one", "ab": "two", "lost+found": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := connect(t, 1)
	collect := func(only string) (names []string, err error) {
		w, err := p.Walk(t.Context(), WalkRequest{Root: dir, Only: only}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		for {
			ev, err := w.Next()
			if errors.Is(err, io.EOF) {
				return names, nil
			}
			if err != nil {
				return nil, err
			}
			if ev.Entry != nil && ev.Entry.Path != "" && !slices.Contains(names, ev.Entry.Path) {
				names = append(names, strings.Clone(ev.Entry.Path))
			}
		}
	}
	if names, err := collect("a"); err != nil || !slices.Equal(names, []string{"a"}) {
		t.Errorf("%q, %v", names, err)
	}
	if names, err := collect("gone"); err == nil || !strings.Contains(err.Error(), "nothing of the name") {
		t.Errorf("%q, %v", names, err)
	}
}

func TestWalkGivesTheWholeTree(t *testing.T) {
	root := t.TempDir()
	want := map[string][]byte{
		"a":            []byte("first"),
		"a.b":          []byte("after the directory a would be, were it one"),
		"dir/empty":    {},
		"dir/sub/x":    bytes.Repeat([]byte("x"), 3000),
		"dir.d/y":      []byte("y"),
		"dir-e":        []byte("-"),
		"large":        make([]byte, 5<<20+17),
		"middle":       make([]byte, 300<<10),
		"\xff\xfe bad": []byte("a name that is not UTF-8"),
		"new\nline":    []byte("\n"),
	}
	rand.Read(want["large"])
	rand.Read(want["middle"])
	for i := range 500 {
		want[fmt.Sprintf("many/%03d", i)] = bytes.Repeat([]byte{byte(i)}, i*37)
	}
	for path, content := range want {
		write(t, filepath.Join(root, path), content)
	}
	got := walk(t, connect(t, 1), root, nil)
	for path, content := range want {
		if !bytes.Equal(got.content[path], content) {
			t.Errorf("%q: %d bytes, want %d", path, len(got.content[path]), len(content))
		}
		if e := got.entries[path]; e.Size != int64(len(content)) || e.Type != File || e.Mode != 0o644 {
			t.Errorf("%q: entry %+v", path, e)
		}
	}
	if len(got.content) != len(want) {
		t.Errorf("%d files, want %d", len(got.content), len(want))
	}
	res := got.result
	if res.Files != int64(len(want)) || res.Dirs != 5 || res.Opened != res.Files || !res.StableInodes || res.Started.IsZero() {
		t.Errorf("result %+v", res)
	}
	if len(got.warnings) != 0 {
		t.Errorf("warnings: %v", got.warnings)
	}
}

func TestUnchangedFilesAreNotOpened(t *testing.T) {
	root := t.TempDir()
	for i := range 300 {
		write(t, filepath.Join(root, fmt.Sprintf("d%d/f%d", i%7, i)), []byte(fmt.Sprint("content ", i)))
	}
	write(t, filepath.Join(root, "big"), make([]byte, 2<<20))
	if err := os.Symlink("big", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(root, "big"), filepath.Join(root, "big2")); err != nil {
		t.Fatal(err)
	}
	peer := connect(t, 1)
	first := walk(t, peer, root, nil)
	second := walk(t, peer, root, first.known())
	if second.result.Opened != 0 || second.result.Bytes != 0 {
		t.Errorf("opened %d files and read %d bytes of an unchanged volume", second.result.Opened, second.result.Bytes)
	}
	if want := int64(len(first.order)) - first.result.Dirs; second.result.Unchanged != want {
		t.Errorf("%d unchanged, want %d", second.result.Unchanged, want)
	}
	write(t, filepath.Join(root, "d3/f10"), []byte("other 1234"))
	write(t, filepath.Join(root, "d3/f10a"), []byte("new"))
	if err := os.Remove(filepath.Join(root, "d1/f1")); err != nil {
		t.Fatal(err)
	}
	third := walk(t, peer, root, first.known())
	if third.result.Opened != 2 || string(third.content["d3/f10"]) != "other 1234" || string(third.content["d3/f10a"]) != "new" {
		t.Errorf("opened %d, read %q", third.result.Opened, third.content)
	}
	if _, ok := third.entries["d1/f1"]; ok {
		t.Error("a removed file was found")
	}
}

// Whatever one field of the record says otherwise, the file is read.
func TestEveryFieldOfTheTrustRuleCounts(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "f"), []byte("content"))
	peer := connect(t, 1)
	first := walk(t, peer, root, nil)
	for name, change := range map[string]func(*Known){
		"size":      func(k *Known) { k.Size++ },
		"mtime":     func(k *Known) { k.ModTime.Nsec ^= 1 },
		"ctime":     func(k *Known) { k.ChangeTime.Sec-- },
		"inode":     func(k *Known) { k.Inode++ },
		"type":      func(k *Known) { k.Type = Symlink },
		"untrusted": func(k *Known) { k.Trusted = false },
	} {
		t.Run(name, func(t *testing.T) {
			got := walk(t, peer, root, func(yield func(Known) error) error {
				return first.known()(func(k Known) error {
					change(&k)
					return yield(k)
				})
			})
			if got.result.Opened != 1 || string(got.content["f"]) != "content" {
				t.Errorf("not read: %+v", got.result)
			}
		})
	}
}

func TestExcludedPathsAreLeftOut(t *testing.T) {
	root := t.TempDir()
	for _, path := range []string{
		"cache/x", "sub/cache/y", "sub/keep", "a.log", "sub/b.log", "tmp/z", "sub/tmp/z",
		".ripplebak-restore-1/staged", "sub/.ripplebak-restore-1/kept", "lost+found/x", "sub/lost+found/x",
	} {
		write(t, filepath.Join(root, path), []byte(path))
	}
	w, err := connect(t, 1).Walk(t.Context(), WalkRequest{Root: root, Exclude: []string{"/cache/", "*.log", "/sub/tmp/**"}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := collect(t, w)
	want := []string{
		"", "sub", "sub/.ripplebak-restore-1", "sub/.ripplebak-restore-1/kept", "sub/cache", "sub/cache/y",
		"sub/keep", "sub/lost+found", "sub/lost+found/x", "tmp", "tmp/z",
	}
	if !slices.Equal(got.order, want) {
		t.Errorf("got %q\nwant %q", got.order, want)
	}
	if len(got.warnings) > 0 {
		t.Errorf("warnings: %v", got.warnings)
	}
	for _, bad := range []string{"", "/", "[", "a{b"} {
		if _, err := newExcluder([]string{bad}); err == nil {
			t.Errorf("exclude %q was taken", bad)
		}
	}
}

func TestF16_EveryKindOfFile(t *testing.T) {
	needRoot(t)
	root := t.TempDir()
	at := func(name string) string { return filepath.Join(root, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write(t, at("file"), []byte("hello"))
	must(os.Link(at("file"), at("hard")))
	write(t, at("large"), make([]byte, 1<<20))
	must(os.Mkdir(at("z"), 0o755))
	must(os.Link(at("large"), at("z/large2")))
	must(os.Link(at("large"), at("z/large3")))
	must(os.Symlink("../../etc/passwd", at("odd")))
	must(os.Symlink("bad\xff\n", at("odd2")))
	must(os.Symlink(strings.Repeat("x", 4095), at("odd3")))
	must(unix.Mkfifo(at("fifo"), 0o600))
	must(unix.Mknod(at("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	must(unix.Mknod(at("loop"), unix.S_IFBLK|0o660, int(unix.Mkdev(7, 300))))
	must(unix.Mknod(at("socket"), unix.S_IFSOCK|0o600, 0))
	must(os.Link(at("fifo"), at("fifo2")))
	write(t, at(strings.Repeat("n", 255)), []byte("long"))
	write(t, at("suid"), []byte("s"))
	must(unix.Chmod(at("suid"), 0o6755))
	must(os.Lchown(at("odd"), 1234, 5678))
	must(unix.Chmod(at("z"), 0o1777))
	setTime := func(name string, sec, nsec int64) {
		ts := []unix.Timespec{{Sec: sec, Nsec: nsec}, {Sec: sec, Nsec: nsec}}
		must(unix.UtimesNanoAt(unix.AT_FDCWD, at(name), ts, unix.AT_SYMLINK_NOFOLLOW))
	}
	setTime("file", -1_000_000_000, 123456789)
	setTime("suid", 10_000_000_000, 1)
	must(unix.Setxattr(at("suid"), "user.bin", []byte{0, 1, 255}, 0))
	must(unix.Setxattr(at("suid"), "user.empty", nil, 0))
	must(unix.Setxattr(at("suid"), "trusted.no", []byte("x"), 0))
	capability := []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	must(unix.Setxattr(at("suid"), "security.capability", capability, 0))
	acl := []byte{2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 1, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255,
		16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255}
	must(unix.Setxattr(at("null"), "system.posix_acl_access", acl, 0))
	must(unix.Setxattr(at("z"), "system.posix_acl_default", acl, 0))

	peer := connect(t, 1)
	got := walk(t, peer, root, nil)
	check := func(name string, ok func(e Entry) bool) {
		t.Helper()
		e, there := got.entries[name]
		if !there || !ok(e) {
			t.Errorf("%q: %+v", name, e)
		}
	}
	check("hard", func(e Entry) bool { return e.HardLinkOf == "file" && e.Links == 2 && e.Type == File })
	check("z/large2", func(e Entry) bool { return e.HardLinkOf == "large" && e.Links == 3 })
	check("z/large3", func(e Entry) bool { return e.HardLinkOf == "large" })
	check("odd", func(e Entry) bool { return e.LinkTarget == "../../etc/passwd" && e.UID == 1234 && e.GID == 5678 })
	check("odd2", func(e Entry) bool { return e.LinkTarget == "bad\xff\n" })
	check("odd3", func(e Entry) bool { return len(e.LinkTarget) == 4095 })
	check("fifo", func(e Entry) bool { return e.Type == FIFO && e.Mode == 0o600 })
	check("fifo2", func(e Entry) bool { return e.Type == FIFO && e.HardLinkOf == "fifo" })
	check("null", func(e Entry) bool {
		return e.Type == CharDevice && e.Rdev == unix.Mkdev(1, 3) && len(e.Xattrs) == 1 && e.Xattrs[0].Name == "system.posix_acl_access"
	})
	check("loop", func(e Entry) bool { return e.Type == BlockDevice && e.Rdev == unix.Mkdev(7, 300) })
	check("socket", func(e Entry) bool { return e.Type == Socket })
	check(strings.Repeat("n", 255), func(e Entry) bool { return e.Size == 4 })
	check("file", func(e Entry) bool { return e.ModTime == Time{-1_000_000_000, 123456789} })
	check("suid", func(e Entry) bool {
		return e.Mode == 0o6755 && e.ModTime == Time{10_000_000_000, 1} && len(e.Xattrs) == 3 &&
			e.Xattrs[0].Name == "security.capability" && bytes.Equal(e.Xattrs[0].Value, capability) &&
			e.Xattrs[1].Name == "user.bin" && bytes.Equal(e.Xattrs[1].Value, []byte{0, 1, 255}) &&
			e.Xattrs[2].Name == "user.empty" && len(e.Xattrs[2].Value) == 0
	})
	check("z", func(e Entry) bool {
		return e.Mode == 0o1777 && len(e.Xattrs) == 1 && bytes.Equal(e.Xattrs[0].Value, acl)
	})
	if len(got.warnings) != 0 {
		t.Errorf("warnings: %v", got.warnings)
	}
	again := walk(t, peer, root, got.known())
	if again.result.Opened != 0 || again.result.Unchanged != int64(len(got.order))-got.result.Dirs {
		t.Errorf("second walk: %+v", again.result)
	}
}

func TestF16_ASparseFileTravelsAsHoles(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "sparse")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size = 50 << 30
	for _, at := range []int64{0, 1 << 30, size - 4096} {
		if _, err := f.WriteAt([]byte("data"), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	got := walk(t, connect(t, 1), root, nil)
	if total := int64(len(got.content["sparse"])) + got.holes["sparse"]; total != size {
		t.Errorf("%d bytes, want %d", total, int64(size))
	}
	if got.result.Bytes > 1<<20 {
		t.Errorf("%d bytes were read; holes were not seen", got.result.Bytes)
	}
	if n := bytes.Count(got.content["sparse"], []byte("data")); n != 3 {
		t.Errorf("%d of 3 pieces of data", n)
	}
	t.Logf("took %v", time.Since(begin))
}

func TestF15_WhatCannotBeReadIsSaid(t *testing.T) {
	needRoot(t)
	root := t.TempDir()
	write(t, filepath.Join(root, "ok"), []byte("ok"))
	write(t, filepath.Join(root, "no"), []byte("secret"))
	write(t, filepath.Join(root, "nodir/x"), []byte("x"))
	for _, name := range []string{"no", "nodir"} {
		if err := os.Chmod(filepath.Join(root, name), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	peer := connect(t, 1)
	got := asNobody(t, func() *found { return walk(t, peer, root, nil) })
	if !slices.Equal(got.warned("no"), []WarningKind{WarnUnreadable}) || !slices.Equal(got.warned("nodir"), []WarningKind{WarnUnreadable}) {
		t.Errorf("warnings: %+v", got.warnings)
	}
	if string(got.content["ok"]) != "ok" || got.result.Unreadable != 2 {
		t.Errorf("%+v", got.result)
	}
	if _, ok := got.entries["no"]; ok {
		t.Error("an unreadable file was given out")
	}
}

func TestMountPointsAreNotEntered(t *testing.T) {
	needRoot(t)
	root := t.TempDir()
	other := t.TempDir()
	write(t, filepath.Join(other, "foreign"), []byte("foreign"))
	write(t, filepath.Join(root, "a/own"), []byte("own"))
	write(t, filepath.Join(root, "file"), []byte("hidden"))
	mount := func(from, to string) {
		if err := os.MkdirAll(to, 0o755); err != nil && !errors.Is(err, unix.ENOTDIR) {
			t.Fatal(err)
		}
		if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
			t.Skipf("cannot mount here: %v", err)
		}
		t.Cleanup(func() { unix.Unmount(to, unix.MNT_DETACH) })
	}
	mount(other, filepath.Join(root, "a/mounted"))
	mount(filepath.Join(other, "foreign"), filepath.Join(root, "file"))
	got := walk(t, connect(t, 1), root, nil)
	if want := []string{"", "a", "a/own"}; !slices.Equal(got.order, want) {
		t.Errorf("got %q, want %q", got.order, want)
	}
	for _, path := range []string{"a/mounted", "file"} {
		if !slices.Equal(got.warned(path), []WarningKind{WarnMount}) {
			t.Errorf("%s: %v", path, got.warnings)
		}
	}
}

func TestAWalkThatFailsSaysWhy(t *testing.T) {
	peer := connect(t, 1)
	w, err := peer.Walk(t.Context(), WalkRequest{Root: "/does/not/exist"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tryCollect(w); err == nil || !strings.Contains(err.Error(), "/does/not/exist: no such file") {
		t.Errorf("got %v", err)
	}
	broken := errors.New("a tree is damaged")
	w, err = peer.Walk(t.Context(), WalkRequest{Root: t.TempDir()}, func(func(Known) error) error { return broken }, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tryCollect(w); !errors.Is(err, broken) {
		t.Errorf("got %v, want the source's error", err)
	}
	w, err = peer.Walk(t.Context(), WalkRequest{Root: t.TempDir()}, func(yield func(Known) error) error {
		for _, path := range []string{"b", "a"} {
			if err := yield(Known{Path: path, Type: File, Trusted: true}); err != nil {
				return err
			}
		}
		return nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tryCollect(w); !errors.Is(err, errKnownOrder) {
		t.Errorf("got %v, want that the order is wrong", err)
	}
	// The connection is still good.
	root := t.TempDir()
	write(t, filepath.Join(root, "f"), []byte("f"))
	if got := walk(t, peer, root, nil); string(got.content["f"]) != "f" {
		t.Error("the next walk found nothing")
	}
}

func TestAWalkThatIsBrokenOffLeavesTheHelperUsable(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "big"), make([]byte, 64<<20))
	peer := connect(t, 1)
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		w, err := peer.Walk(ctx, WalkRequest{Root: root}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Next(); err != nil {
			t.Fatal(err)
		}
		cancel()
		for err == nil {
			_, err = w.Next()
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that it was cancelled", err)
		}
		w.Close()
		w, err = peer.Walk(t.Context(), WalkRequest{Root: root}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
	}
	if got := walk(t, peer, root, nil); len(got.content["big"]) != 64<<20 {
		t.Error("the last walk is not whole")
	}
}
