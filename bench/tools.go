package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// tool is one of the rivals. Its repository lies in a directory of its own.
type tool interface {
	name() string
	// begin makes an empty repository; end forgets it.
	begin(ctx context.Context) error
	end(ctx context.Context) error
	backup(ctx context.Context) (figures, error)
	// warm runs something small, so that programs are in memory.
	warm(ctx context.Context) error
	// empty empties the place that restore fills.
	empty() error
	// restore brings the newest snapshot back into an empty place, until it
	// is on disk.
	restore(ctx context.Context) (figures, error)
	repository() string
}

const benchPassword = "bench"

// restic is Debian's restic.
type restic struct {
	data, repo, target string
	gateway            *gateway // nil: repo is the repository
}

func (r *restic) name() string       { return "restic" }
func (r *restic) repository() string { return r.repo }
func (r *restic) env() []string {
	env := []string{"RESTIC_PASSWORD=" + benchPassword, "RESTIC_CACHE_DIR=" + r.target + ".cache"}
	if r.gateway != nil {
		return append(append(env, r.gateway.env()...), "RESTIC_REPOSITORY="+r.gateway.location(filepath.Base(r.repo)))
	}
	return append(env, "RESTIC_REPOSITORY="+r.repo)
}

func (r *restic) begin(ctx context.Context) error {
	_, err := measureCommand(ctx, r.env(), "", "restic", "init")
	return err
}

func (r *restic) end(context.Context) error {
	return errors.Join(os.RemoveAll(r.repo), os.RemoveAll(r.target+".cache"), os.RemoveAll(r.target))
}

func (r *restic) backup(ctx context.Context) (figures, error) {
	return measureCommand(ctx, r.env(), "", "restic", "backup", "--quiet", r.data)
}

func (r *restic) warm(ctx context.Context) error {
	_, err := measureCommand(ctx, r.env(), "", "restic", "snapshots")
	return err
}

func (r *restic) empty() error { return emptyDir(r.target) }

func (r *restic) restore(ctx context.Context) (figures, error) {
	return measureCommand(ctx, r.env(), "", "sh", "-c", `restic restore --quiet latest --target "$1" && sync -f "$1"`, "sh", r.target)
}

// borg is Debian's borg.
type borg struct {
	data, repo, target string
	n                  int
}

func (b *borg) name() string       { return "borg" }
func (b *borg) repository() string { return b.repo }
func (b *borg) env() []string {
	return []string{"BORG_PASSPHRASE=" + benchPassword, "BORG_REPO=" + b.repo, "BORG_BASE_DIR=" + b.repo + ".base", "BORG_RELOCATED_REPO_ACCESS_IS_OK=yes"}
}

func (b *borg) begin(ctx context.Context) error {
	_, err := measureCommand(ctx, b.env(), "", "borg", "init", "--encryption", "repokey")
	return err
}

func (b *borg) end(context.Context) error {
	return errors.Join(os.RemoveAll(b.repo), os.RemoveAll(b.repo+".base"), os.RemoveAll(b.target))
}

func (b *borg) backup(ctx context.Context) (figures, error) {
	b.n++
	return measureCommand(ctx, b.env(), "", "borg", "create", "--compression", "zstd,3", fmt.Sprintf("::a%d", b.n), b.data)
}

func (b *borg) warm(ctx context.Context) error {
	_, err := measureCommand(ctx, b.env(), "", "borg", "list")
	return err
}

func (b *borg) empty() error { return emptyDir(b.target) }

func (b *borg) restore(ctx context.Context) (figures, error) {
	return measureCommand(ctx, b.env(), b.target, "sh", "-c", `borg extract "$1" && sync -f .`, "sh", fmt.Sprintf("::a%d", b.n))
}

// tarZstd is what shell scripts do: everything, every time.
type tarZstd struct {
	data, repo, target string
	n                  int
}

func (t *tarZstd) name() string                { return "tar | zstd" }
func (t *tarZstd) repository() string          { return t.repo }
func (t *tarZstd) begin(context.Context) error { return os.MkdirAll(t.repo, 0o700) }
func (t *tarZstd) warm(context.Context) error  { return nil }
func (t *tarZstd) empty() error                { return emptyDir(t.target) }
func (t *tarZstd) end(context.Context) error {
	return errors.Join(os.RemoveAll(t.repo), os.RemoveAll(t.target))
}

func (t *tarZstd) backup(ctx context.Context) (figures, error) {
	t.n++
	return measureCommand(ctx, nil, "", "sh", "-c", `set -e; tar --sparse -C "$1" -cf - . | zstd -q -o "$2"; sync -f "$2"`, "sh", t.data, t.archive())
}

func (t *tarZstd) restore(ctx context.Context) (figures, error) {
	return measureCommand(ctx, nil, "", "sh", "-c", `set -e; zstd -dqc "$1" | tar -C "$2" -xf -; sync -f "$2"`, "sh", t.archive(), t.target)
}

func (t *tarZstd) archive() string { return filepath.Join(t.repo, fmt.Sprintf("%d.tar.zst", t.n)) }

// ours is the shipped path: commands run in a sidecar container that serves.
type ours struct {
	opt  options
	set  *dataset
	repo string
}

const (
	benchSidecar = "ripplebak-bench-sidecar"
	benchRun     = "ripplebak-bench-run" // the volume of the helpers' socket
)

func (o *ours) name() string       { return "ripplebak" }
func (o *ours) repository() string { return o.repo }

func (o *ours) begin(ctx context.Context) error {
	if err := os.MkdirAll(o.repo, 0o700); err != nil {
		return err
	}
	labels := []string{"--label", "com.docker.compose.project=ripplebak-bench", "--label", "com.docker.compose.container-number=1", "--label", "com.docker.compose.oneoff=False", "--label", "com.docker.compose.config-hash=bench"}
	app := append([]string{"create", "--name", "ripplebak-bench-app", "--label", "com.docker.compose.service=app", "--label", "ripplebak.enable=true",
		"--label", "ripplebak.dump=none"}, labels...)
	app = append(app, "-v", o.set.volume+":/var/lib/postgresql/data", o.opt.app)
	if _, err := docker(ctx, app...); err != nil {
		return err
	}
	sidecar := append([]string{"run", "-d", "--no-healthcheck", "--name", benchSidecar, "--label", "com.docker.compose.service=backup"}, labels...)
	sidecar = append(sidecar, "-v", "/var/run/docker.sock:/var/run/docker.sock",
		"-v", "ripplebak-bench-state:/var/lib/ripplebak", "-v", benchRun+":/run/ripplebak",
		"-e", "RIPPLEBAK_PASSWORD="+benchPassword, "-e", "RIPPLEBAK_SCHEDULE=0 0 1 1 *")
	if g := o.opt.gateway; g != nil {
		sidecar = append(sidecar, "--network", "host", "-e", "RIPPLEBAK_REPOSITORY="+g.location(filepath.Base(o.repo)))
		for _, kv := range g.env() {
			sidecar = append(sidecar, "-e", kv)
		}
	} else {
		sidecar = append(sidecar, "-v", o.repo+":/backups", "-e", "RIPPLEBAK_REPOSITORY=/backups")
	}
	sidecar = append(sidecar, o.opt.image)
	if _, err := docker(ctx, sidecar...); err != nil {
		return err
	}
	return o.awaitRepository(ctx)
}

// awaitRepository waits until the sidecar, coming up, has made the repository,
// so that this is not part of the first backup.
func (o *ours) awaitRepository(ctx context.Context) error {
	_, err := measureCommand(ctx, nil, "", "sh", "-c", `for i in $(seq 300); do [ -f "$1/config" ] && sleep 1 && exit 0; sleep 0.1; done; exit 1`, "sh", o.repo)
	return err
}

func (o *ours) end(ctx context.Context) error {
	_, err := docker(ctx, "rm", "-f", benchSidecar, "ripplebak-bench-app")
	_, verr := docker(ctx, "volume", "rm", "-f", "ripplebak-bench-state", benchRun)
	return errors.Join(err, verr, os.RemoveAll(o.repo))
}

func (o *ours) measured(ctx context.Context, args ...string) (figures, error) {
	watch := watchOurs()
	f, err := measureCommand(ctx, nil, "", append([]string{"docker", "exec", benchSidecar, "/ripplebak"}, args...)...)
	used := watch.end()
	f.rss, f.cpu = used.rss, used.cpu
	if os.Getenv("BENCH_VERBOSE") != "" {
		fmt.Fprintf(os.Stderr, "%s: %.2f s, %.2f s of CPU, peaks %d MiB\n", args[0], f.wall, f.cpu, mebibytes(used.each))
	}
	return f, err
}

func mebibytes(sizes []int64) []int64 {
	out := make([]int64, len(sizes))
	for i, n := range sizes {
		out[i] = n >> 20
	}
	return out
}

func (o *ours) backup(ctx context.Context) (figures, error) {
	return o.measured(ctx, "backup")
}

// warm makes a container too, as every run does.
func (o *ours) warm(ctx context.Context) error {
	_, err := docker(ctx, "exec", benchSidecar, "/ripplebak", "plan")
	_, rerr := docker(ctx, "run", "--rm", o.opt.image, "version")
	return errors.Join(err, rerr)
}

func (o *ours) empty() error { return o.set.empty() }

func (o *ours) restore(ctx context.Context) (figures, error) {
	return o.measured(ctx, "restore", "latest", "--yes", "--no-safety-snapshot")
}

// engine is our engine without Docker: a helper and a sidecar in one process
// of this machine.
type engine struct {
	self               string
	data, repo, target string
}

func (e *engine) name() string                { return "ripplebak (engine only)" }
func (e *engine) repository() string          { return e.repo }
func (e *engine) begin(context.Context) error { return os.MkdirAll(e.repo, 0o700) }
func (e *engine) end(context.Context) error {
	return errors.Join(os.RemoveAll(e.repo), os.RemoveAll(memoryFile(e.repo)), os.RemoveAll(e.target))
}

func (e *engine) backup(ctx context.Context) (figures, error) {
	return measureCommand(ctx, nil, "", e.self, "engine", "backup", e.repo, e.data)
}

func (e *engine) warm(context.Context) error { return nil } // it is this program

func (e *engine) empty() error { return emptyDir(e.target) }

func (e *engine) restore(ctx context.Context) (figures, error) {
	return measureCommand(ctx, nil, "", e.self, "engine", "restore", e.repo, e.target)
}

func emptyDir(dir string) error {
	return errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700))
}

// makeTools returns the rivals that were asked for.
func makeTools(opt options, d *dataset, dir string) ([]tool, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	at := func(name string) string { return filepath.Join(dir, strings.ReplaceAll(name, " ", "-")) }
	repo := at
	if opt.gateway != nil {
		repo = opt.gateway.path
	}
	var out []tool
	for _, name := range opt.tools {
		switch name {
		case "ripplebak":
			out = append(out, &ours{opt: opt, set: d, repo: repo("ripplebak")})
		case "engine":
			if opt.gateway != nil {
				continue
			}
			out = append(out, &engine{self: self, data: d.dir, repo: at("engine"), target: at("engine-restored")})
		case "restic":
			out = append(out, &restic{data: d.dir, repo: repo("restic"), target: at("restic-restored"), gateway: opt.gateway})
		case "tar":
			if opt.gateway == nil {
				out = append(out, &tarZstd{data: d.dir, repo: at("tar"), target: at("tar-restored")})
			}
		case "borg":
			if opt.gateway != nil {
				continue // it has no S3
			}
			out = append(out, &borg{data: d.dir, repo: at("borg"), target: at("borg-restored")})
		default:
			return nil, fmt.Errorf("there is no tool %q", name)
		}
	}
	return out, nil
}
