package archive

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

// script runs a shell script in dir.
func script(t *testing.T, dir, text string) {
	t.Helper()
	cmd := exec.Command("bash", "-ec", text)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// sameTrees holds two directories against each other by rsync.
func sameTrees(t *testing.T, a, b string) {
	t.Helper()
	rsync, err := exec.LookPath("rsync")
	if err != nil {
		t.Skip("rsync is not installed")
	}
	out, err := exec.Command(rsync, "-aHAXn", "--checksum", "--itemize-changes", "--delete", a+"/", b+"/").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Fatalf("differ: %v\n%s", err, out)
	}
}

// fill makes files of every kind, with content that is cut into many blobs.
func (b *bench) fill() {
	b.t.Helper()
	script(b.t.(*testing.T), b.root, `
		echo hello > a; ln a b; mkdir -p d/e/f d/g; ln a d/e/hard; ln -s ../a d/link; ln -s 'no such' dangling
		: > empty; head -c 5000000 /dev/urandom > d/big; head -c 700000 /dev/zero > d/zeros
		truncate -s 30M sparse; printf x | dd of=sparse bs=1 seek=20000000 conv=notrunc status=none
		for i in $(seq 300); do echo $i > d/g/$i; done
		chmod 640 a; touch -d '1950-01-01 00:00:00.25 UTC' d/e; printf n > $'odd\n\xff'
		touch -d '2001-02-03' d/g d .
		if [ $(id -u) = 0 ]; then mknod null c 1 3; mkfifo fifo; chown 12:13 d/big fifo; chmod 4755 d/big; fi
		setfattr -n user.a -v b a || true
	`)
}

// flush stores everything and opens the repository as the restorer would.
func (b *bench) flush() {
	b.t.Helper()
	if err := b.w.Flush(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	b.reopen()
}

func (b *bench) restore(dir string, res *Result) (*volume.RestoreReport, error) {
	req := volume.RestoreRequest{Root: dir, ID: "archive", TrustBefore: res.Walk.Started}
	return Restore(b.t.Context(), b.repo, &res.Root, b.peer, req)
}

func TestRestoreBringsBackWhatWasSaved(t *testing.T) {
	b := newBench(t)
	b.fill()
	settle()
	res := b.save(nil)
	b.flush()

	dst := t.TempDir()
	rep, err := b.restore(dst, res)
	if err != nil {
		t.Fatal(err)
	}
	sameTrees(t, b.root, dst)
	if rep.BytesHoles < 29<<20 || rep.SkippedCount != 0 {
		t.Errorf("report: %+v", rep)
	}

	// In place: what is as it was is not even read, what is not comes back.
	script(t, b.root, `
		printf X | dd of=d/big bs=1 seek=2000000 conv=notrunc status=none
		rm -r d/g a; echo extra > extra; mkdir a; ln -s / d/g
	`)
	again, err := b.restore(b.root, res)
	if err != nil {
		t.Fatal(err)
	}
	sameTrees(t, dst, b.root)
	if again.BytesReused == 0 || again.BytesFetched >= 5_000_000 || again.Unchanged == 0 {
		t.Errorf("report: %+v", again)
	}
}

func TestRestoreWithoutAllContentChangesNothing(t *testing.T) {
	b := newBench(t)
	b.fill()
	res := b.save(nil)
	b.flush()
	dst := t.TempDir()
	if err := os.WriteFile(filepath.Join(dst, "old"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	res.Root.Subtree = &repository.ID{1, 2, 3}
	if _, err := b.restore(dst, res); !errors.Is(err, repository.ErrNoBlob) {
		t.Errorf("error = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Restore(ctx, b.repo, &res.Root, b.peer, volume.RestoreRequest{Root: dst, ID: "x"}); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
	// The helper may still be clearing up; a recovery waits for its turn.
	if outcome, err := b.peer.Recover(t.Context(), dst, "x"); err != nil || outcome == volume.RolledForward {
		t.Errorf("recover: %v, %v", outcome, err)
	}
	names, err := os.ReadDir(dst)
	if err != nil || len(names) != 1 {
		t.Errorf("%v %v", names, err)
	}
}

func TestEntryOfIsTheInverseOfNodeOf(t *testing.T) {
	for _, e := range []volume.Entry{
		{Path: "f", Type: volume.File, Mode: 0o6751, UID: 1, GID: 2, Inode: 3, Links: 4, Xattrs: []volume.Xattr{{Name: "user.x", Value: []byte("y")}}},
		{Path: "d", Type: volume.Dir, Mode: 0o1777, ModTime: volume.Time{Sec: -1, Nsec: 5}},
		{Path: "l", Type: volume.Symlink, Mode: 0o777, LinkTarget: "\xff/.."},
		{Path: "c", Type: volume.CharDevice, Rdev: 0x103}, {Path: "b", Type: volume.BlockDevice, Rdev: 0x705},
		{Path: "p", Type: volume.FIFO}, {Path: "s", Type: volume.Socket},
	} {
		n, _ := nodeOf(&e, 7)
		got := entryOf(n, e.Path)
		again, _ := nodeOf(&got, 7)
		if !same(n, again) {
			t.Errorf("%+v\ncame back as %+v", e, got)
		}
	}
}

func TestLinksThatHoldOtherContentStayApart(t *testing.T) {
	s := &source{links: map[fileID]firstName{}}
	node := func(name string, content byte, device uint64) *repository.Node {
		return &repository.Node{Name: name, Type: repository.NodeFile, Inode: 1, DeviceID: device, Links: 4, Content: []repository.ID{{content}}}
	}
	for _, c := range []struct {
		node *repository.Node
		want string
	}{{node("a", 1, 1), ""}, {node("b", 1, 1), "a"}, {node("c", 2, 1), ""}, {node("d", 1, 2), ""}, {node("e", 1, 1), "a"}} {
		if got := s.link(c.node.Name, c.node); got != c.want {
			t.Errorf("%s is a link to %q, want %q", c.node.Name, got, c.want)
		}
	}
}
