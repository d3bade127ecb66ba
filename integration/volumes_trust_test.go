package integration

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// opens watches which files below a directory are opened, by whomever.
type opens struct {
	t  testing.TB
	fd int
}

func watchOpens(t testing.TB, root string) *opens {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		_, err = unix.InotifyAddWatch(fd, path, unix.IN_OPEN|unix.IN_ONLYDIR)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return &opens{t, fd}
}

// count is how many times a file that is no directory was opened since the
// last call.
func (o *opens) count() int {
	o.t.Helper()
	buf := make([]byte, 1<<20)
	n := 0
	for {
		got, err := unix.Read(o.fd, buf)
		if err == unix.EAGAIN {
			return n
		}
		if err != nil {
			o.t.Fatal(err)
		}
		for at := 0; at < got; {
			mask := uint32(buf[at+4]) | uint32(buf[at+5])<<8 | uint32(buf[at+6])<<16 | uint32(buf[at+7])<<24
			length := int(buf[at+12]) | int(buf[at+13])<<8
			if mask&unix.IN_ISDIR == 0 {
				n++
			}
			at += 16 + length
		}
	}
}

// TestUnchangedFilesAreNotOpened also shows that the watch sees what is opened.
func TestUnchangedFilesAreNotOpened(t *testing.T) {
	p := newProject(t, filesApp).withRepository()
	p.up("app")
	root := p.mountpoint("data")
	for i := range 300 {
		dir := filepath.Join(root, fmt.Sprintf("d%d", i%10), "sub")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, fmt.Sprintf("f%d", i)), fmt.Sprint("content ", i))
	}
	seen := watchOpens(t, root)
	p.backup()
	if n := seen.count(); n != 300 {
		t.Fatalf("the first run opened %d files, want 300", n)
	}
	again := p.backup()
	if n := seen.count(); n != 0 {
		t.Errorf("a run in which nothing had changed opened %d files", n)
	}
	if again.BytesStored > 64<<10 {
		t.Errorf("and stored %d bytes", again.BytesStored)
	}
	writeFile(t, filepath.Join(root, "d3", "sub", "f3"), "changed")
	seen.count()
	p.backup()
	if n := seen.count(); n != 1 {
		t.Errorf("after one change %d files were opened", n)
	}
	p.resticSays()
}

// TestF23_StoreThroughMmap stores into a mapped file before, during and one
// second after a run. The page is dirty already, so that the time of the file
// does not move by itself.
func TestF23_StoreThroughMmap(t *testing.T) {
	p := newProject(t, filesApp).withRepository()
	p.up("app")
	root := p.mountpoint("data")
	const size = 1 << 20
	writeFile(t, filepath.Join(root, "mapped"), string(make([]byte, size)))
	f, err := os.OpenFile(filepath.Join(root, "mapped"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	memory, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(memory)
	store := func(text string) { copy(memory[size/2:], text) }
	holds := func(snapshot, want string) {
		t.Helper()
		got := p.mustRestic("dump", "-q", snapshot, "/"+p.name+"/volumes/data/mapped")
		if got[size/2:size/2+len(want)] != want {
			t.Errorf("the snapshot holds %q, want %q", got[size/2:size/2+len(want)], want)
		}
	}
	store("before the run")
	holds(p.backup().Snapshot, "before the run")
	time.Sleep(time.Second) // the case itself: a second after the run
	store("a second after")
	holds(p.backup().Snapshot, "a second after")

	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			store(fmt.Sprintf("during %10d", i))
			select {
			case <-quit:
				return
			case <-time.After(200 * time.Microsecond):
			}
		}
	}()
	p.backup()
	close(quit)
	<-done
	last := string(memory[size/2 : size/2+17])
	holds(p.backup().Snapshot, last)
}
