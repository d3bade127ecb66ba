package sidecar

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/repository"
)

// idleMemory is what serve may keep between runs, in bytes, beside the index,
// which is not kept at all.
const idleMemory = 64 << 20

// resident is the memory of this process that is in use.
func resident(t testing.TB) int64 {
	t.Helper()
	f, err := os.Open("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var kib int64
		if text, ok := strings.CutPrefix(s.Text(), "VmRSS:"); ok {
			if _, err := fmt.Sscan(text, &kib); err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Skip("the kernel does not say how much memory is in use")
	return 0
}

// TestServeIsSmallWhenIdle: after a run that took memory, scrypt's 32 MiB among
// it, serve gives it back and leaves no goroutine behind. This process holds
// the helper and the fake Engine too.
func TestServeIsSmallWhenIdle(t *testing.T) {
	if testing.Short() {
		t.Skip("two runs over many files")
	}
	s := newShop(t)
	s.app.kdf = repository.KDF{N: 32768, R: 8, P: 1}
	s.service("app", map[string]string{"enable": "true"}, "data")
	for i := range 2000 {
		dir := s.path("volumes", "shop_data", fmt.Sprint(i%50))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), make([]byte, 20_000+i), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.app.scheduledRun(t.Context(), []string{manifest.DefaultSchedule}, nil)
	settled := goroutines()
	s.app.scheduledRun(t.Context(), []string{manifest.DefaultSchedule}, nil)
	if s.snapshots() != 2 {
		t.Fatal("a run failed")
	}
	used := resident(t)
	t.Logf("%d MiB are in use", used>>20)
	if used > idleMemory && !raceDetector {
		t.Errorf("%d MiB are in use when idle, want at most %d", used>>20, idleMemory>>20)
	}
	if n := goroutines(); n > settled {
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines after one run, %d after two:\n%s", settled, n, buf[:runtime.Stack(buf, true)])
	}
}

// goroutines counts those that are there once what has ended is gone.
func goroutines() int {
	n := runtime.NumGoroutine()
	for range 50 {
		time.Sleep(10 * time.Millisecond)
		if now := runtime.NumGoroutine(); now < n {
			n = now
		}
	}
	return n
}
