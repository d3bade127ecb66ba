package volume

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// kindsTree fills dir with every kind of file that a backup keeps.
func kindsTree(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: devices, owners")
	}
	smallTree(t, dir)
	sh(t, dir, `
		mknod null c 1 3; mknod disk b 7 5; mkfifo fifo; chmod 640 fifo null; chown 5:6 fifo null
		printf x > suid; chown 1000:1001 suid; chmod 6755 suid
		mkdir sticky; chmod 1777 sticky; chown 33:33 sticky; mkdir sgid; chmod 2770 sgid
		truncate -s 50G sparse; printf mid | dd of=sparse bs=1 seek=20G conv=notrunc status=none
		truncate -s 3M allhole
		head -c 3000000 /dev/zero > dense
		ln null d/null2; ln fifo d/fifo2; ln -s x l1; ln l1 l2; chown -h 12:13 l1
		touch -d '1901-12-14 00:00:00.000000001 UTC' ancient
		touch -d '2300-01-01 UTC' future; touch -h -d '1955-11-05 06:15:00.5 UTC' loop
		touch -d '1969-12-31 23:59:59.25 UTC' eve
		mkdir denied; echo x > denied/x; chmod 000 denied/x denied; chown 77:77 denied
		mkdir 'quote"d
newline'; echo odd > $'quote"d\nnewline/\xff\xfe'
		setfattr -n user.note -v hello d/one; setfattr -n user.empty d/e
		setfacl -m u:1234:rwx,g:55:r d/one; setfacl -d -m u:99:rx sgid; setfacl -m u:99:rx sgid
		setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 suid || true
	`)
	writeFile(t, dir+"/"+strings.Repeat("n", 255), "a long name")
	deep := dir
	for range 30 {
		deep += "/" + strings.Repeat("p", 200)
		if len(deep) > 3800 {
			break
		}
	}
	writeFile(t, deep+"/leaf", "deep")
}

func TestF16_RestoreKeepsEveryKindOfFile(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	kindsTree(t, src)
	s := snapshotOf(t, src)
	rep := mustRestore(t, dst, s)
	sameKinds(t, src, dst)
	var st unix.Stat_t
	if err := unix.Stat(dst+"/sparse", &st); err != nil || st.Blocks > 1024 {
		t.Errorf("the sparse file takes %d blocks (%v)", st.Blocks, err)
	}
	t.Logf("warnings: %q", rep.Warnings)

	// Every kind of damage to the metadata is mended without content.
	sh(t, dst, `
		chown -h 1:1 suid null l1; chmod 700 suid fifo sticky; setfattr -x user.note d/one; setfacl -b d/one sgid
		touch ancient future dense; setfattr -n user.more -v x sgid; setfacl -k sgid
	`)
	again := mustRestore(t, dst, s)
	sameKinds(t, src, dst)
	if again.BytesFetched != 0 || again.Replaced != 0 || again.MetadataOnly < 9 {
		t.Errorf("report: %+v", again)
	}
}

// sameKinds is sameTree without reading 50 GiB of holes.
func sameKinds(t *testing.T, a, b string) {
	t.Helper()
	for _, dir := range []string{a, b} {
		hidden := filepath.Join(t.TempDir(), "sparse")
		if err := os.Rename(filepath.Join(dir, "sparse"), hidden); err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Stat(hidden, &st); err != nil || st.Size != 50<<30 {
			t.Errorf("sparse: %d bytes (%v)", st.Size, err)
		}
		f, err := os.Open(hidden)
		if err != nil {
			t.Fatal(err)
		}
		mid := make([]byte, 3)
		if _, err := f.ReadAt(mid, 20<<30); err != nil || string(mid) != "mid" {
			t.Errorf("sparse: %q %v", mid, err)
		}
		f.Close()
		defer os.Rename(hidden, filepath.Join(dir, "sparse"))
		sh(t, dir, "touch -d 2020-02-02 .")
	}
	sameTree(t, a, b)
}

func TestF16_RestoreSaysWhatItCannotMake(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	writeFile(t, src+"/file", "x")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	t.Chdir(src)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: "sock"}); err != nil {
		t.Fatal(err)
	}
	rep := mustRestore(t, dst, snapshotOf(t, src))
	if len(rep.Skipped) != 1 || rep.Skipped[0].Path != "sock" {
		t.Errorf("skipped: %v", rep.Skipped)
	}
	if _, err := os.Lstat(dst + "/sock"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestRestoreInheritsNothingFromTheRoot(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	smallTree(t, src)
	sh(t, dst, `setfacl -d -m u:4321:rwx . && chmod 2777 . && chown 0:42 . 2>/dev/null || true`)
	mustRestore(t, dst, snapshotOf(t, src))
	sameTree(t, src, dst)
}

func TestRestoreWithoutOpenat2(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	smallTree(t, src)
	if err := os.Symlink("/etc", dst+"/d"); err != nil {
		t.Fatal(err)
	}
	b, err := openBeneath(dst)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	b.root.openat2 = false
	if h, err := b.dir("d"); err == nil {
		t.Errorf("opened %v through a symlink", h)
	}
	for _, bad := range []string{"..", "d/..", "d/../d"} {
		if _, err := b.stat(bad + "/x"); err == nil {
			t.Errorf("%q was followed", bad)
		}
	}
}

func TestRestoreChecksSpaceBeforeItStages(t *testing.T) {
	src, dst, twin := t.TempDir(), smallDisk(t, "size=4m,nr_inodes=200"), t.TempDir()
	writeFile(t, src+"/big", noise(1, 6<<20))
	writeFile(t, dst+"/old", "old")
	copyTree(t, dst, twin)
	s := snapshotOf(t, src)
	rep, err := restoreInto(t, dst, s)
	if !errors.Is(err, ErrNoSpace) || rep == nil || rep.NeedBytes < 6<<20 || rep.FreeBytes > 4<<20 {
		t.Fatalf("%+v, error = %v", rep, err)
	}
	if len(s.fetched) > 0 {
		t.Error("content was fetched")
	}
	sameTree(t, twin, dst)
	noStaging(t, dst)

	many := t.TempDir()
	for i := range 300 {
		writeFile(t, many+"/"+noise(i, 20)[:0]+string(rune('a'+i%26))+strings.Repeat("x", i/26), "")
	}
	if _, err := restoreInto(t, dst, snapshotOf(t, many)); !errors.Is(err, ErrNoSpace) {
		t.Errorf("inodes: %v", err)
	}
	sameTree(t, twin, dst)
}

func TestF33_RestoreThatFillsTheVolumeLeavesTheOldData(t *testing.T) {
	src, dst, twin := t.TempDir(), smallDisk(t, "size=4m"), t.TempDir()
	writeFile(t, src+"/big", noise(1, 3<<20))
	writeFile(t, dst+"/old", "old")
	copyTree(t, dst, twin)
	s := snapshotOf(t, src)
	hit := 0
	s.onFetch = func([]Blob) error { // after the space was checked
		hit++
		return os.WriteFile(dst+"/"+StagingPrefix+"test/hog", []byte(noise(2, 2<<20)), 0o600)
	}
	if _, err := restoreInto(t, dst, s); !errors.Is(err, ErrNoSpace) {
		t.Fatalf("error = %v", err)
	}
	if hit == 0 {
		t.Error("never hit")
	}
	sameTree(t, twin, dst)
	noStaging(t, dst)
}

// smallDisk mounts a filesystem of its own.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

func TestRestoreLeavesMountsAlone(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	smallTree(t, src)
	if err := os.MkdirAll(dst+"/odd name/m", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dst+"/odd name/m", "tmpfs", 0, ""); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	defer unix.Unmount(dst+"/odd name/m", 0)
	writeFile(t, dst+"/odd name/m/f", "theirs")
	writeFile(t, dst+"/odd name/g", "goes")
	mustRestore(t, dst, snapshotOf(t, src))
	if b, err := os.ReadFile(dst + "/odd name/m/f"); err != nil || string(b) != "theirs" {
		t.Errorf("%q %v", b, err)
	}
	if _, err := os.Lstat(dst + "/odd name/g"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
