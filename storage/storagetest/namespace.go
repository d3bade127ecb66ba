package storagetest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// namespaceEnv marks the copy of a test that runs in a mount namespace of its
// own; its value is the mount point.
const namespaceEnv = "RIPPLEBAK_TEST_MOUNTPOINT"

// InNamespace runs the calling test again, in a namespace where dir can be
// mounted over. It is true in that copy. Where the machine gives no such
// namespace the test is skipped.
func InNamespace(t *testing.T) (dir string, inside bool) {
	t.Helper()
	if dir := os.Getenv(namespaceEnv); dir != "" {
		return dir, true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), namespaceEnv+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || bytes.Contains(out, []byte("cannot mount")) {
		t.Skipf("this machine gives no mount namespace: %v", err)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("the copy of the test did not run:\n%s", out)
	}
	return "", false
}

// MountTmpfs mounts an empty filesystem in memory at dir, for the calling test's
// namespace only; options are mount's, such as "size=1m".
func MountTmpfs(t *testing.T, dir, options string) {
	t.Helper()
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatalf("cannot mount: %v", err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatalf("cannot mount: %v", err)
	}
}
