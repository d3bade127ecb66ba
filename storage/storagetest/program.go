package storagetest

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// StartServer runs a program that listens on loopback until the test ends, and
// returns its address, 127.0.0.1:PORT, once it does. args gives its arguments
// for an address. What it says is logged where the test fails.
func StartServer(t testing.TB, binary string, args func(host string) []string) string {
	t.Helper()
	// Between choosing a free port and the server's bind another process can
	// take it; then the server ends and the next port is tried.
	var said string
	for range 5 {
		host := freePort(t)
		var ok bool
		if said, ok = start(t, binary, host, args(host)); ok {
			return host
		}
	}
	t.Fatalf("%s did not start: %s", filepath.Base(binary), said)
	return ""
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
	cmd := exec.Command(binary, args...)
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", binary, err)
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
			t.Logf("%s says: %s", filepath.Base(binary), out)
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
