package volume

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mapped is a file that a process has mapped and stores into.
type mapped struct {
	t   *testing.T
	mem []byte
}

// mapFile makes a file of pages and maps it, on a disk: on tmpfs nothing is ever
// trusted, see TestTmpfsIsNeverTrusted.
func mapFile(t *testing.T, path string, pages int) *mapped {
	t.Helper()
	write(t, path, make([]byte, pages*4096))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mem, err := unix.Mmap(int(f.Fd()), 0, pages*4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(mem) })
	return &mapped{t: t, mem: mem}
}

// onDisk is a directory on a filesystem that the walk trusts.
func onDisk(t *testing.T) string {
	t.Helper()
	for _, dir := range []string{t.TempDir(), "/var/tmp"} {
		dir, err := os.MkdirTemp(dir, "rbmmap")
		if err != nil {
			continue
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		r, err := openRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		ok := r.fs.stable && !r.fs.silent
		r.close()
		if ok {
			return dir
		}
	}
	t.Skip("no filesystem here whose times can be trusted")
	return ""
}

// trusted gives what is known of a walk by the rule: times older than its start.
func (f *found) trusted() KnownSource {
	limit := f.result.Started.Add(-time.Duration(f.result.SlackMillis) * time.Millisecond)
	return func(yield func(Known) error) error {
		return f.known()(func(k Known) error {
			k.Trusted = !f.result.Started.IsZero() && k.ModTime.Before(limit) && k.ChangeTime.Before(limit)
			return yield(k)
		})
	}
}

// coarse waits until the filesystem's clock has moved on by d.
func coarse(t *testing.T, d time.Duration) {
	t.Helper()
	read := func() Time {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &ts); err != nil {
			t.Fatal(err)
		}
		return Time{Sec: ts.Sec, Nsec: uint32(ts.Nsec)}
	}
	for until := read().Add(d); read().Before(until); {
		time.Sleep(time.Millisecond)
	}
}

// The page is dirty already when the walk begins, so that a store into it would
// not move the file's times: the walk's syncfs makes it.
func TestF23_AStoreThroughMmapBetweenTwoWalksIsFound(t *testing.T) {
	root := onDisk(t)
	m := mapFile(t, filepath.Join(root, "store"), 4)
	write(t, filepath.Join(root, "quiet"), []byte("quiet"))
	m.mem[100] = 'a' // the page is dirty from here on
	coarse(t, 100*time.Millisecond)
	peer := connect(t, 1)
	first := walk(t, peer, root, nil)
	if first.content["store"][100] != 'a' {
		t.Fatal("the first walk did not see the first store")
	}
	m.mem[100] = 'b' // at once, into the page that was dirty
	second := walk(t, peer, root, first.trusted())
	if second.kinds["store"] != FileStart || second.content["store"][100] != 'b' {
		t.Errorf("the store was not found: %v", second.kinds)
	}
	if second.kinds["quiet"] != Unchanged {
		t.Errorf("what did not change was read: %v", second.kinds)
	}
}

func TestF23_AStoreThroughMmapOneSecondAfterARunIsFound(t *testing.T) {
	root := onDisk(t)
	m := mapFile(t, filepath.Join(root, "store"), 4)
	m.mem[100] = 'a'
	coarse(t, 100*time.Millisecond)
	peer := connect(t, 1)
	first := walk(t, peer, root, nil)
	coarse(t, time.Second)
	m.mem[100] = 'b'
	second := walk(t, peer, root, first.trusted())
	if second.kinds["store"] != FileStart || second.content["store"][100] != 'b' {
		t.Errorf("the store was not found: %v", second.kinds)
	}
	// And one that comes while the file is already known to have changed.
	m.mem[100] = 'c'
	third := walk(t, peer, root, second.trusted())
	if third.kinds["store"] != FileStart || third.content["store"][100] != 'c' {
		t.Errorf("the store after the second run was not found: %v", third.kinds)
	}
	// Left alone, it is trusted in the end.
	coarse(t, 100*time.Millisecond)
	fourth := walk(t, peer, root, third.trusted())
	if fourth.kinds["store"] == Unchanged {
		return // the third walk took its time to begin: it was trusted already
	}
	fifth := walk(t, peer, root, fourth.trusted())
	if fifth.kinds["store"] != Unchanged {
		t.Errorf("a file that nobody touches is read again: %v", fifth.kinds)
	}
}

// Stores at every moment around walks: what the last walk holds, with all that
// it took over from those before, is what is in memory when all is quiet.
func TestF23_StoresAtAnyMomentAreFound(t *testing.T) {
	root := onDisk(t)
	const files = 8
	var maps []*mapped
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	for _, name := range names[:files] {
		maps = append(maps, mapFile(t, filepath.Join(root, name), 2))
	}
	peer := connect(t, 1)
	held := map[string]byte{}
	var last *found
	for round := range 30 {
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for i := byte(0); ; i++ {
				select {
				case <-stop:
					return
				default:
					maps[int(i)%files].mem[5000] = i + byte(round)
				}
			}
		}()
		coarse(t, time.Duration(round)*time.Millisecond)
		close(stop)
		<-stopped
		var known KnownSource
		if last != nil {
			known = last.trusted()
		}
		got := walk(t, peer, root, known)
		for i, name := range names[:files] {
			if got.kinds[name] == FileStart {
				held[name] = got.content[name][5000]
			} else {
				// Unchanged: its entry is the one from before.
				got.entries[name] = last.entries[name]
			}
			if held[name] != maps[i].mem[5000] {
				t.Fatalf("round %d: %s holds %d, saved is %d", round, name, maps[i].mem[5000], held[name])
			}
		}
		last = got
	}
}

func TestTmpfsIsNeverTrusted(t *testing.T) {
	for _, magic := range []uint32{unix.TMPFS_MAGIC, unix.RAMFS_MAGIC} {
		if !kindOf(magic).silent {
			t.Errorf("%#x is trusted, and stores through mmap do not move its times", magic)
		}
	}
	dir, err := os.MkdirTemp("/dev/shm", "rbtmpfs")
	if err != nil {
		t.Skip("no tmpfs here")
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	write(t, filepath.Join(dir, "f"), []byte("f"))
	if got := walk(t, connect(t, 1), dir, nil); !got.result.Started.IsZero() {
		t.Skip("/dev/shm is no tmpfs")
	}
}

func TestUnstableFilesystemsGetSlackAndNoLinks(t *testing.T) {
	for name, magic := range map[string]uint32{
		"FUSE": unix.FUSE_SUPER_MAGIC, "9p": unix.V9FS_MAGIC, "CIFS": magicCIFS, "SMB2": magicSMB2, "unknown": 0x12345678,
	} {
		if k := kindOf(magic); k.stable || k.slack != 60_000 {
			t.Errorf("%s: %+v", name, k)
		}
	}
	if k := kindOf(unix.EXT4_SUPER_MAGIC); !k.stable || k.slack > 1000 || k.silent {
		t.Errorf("ext4: %+v", k)
	}
	m := meta{links: 3, dev: 5}
	(&root{at: meta{dev: 5}}).judgeLinks(&m)
	if m.links != 1 {
		t.Error("hard links are inferred where inodes are made up")
	}
	w := &walker{root: &root{}}
	k := Known{Type: File, Inode: 1}
	if !w.unchanged(&k, &meta{typ: File, ino: 2}) {
		t.Error("inodes are compared where they are made up")
	}
}
