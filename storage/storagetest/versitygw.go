package storagetest

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

// Gateway is a running versitygw: a real S3 server over a directory.
type Gateway struct {
	Host      string // 127.0.0.1:PORT
	Dir       string // each folder is a bucket
	AccessKey string
	SecretKey string
	Region    string
}

// Env returns the variables that a client of the gateway needs, as a function
// like os.Getenv.
func (g *Gateway) Env(name string) string {
	return map[string]string{"AWS_ACCESS_KEY_ID": g.AccessKey, "AWS_SECRET_ACCESS_KEY": g.SecretKey, "AWS_REGION": g.Region}[name]
}

// StartGateway starts versitygw over dir, on loopback, until the test ends;
// args are more of its global options. Where the program is not found the
// test is skipped, or fails if RIPPLEBAK_REQUIRE_TOOLS is 1.
func StartGateway(t testing.TB, dir string, args ...string) *Gateway {
	t.Helper()
	return runGateway(t, findGateway(t), dir, args, nil)
}

// StartVersioningGateway is StartGateway for a server that keeps the former
// versions of objects, in versions.
func StartVersioningGateway(t testing.TB, dir, versions string, args ...string) *Gateway {
	t.Helper()
	return runGateway(t, findGateway(t), dir, args, []string{"--versioning-dir", versions})
}

// RunGateway is StartGateway with a certain binary.
func RunGateway(t testing.TB, binary, dir string, args ...string) *Gateway {
	t.Helper()
	return runGateway(t, binary, dir, args, nil)
}

func runGateway(t testing.TB, binary, dir string, args, backend []string) *Gateway {
	t.Helper()
	// Between choosing a free port and the server's bind another process can
	// take it; then the server ends and the next port is tried.
	var said string
	for range 5 {
		g := &Gateway{Host: freePort(t), Dir: dir, AccessKey: "AKIATESTROOT", SecretKey: "test-secret-of-root", Region: "us-east-1"}
		var ok bool
		if ok, said = g.start(t, binary, args, backend); ok {
			return g
		}
	}
	t.Fatalf("%s did not start: %s", binary, said)
	return nil
}

func findGateway(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("RIPPLEBAK_VERSITYGW"); path != "" {
		return path
	}
	if path, err := exec.LookPath("versitygw"); err == nil {
		return path
	}
	if cache, err := os.UserCacheDir(); err == nil {
		built, err := filepath.Glob(filepath.Join(cache, "ripplebak", "bin", "versitygw-v*"))
		if err == nil && len(built) > 0 {
			return built[len(built)-1]
		}
	}
	const missing = "versitygw is not installed; build it with scripts/ensure-tool.sh versitygw, or name it in RIPPLEBAK_VERSITYGW"
	if os.Getenv("RIPPLEBAK_REQUIRE_TOOLS") == "1" {
		t.Fatal(missing)
	}
	t.Skip(missing)
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
func (g *Gateway) start(t testing.TB, binary string, args, backend []string) (bool, string) {
	t.Helper()
	args = append([]string{"--access", g.AccessKey, "--secret", g.SecretKey, "--region", g.Region,
		"--port", g.Host, "--quiet", "--keep-alive"}, args...)
	args = append(append(args, "posix"), backend...)
	cmd := exec.Command(binary, append(args, g.Dir)...)
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
			return false, fmt.Sprintf("%v: %s", err, out)
		case <-deadline:
			_ = cmd.Process.Kill()
			<-ended
			return false, "it does not listen: " + out.String()
		case <-ticker.C:
		}
		if c, err := net.Dial("tcp", g.Host); err == nil {
			_ = c.Close()
			break
		}
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended on its own
		<-ended
	})
	return true, ""
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
