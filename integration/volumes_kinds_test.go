package integration

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hugeSparse is a file that is too long for tools that read holes; assertSparse
// compares it.
const (
	hugeSparse     = "sparse-50GiB"
	hugeSparseSize = int64(50) << 30
)

// beyondRestic holds what we keep and restic 0.14 does not: times after 2262,
// link targets and names of attributes that are no UTF-8, linked FIFOs.
const beyondRestic = "beyond restic"

// kinds makes files of every kind.
type kinds struct {
	t   testing.TB
	dir string
}

func (k kinds) path(name string) string { return filepath.Join(k.dir, name) }

func (k kinds) check(what string, err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatalf("%s: %v", what, err)
	}
}

// file makes a file of the mode that its name says everything about.
func (k kinds) file(name string, mode uint32) string {
	k.t.Helper()
	writeFile(k.t, k.path(name), "content of "+name)
	k.check("chmod", unix.Chmod(k.path(name), mode))
	return k.path(name)
}

func (k kinds) link(target, name string) {
	k.t.Helper()
	k.check("symlink", unix.Symlink(target, k.path(name)))
}

func (k kinds) node(name string, mode uint32, dev uint64) {
	k.t.Helper()
	k.check("mknod", unix.Mknod(k.path(name), mode, int(dev)))
}

func (k kinds) time(name string, sec, nsec int64) {
	k.t.Helper()
	times := []unix.Timespec{{Sec: sec, Nsec: nsec}, {Sec: sec, Nsec: nsec}}
	k.check("utimes", unix.UtimesNanoAt(unix.AT_FDCWD, k.path(name), times, unix.AT_SYMLINK_NOFOLLOW))
}

func (k kinds) run(argv ...string) { k.t.Helper(); must(k.t, argv...) }

func (k kinds) makeAll() {
	k.t.Helper()
	k.contents()
	k.links()
	k.specials()
	k.names()
	k.rights()
	k.attributes()
	k.times() // last, because the others move the times of directories
}

func (k kinds) contents() {
	k.t.Helper()
	k.file("empty", 0o644)
	k.check("truncate", os.Truncate(k.path("empty"), 0))
	randomFile(k.t, k.path("random"), 5<<20)
	writeFile(k.t, k.path("zeros"), strings.Repeat("\x00", 3<<20))
	k.check("mkdir", os.MkdirAll(k.path("d/e/f/g"), 0o755))
	k.check("mkdir", os.Mkdir(k.path("nothing in it"), 0o700))
	k.check("mkdir", os.Mkdir(k.path(beyondRestic), 0o700))
	k.file("d/e/f/g/deep", 0o600)
	f, err := os.Create(k.path(hugeSparse))
	k.check("create", err)
	defer f.Close()
	k.check("truncate", f.Truncate(hugeSparseSize))
	for _, at := range sparseMarks() {
		_, err := f.WriteAt([]byte(fmt.Sprintf("mark at %d", at)), at)
		k.check("write", err)
	}
	small, err := os.Create(k.path("sparse-small"))
	k.check("create", err)
	defer small.Close()
	_, err = small.WriteAt([]byte("in the middle"), 20<<20)
	k.check("write", err)
	k.check("truncate", small.Truncate(40<<20))
}

// sparseMarks is where the long file is no hole.
func sparseMarks() []int64 { return []int64{0, 12345678901, 40<<30 + 4095, hugeSparseSize - 64} }

func (k kinds) links() {
	k.t.Helper()
	k.file("hard", 0o640)
	k.check("link", os.Link(k.path("hard"), k.path("d/e/hard too")))
	k.check("link", os.Link(k.path("hard"), k.path("z hard")))
	for name, target := range map[string]string{
		"l dangling": "no/such/thing", "l absolute": "/etc/passwd", "l up": "../../../../etc", "l self": "l self",
		"l newline": "a\nb", "l dir": "d/e", "l dot": ".", "l long": strings.Repeat("x/", 2000),
		beyondRestic + "/l bytes": "\xff\xfe\x80 no UTF-8",
	} {
		k.link(target, name)
	}
	k.check("lchown", os.Lchown(k.path("l dangling"), 4711, 4712))
	k.check("link", unix.Linkat(unix.AT_FDCWD, k.path(beyondRestic+"/l bytes"), unix.AT_FDCWD, k.path(beyondRestic+"/l bytes too"), 0))
}

func (k kinds) specials() {
	k.t.Helper()
	k.node("fifo", unix.S_IFIFO|0o620, 0)
	k.node("d/fifo", unix.S_IFIFO|0o600, 0)
	k.node("char", unix.S_IFCHR|0o666, unix.Mkdev(1, 3))
	k.node("char big", unix.S_IFCHR|0o600, unix.Mkdev(511, 0xfffff))
	k.node("block", unix.S_IFBLK|0o660, unix.Mkdev(7, 200))
	k.node("d/socket", unix.S_IFSOCK|0o755, 0)
	k.check("link", os.Link(k.path("d/fifo"), k.path(beyondRestic+"/fifo too")))
}

func (k kinds) names() {
	k.t.Helper()
	for _, name := range []string{
		strings.Repeat("n", 255), strings.Repeat("ü", 127), "new\nline", "tab\tand\\backslash\\n", "quote\"and'", " leading", "trailing ",
		"-rf", "*", "\xff\xfe", "half \xc3", "\x01\x1b[31m", "é", "é", "CON", "a:b", "%41", "...", ".hidden", "d/lost+found",
	} {
		k.file(name, 0o644)
	}
	long := k.dir
	for range 12 {
		long = filepath.Join(long, strings.Repeat("p", 200))
	}
	k.check("mkdir", os.MkdirAll(long, 0o755))
	writeFile(k.t, filepath.Join(long, "at the end of a long path"), "x")
	k.check("mkdir", os.Mkdir(k.path("dir \xf0\x28"), 0o755))
	k.file("dir \xf0\x28/inner \xff", 0o644)
}

func (k kinds) rights() {
	k.t.Helper()
	for name, mode := range map[string]uint32{"m000": 0, "m4755": 0o4755, "m2755": 0o2755, "m6711": 0o6711, "m1644": 0o1644, "m0777": 0o777} {
		k.file(name, mode)
	}
	for name, mode := range map[string]uint32{"d000": 0, "d1777": 0o1777, "d2775": 0o2775} {
		k.check("mkdir", os.Mkdir(k.path(name), 0o755))
		k.file(name+"/inner", 0o600)
		k.check("chmod", unix.Chmod(k.path(name), mode))
	}
	// chown takes setuid and capabilities away, so owners come before modes.
	k.file("owned", 0o644)
	k.check("chown", os.Chown(k.path("owned"), 123456, 4294967294))
	k.check("chmod", unix.Chmod(k.path("owned"), 0o6750))
	k.check("chown", os.Chown(k.dir, 1001, 1002))
	k.check("chmod", unix.Chmod(k.dir, 0o2771))
}

func (k kinds) attributes() {
	k.t.Helper()
	set := func(name, attr, value string) {
		k.t.Helper()
		k.check("setxattr "+attr, unix.Lsetxattr(k.path(name), attr, []byte(value), 0))
	}
	f := k.file("x file", 0o644)
	set("x file", "user.color", "blue")
	set("x file", "user.empty", "")
	set("x file", "user.binary", "\x00\x01\xff=\n")
	k.file(beyondRestic+"/x odd", 0o644)
	set(beyondRestic+"/x odd", "user.=\nodd \xff", "v")
	set("x file", "user.long", strings.Repeat("v", 3000))
	set("d/e", "user.of-dir", "yes")
	k.run("setfacl", "-m", "u:1234:rw,u:root:r,g:99:rwx,m::rw", f)
	k.run("setfacl", "-d", "-m", "u:1234:rwx,g:77:rx", k.path("d/e/f"))
	k.run("setfacl", "-m", "u:7:rx", k.path("d/e/f"))
	k.run("setfacl", "-d", "-m", "u::rwx,g::-,o::-", k.path("nothing in it"))
	k.run("setcap", "cap_net_bind_service,cap_net_raw+ep", k.file("x capable", 0o755))
	// Version 3, with a root user ID of a namespace.
	c := make([]byte, 24)
	for i, v := range []uint32{0x03000000 | 1, 1 << 10, 0, 0, 0, 100000} {
		binary.LittleEndian.PutUint32(c[4*i:], v)
	}
	k.file("x capable ns", 0o755)
	set("x capable ns", "security.capability", string(c))
}

func (k kinds) times() {
	k.t.Helper()
	at := func(y int) int64 { return time.Date(y, 2, 3, 4, 5, 6, 0, time.UTC).Unix() }
	for name, sec := range map[string]int64{"t1902": at(1902), "t1969": -1, "t0": 0, "t1970": 1, "t2039": at(2039), "t2107": at(2107), beyondRestic + "/t2263": at(2263), beyondRestic + "/t2400": at(2400)} {
		k.file(name, 0o644)
		k.time(name, sec, 987654321)
	}
	k.time("l dangling", at(1950), 1)
	k.time("fifo", at(2200), 999999999)
	k.time("char", 5, 5)
	k.time("d/e/f/g", at(1955), 123456789)
	k.time("d/e", at(2260), 1)
	k.time(beyondRestic, at(2270), 1)
	k.time("d000", at(2001), 42)
	k.time("", at(1999), 77)
}

// assertSparse asserts that the long file is what makeAll made.
func assertSparse(t testing.TB, path string) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	if st.Size != hugeSparseSize || st.Blocks*512 > 4<<20 {
		t.Errorf("the sparse file has size %d and takes %d bytes", st.Size, st.Blocks*512)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, at := range sparseMarks() {
		want := fmt.Sprintf("mark at %d", at)
		got := make([]byte, len(want)+1)
		if _, err := f.ReadAt(got, at); err != nil {
			t.Fatal(err)
		}
		if string(got) != want+"\x00" {
			t.Errorf("at %d the sparse file holds %q, want %q", at, got, want)
		}
	}
}

// damage does to files what accidents do.
func (k kinds) damage() {
	k.t.Helper()
	in := func(script string) {
		k.t.Helper()
		r := command(k.t, k.dir, nil, "", "bash", "-euc", script)
		if r.code != 0 {
			k.t.Fatalf("damage: %s", r)
		}
	}
	in(`t=$(stat -c %y random); printf X | dd of=random bs=1 seek=1000000 conv=notrunc status=none; touch -d "$t" random`)
	in(`rm -r d/e/f; echo "a file now" > d/e/f`)                  // a directory becomes a file
	in(`rm empty; mkdir empty; echo x > empty/inner`)             // and the other way
	in(`rm "z hard"; echo alone > "z hard"`)                      // a hard link is cut
	in(`rm "l dir"; mkdir "l dir"; echo trap > "l dir/hard too"`) // a link becomes a directory
	in(`rm fifo; echo x > fifo; rm char; mknod char c 1 5`)
	in(`chmod 777 m000; chown 1:1 owned; chmod 000 d1777; setfattr -x user.color "x file"; setfattr -n user.extra -v 1 "x file"`)
	in(`setfacl -b "x file"; setcap -r "x capable"; touch t1969; setfacl -k "nothing in it"`)
	in(`mkdir -p extra/tree; echo x > extra/tree/file; mkfifo extra/fifo; echo x > d000/extra; rm -r "dir "*`)
	in(`truncate -s 1G ` + hugeSparse + `; rm ` + hugeSparse + `; echo "not sparse" > ` + hugeSparse)
	in(`chmod 755 .; chown 0:0 .; setfattr -n user.root -v 1 .`)
}

func TestF16_EveryKindOfFile(t *testing.T) {
	t.Parallel()
	p := newProject(t, filesApp).withRepository()
	p.up("app")
	root := p.mountpoint("data")
	k := kinds{t, root}
	k.makeAll()
	want := savedCopy(t, root)
	assertSame(t, want, root, hugeSparse) // the tools themselves agree

	report := p.backup()
	if report.BytesStored > 40<<20 {
		t.Errorf("%d bytes were stored: holes were stored", report.BytesStored)
	}
	t.Run("into the emptied volume", func(t *testing.T) {
		empty(t, root)
		p := p.inTest(t)
		r := p.run("restore", "latest", "--yes", "--json")
		if r.code != 0 {
			t.Fatalf("restore: %s", r)
		}
		if !strings.Contains(r.stdout, "d/socket: a socket") {
			t.Errorf("the report does not say that the socket is not kept:\n%s", r.stdout)
		}
		assertRestoredKinds(t, want, root)
	})
	t.Run("over a damaged one", func(t *testing.T) {
		kinds{t, root}.damage()
		p.inTest(t).mustRun("restore", report.Snapshot, "--yes")
		assertRestoredKinds(t, want, root)
	})
	t.Run("by restic", func(t *testing.T) { assertResticRestoresKinds(t, p.inTest(t), report.Snapshot, want) })
	t.Run("what restic wrote", func(t *testing.T) { assertWeRestoreResticKinds(t, p.inTest(t), report.Snapshot, want) })
	p.resticSays()
	p.mustRun("check", "--read-data")
}

func assertRestoredKinds(t *testing.T, want, got string) {
	t.Helper()
	assertSame(t, want, got, hugeSparse, "socket")
	assertSparse(t, filepath.Join(got, hugeSparse))
}
