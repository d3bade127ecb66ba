package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// commandTime bounds each command that a test runs.
const commandTime = 4 * time.Minute

// password is that of every test repository.
const password = "correct horse battery staple"

func TestMain(m *testing.M) {
	for _, name := range []string{"INTEGRATION_BINARY", "INTEGRATION_IMAGE", "INTEGRATION_POSTGRES_IMAGE", "INTEGRATION_REDIS_IMAGE", "INTEGRATION_ETCD_IMAGE", "INTEGRATION_SQLITE_IMAGE", "INTEGRATION_SLAPD_IMAGE", "INTEGRATION_INFLUXDB_IMAGE", "INTEGRATION_NEO4J_IMAGE", "INTEGRATION_POSTGIS_IMAGE", "INTEGRATION_FILES_IMAGE", "INTEGRATION_DEBIAN_IMAGE", "INTEGRATION_VERSITYGW"} {
		if os.Getenv(name) == "" {
			fmt.Fprintf(os.Stderr, "%s is not set: run the tests by \"make integration\"\n", name)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}

// result is what became of a command.
type result struct {
	stdout, stderr string
	code           int
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\nstdout:\n%s\nstderr:\n%s", r.code, r.stdout, r.stderr)
}

// command runs a program on this machine.
func command(t testing.TB, dir string, env []string, stdin string, argv ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	r := result{stdout: stdout.String(), stderr: stderr.String()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		t.Fatalf("%s did not end within %s\n%s", strings.Join(argv, " "), commandTime, r)
	case errors.As(err, &exit):
		r.code = exit.ExitCode()
	case err != nil:
		t.Fatalf("%s: %v", strings.Join(argv, " "), err)
	}
	return r
}

// must runs a program that has to succeed, and returns its stdout.
func must(t testing.TB, argv ...string) string {
	t.Helper()
	r := command(t, "", nil, "", argv...)
	if r.code != 0 {
		t.Fatalf("%s: %s", strings.Join(argv, " "), r)
	}
	return r.stdout
}

// repositoryRoot is the checkout.
func repositoryRoot(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// crashImage is the shipped image but for the build tag that lets it be killed
// at a named point. It is built once.
var crashImage = sync.OnceValues(func() (string, error) {
	root, err := filepath.Abs("..")
	if err != nil {
		return "", err
	}
	tag := fmt.Sprintf("ripplebak-it/crashpoints:%08x", crc32.ChecksumIEEE([]byte(root))) // checkouts do not share one
	dir, err := os.MkdirTemp("", "ripplebak-it-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-trimpath", "-tags", "timetzdata crashpoints", "-o", filepath.Join(dir, "ripplebak"), "./cmd/ripplebak")
	build.Dir = ".."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	file := "FROM scratch\nCOPY ripplebak /ripplebak\nLABEL io.ripplebak.sidecar=true\nENTRYPOINT [\"/ripplebak\"]\nCMD [\"serve\"]\n"
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(file), 0o600); err != nil {
		return "", err
	}
	if out, err := exec.Command("docker", "build", "-q", "-t", tag, dir).CombinedOutput(); err != nil {
		return "", fmt.Errorf("docker build: %w\n%s", err, out)
	}
	return tag, nil
})
