package storagetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
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
	g := &Gateway{Dir: dir, AccessKey: "AKIATESTROOT", SecretKey: "test-secret-of-root", Region: "us-east-1"}
	g.Host = StartServer(t, binary, func(host string) []string {
		argv := append([]string{"--access", g.AccessKey, "--secret", g.SecretKey, "--region", g.Region,
			"--port", host, "--quiet", "--keep-alive"}, args...)
		argv = append(append(argv, "posix"), backend...)
		return append(argv, dir)
	})
	return g
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
