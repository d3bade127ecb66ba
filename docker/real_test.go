package docker_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/ripplebak/ripplebak/docker"
)

// busyboxImage is a statically linked busybox and its applets. bareImage is
// the same without any shell.
const (
	busyboxImage = "ripplebak-test/busybox:latest"
	bareImage    = "ripplebak-test/bare:latest"
	testLabel    = "rbt-docker"
)

var makeImages sync.Mutex

// real is a connection to a real Engine: ours, and the stock client that the
// tests arrange things with.
type real struct {
	*docker.Engine
	cli *client.Client
}

// realEngine connects to the machine's Engine, or skips the test where there
// is none, unless RIPPLEBAK_REQUIRE_DOCKER is 1.
func realEngine(t *testing.T, opt docker.Options) *real {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no real docker engine")
	}
	e, err := docker.Connect(t.Context(), opt)
	if err != nil {
		if os.Getenv("RIPPLEBAK_REQUIRE_DOCKER") == "1" {
			t.Fatalf("RIPPLEBAK_REQUIRE_DOCKER=1 and no docker engine: %v", err)
		}
		t.Skipf("no docker engine: %v", err)
	}
	t.Cleanup(func() { _ = e.Close() })
	cli, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cli.Close() })
	r := &real{Engine: e, cli: cli}
	r.ensureImages(t)
	return r
}

func (r *real) ensureImages(t *testing.T) {
	t.Helper()
	makeImages.Lock()
	defer makeImages.Unlock()
	_, err1 := r.cli.ImageInspect(t.Context(), busyboxImage)
	_, err2 := r.cli.ImageInspect(t.Context(), bareImage)
	if err1 == nil && err2 == nil {
		return
	}
	binary := findBusybox(t)
	applets, err := exec.Command(binary, "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	r.importImage(t, busyboxImage, binary, string(applets), func(string) bool { return true })
	r.importImage(t, bareImage, binary, string(applets), func(name string) bool {
		return name != "sh" && name != "ash" && name != "hush" && name != "bash"
	})
}

// findBusybox is Debian's static busybox: the machine's, else a download.
func findBusybox(t *testing.T) string {
	t.Helper()
	if p, err := exec.LookPath("busybox"); err == nil {
		return p
	}
	dir := t.TempDir()
	cmd := exec.Command("sh", "-c", "apt-get download -q busybox-static && dpkg-deb -x busybox-static_*.deb .")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		if os.Getenv("RIPPLEBAK_REQUIRE_DOCKER") == "1" {
			t.Fatalf("no busybox for the test's images: %v\n%s", err, out)
		}
		t.Skipf("no busybox for the test's images (install busybox-static): %v", err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "*bin", "busybox"))
	if err != nil || len(found) == 0 {
		found, err = filepath.Glob(filepath.Join(dir, "usr", "bin", "busybox"))
	}
	if err != nil || len(found) == 0 {
		t.Fatalf("busybox-static holds no busybox: %v", err)
	}
	return found[0]
}

func (r *real) importImage(t *testing.T, name, binary, applets string, want func(string) bool) {
	t.Helper()
	content, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(h *tar.Header, content []byte) {
		h.Size = int64(len(content))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{"bin/", "etc/", "tmp/", "data/"} {
		add(&tar.Header{Typeflag: tar.TypeDir, Name: d, Mode: 0o1777}, nil)
	}
	add(&tar.Header{Name: "etc/passwd", Mode: 0o644}, []byte("root:x:0:0::/:/bin/sh\nother:x:1234:1234::/:/bin/sh\n"))
	add(&tar.Header{Name: "etc/group", Mode: 0o644}, []byte("root:x:0:\nother:x:1234:\n"))
	add(&tar.Header{Name: "bin/busybox", Mode: 0o755}, content)
	for _, a := range bytes.Fields([]byte(applets)) {
		if want(string(a)) && string(a) != "busybox" {
			add(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + string(a), Linkname: "busybox", Mode: 0o777}, nil)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	resp, err := r.cli.ImageImport(t.Context(), image.ImportSource{Source: &b, SourceName: "-"}, name,
		image.ImportOptions{Changes: []string{"LABEL rbt-image=yes"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp); err != nil {
		t.Fatal(err)
	}
	if err := resp.Close(); err != nil {
		t.Fatal(err)
	}
}

// unique is a name of this test's own.
func unique() string {
	var b [5]byte
	rand.Read(b[:])
	return "rbt-docker-" + hex.EncodeToString(b[:])
}

// run starts a container that does nothing, of the busybox image unless config
// says otherwise, and removes it after the test.
func (r *real) run(t *testing.T, config container.Config, host container.HostConfig) string {
	t.Helper()
	if config.Image == "" {
		config.Image = busyboxImage
	}
	if config.Cmd == nil {
		config.Cmd = []string{"/bin/sleep", "600"}
	}
	if config.Labels == nil {
		config.Labels = map[string]string{}
	}
	config.Labels[testLabel] = "yes"
	host.NetworkMode = "none"
	yes := true
	host.Init = &yes
	if config.Image == bareImage {
		host.Init = nil
	}
	c, err := r.cli.ContainerCreate(t.Context(), &config, &host, nil, nil, unique())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.remove(t, c.ID) })
	if err := r.cli.ContainerStart(t.Context(), c.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	return c.ID
}

func (r *real) remove(t *testing.T, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := r.cli.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) {
		t.Errorf("remove %s: %v", id, err)
	}
}

// processes lists what runs in a container with a marker in its command line.
func (r *real) processes(t *testing.T, id, marker string) []string {
	t.Helper()
	top, err := r.cli.ContainerTop(t.Context(), id, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range top.Processes {
		if cmd := p[len(p)-1]; bytes.Contains([]byte(cmd), []byte(marker)) {
			out = append(out, cmd)
		}
	}
	return out
}

// readSome reads until n bytes have come.
func readSome(t *testing.T, r io.Reader, n int) {
	t.Helper()
	if _, err := io.CopyN(io.Discard, r, int64(n)); err != nil {
		t.Fatalf("read the first %d bytes: %v", n, err)
	}
}

func wantIs(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("error %v, want %v", err, target)
	}
}

func wantExit(t *testing.T, err error, code int) *docker.ExitError {
	t.Helper()
	var exit *docker.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("error %v, want an exit with %d", err, code)
	}
	if exit.Code != code {
		t.Fatalf("exit code %d (%v), want %d", exit.Code, err, code)
	}
	return exit
}

// sh is a request for a shell script in a container.
func sh(id, script string) docker.ExecRequest {
	return docker.ExecRequest{Container: id, Argv: []string{"sh", "-c", script}, Gate: true, Deadline: time.Minute}
}

func closeAll(t *testing.T, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}
