package resttest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Rclone is a running "rclone serve restic".
type Rclone struct {
	URL string // of the remote's root, with a slash at its end, without "rest:"
}

// StartRclone serves a remote of rclone's, for example a directory, on loopback
// until the test ends; args are more options. Where rclone is not installed the
// test is skipped, or fails if RIPPLEBAK_REQUIRE_TOOLS is 1.
func StartRclone(t testing.TB, remote string, args ...string) *Rclone {
	t.Helper()
	binary, err := exec.LookPath("rclone")
	if err != nil {
		if os.Getenv("RIPPLEBAK_REQUIRE_TOOLS") == "1" {
			t.Fatal("rclone is required and not installed")
		}
		t.Skip("rclone is not installed")
	}
	// Between choosing a free port and the server's bind another process can
	// take it; then the server ends and the next port is tried.
	var said string
	for range 5 {
		var ok bool
		host := freePort(t)
		if said, ok = start(t, binary, host, append([]string{"serve", "restic", remote, "--addr", host}, args...)); ok {
			return &Rclone{URL: "http://" + host + "/"}
		}
	}
	t.Fatalf("rclone did not start: %s", said)
	return nil
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs the server until the test ends; false where it ended at once.
func start(t testing.TB, binary, host string, args []string) (string, bool) {
	t.Helper()
	// Nobody's own configuration has a say.
	args = append(args, "--config", filepath.Join(t.TempDir(), "rclone.conf"), "--cache-dir", t.TempDir())
	cmd := exec.Command(binary, args...)
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatalf("start rclone: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case err := <-ended:
			return fmt.Sprintf("%v: %s", err, out), false
		case <-deadline:
			_ = cmd.Process.Kill()
			<-ended
			return "it does not listen: " + out.String(), false
		case <-ticker.C:
		}
		if c, err := net.Dial("tcp", host); err == nil {
			_ = c.Close()
			break
		}
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended on its own
		<-ended
		if t.Failed() {
			t.Logf("rclone says: %s", out)
		}
	})
	return "", true
}

// output keeps the beginning of what a program says.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if room := 4096 - o.buf.Len(); room > 0 {
		o.buf.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
