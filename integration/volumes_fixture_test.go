package integration

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// filesApp is a project with one service that does nothing, and its volume.
const filesApp = `
services:
  app:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    volumes:
      - data:/data
    labels:
      ripplebak.enable: "true"
volumes:
  data:
`

// inTest is the project for the rest of a subtest.
func (p *project) inTest(t testing.TB) *project {
	c := *p
	c.t = t
	return &c
}

// mountpoint is where a volume of the project lies on this machine.
func (p *project) mountpoint(key string) string {
	p.t.Helper()
	return strings.TrimSpace(must(p.t, "docker", "volume", "inspect", "-f", "{{.Mountpoint}}", p.name+"_"+key))
}

// empty removes everything that a directory holds.
func empty(t testing.TB, dir string) {
	t.Helper()
	must(t, "find", dir, "-mindepth", "1", "-delete")
}

// savedCopy copies a tree aside, by a tool that is not ours.
func savedCopy(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "saved")
	must(t, "cp", "-a", "--sparse=always", dir, to)
	return to
}

// assertSame compares two trees by rsync and by tar, byte for byte. Patterns
// are of names that are not compared.
func assertSame(t testing.TB, want, got string, except ...string) {
	t.Helper()
	argv := []string{"rsync", "-aHAXn", "--numeric-ids", "--modify-window=-1", "--checksum", "--itemize-changes", "--delete"}
	tar := []string{"tar", "-C", want, "--create", "--format=posix", "--xattrs", "--acls", "--numeric-owner"}
	for _, e := range except {
		argv = append(argv, "--exclude="+e)
		tar = append(tar, "--exclude="+e)
	}
	if diff := must(t, append(argv, want+"/", got+"/")...); diff != "" {
		t.Errorf("rsync says that they differ:\n%s", diff)
	}
	archive := filepath.Join(t.TempDir(), "tree.tar")
	must(t, append(tar, "--file", archive, ".")...)
	r := command(t, "", nil, "", "tar", "-C", got, "--compare", "--numeric-owner", "--file", archive)
	if r.code != 0 || r.stdout != "" {
		t.Errorf("tar --compare: %s", r)
	}
}

// resticSays asserts that the real restic finds no fault in the repository.
func (p *project) resticSays() {
	p.t.Helper()
	if out := p.mustRestic("check", "--read-data"); !strings.Contains(out, "no errors were found") {
		p.t.Errorf("restic check says:\n%s", out)
	}
}

// writeFile writes a file in a volume that is looked at from outside.
func writeFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// readFile reads a file, which is "" where there is none.
func readFile(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}

// randomFile fills a file with what cannot be compressed.
func randomFile(t testing.TB, path string, size int64) {
	t.Helper()
	source, err := os.Open("/dev/urandom")
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(f, source, size); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// loopFilesystem is an ext4 of its own, on a file.
type loopFilesystem struct{ device string }

// newLoop makes a filesystem of the size, in bytes. It is gone after the test.
func newLoop(t testing.TB, size int64) loopFilesystem {
	t.Helper()
	image := filepath.Join(t.TempDir(), "ext4.img")
	f, err := os.Create(image)
	if err == nil {
		err = errors.Join(f.Truncate(size), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	must(t, "mkfs.ext4", "-q", "-m", "0", "-U", "11111111-2222-3333-4444-555555555555", image)
	l := loopFilesystem{device: strings.TrimSpace(must(t, "losetup", "--find", "--show", image))}
	t.Cleanup(func() { command(t, "", nil, "", "losetup", "--detach", l.device) })
	return l
}

// mounted mounts the filesystem on this machine for the time of the test.
func (l loopFilesystem) mounted(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mount")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(l.device, dir, "ext4", 0, ""); err != nil {
		t.Fatalf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// composeVolume is the filesystem as a volume in a compose file.
func (l loopFilesystem) composeVolume(key string) string {
	return "  " + key + ":\n    driver_opts: {type: ext4, device: " + l.device + "}\n"
}
