package volume

import (
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// asNobody runs f while this process lacks the capabilities that let root read
// everything. They are taken from every thread and given back after.
func asNobody(t *testing.T, f func() *found) *found {
	t.Helper()
	const drop = 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&head, &caps[0]); err != nil {
		t.Fatal(err)
	}
	set := func(caps [2]unix.CapUserData) {
		if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&caps[0])), 0); errno != 0 {
			t.Skipf("cannot give up capabilities: %v", errno)
		}
	}
	less := caps
	less[0].Effective &^= drop
	set(less)
	defer set(caps)
	return f()
}
