package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar"
	"github.com/ripplebak/ripplebak/storage/local"
)

const damagePassword = "one-of-these"

// byHand is a repository that people damage by hand: two snapshots of stock
// restic, which is its judge too.
type byHand struct {
	t    *testing.T
	dir  string // of bare; the repository is in it
	src  string
	path string // of stock restic
}

func newByHand(t *testing.T) *byHand {
	t.Helper()
	path, err := exec.LookPath("restic")
	if err != nil {
		if os.Getenv("RIPPLEBAK_REQUIRE_TOOLS") == "1" {
			t.Fatal("restic is required and not installed")
		}
		t.Skip("restic is not installed")
	}
	b := &byHand{t: t, dir: t.TempDir(), src: t.TempDir(), path: path}
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(b.dir, "no-engine"))
	store, err := local.Open(b.repo(), local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = repository.Init(t.Context(), store.Reader(), store.Writer(), damagePassword, repository.InitOptions{KDF: repository.KDF{N: 1024, R: 8, P: 1}})
	if err := errors.Join(err, store.Close()); err != nil {
		t.Fatal(err)
	}
	b.backup("first", 1)
	b.backup("second", 2)
	return b
}

// copy is the same repository again, of the same files.
func (b *byHand) copy(t *testing.T) *byHand {
	t.Helper()
	c := &byHand{t: t, dir: t.TempDir(), src: b.src, path: b.path}
	if err := os.CopyFS(c.repo(), os.DirFS(b.repo())); err != nil {
		t.Fatal(err)
	}
	return c
}

func (b *byHand) repo(elem ...string) string {
	return filepath.Join(append([]string{b.dir, "repository"}, elem...)...)
}

// backup has stock restic back up a file more.
func (b *byHand) backup(name string, seed byte) {
	b.t.Helper()
	data := make([]byte, 300<<10)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(data) // never fails
	if err := os.WriteFile(filepath.Join(b.src, name), data, 0o600); err != nil {
		b.t.Fatal(err)
	}
	if out, err := b.restic("backup", b.src); err != nil {
		b.t.Fatalf("restic: %v\n%s", err, out)
	}
}

func (b *byHand) restic(args ...string) (string, error) {
	cmd := exec.CommandContext(b.t.Context(), b.path, append([]string{"--no-cache", "--repo", b.repo()}, args...)...)
	cmd.Env = append(os.Environ(), "RESTIC_PASSWORD="+damagePassword)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%w: %s", err, stderr.String())
	}
	return out.String(), nil
}

// files are those of a folder of the repository, the largest first.
func (b *byHand) files(folder string) []string {
	b.t.Helper()
	sizes := map[string]int64{}
	err := filepath.Walk(b.repo(folder), func(p string, i os.FileInfo, err error) error {
		if err == nil && i.Mode().IsRegular() {
			sizes[p] = i.Size()
		}
		return err
	})
	if err != nil || len(sizes) == 0 {
		b.t.Fatalf("no files in %s: %v", folder, err)
	}
	var out []string
	for p := range sizes {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, c string) int {
		if sizes[a] != sizes[c] {
			return int(sizes[c] - sizes[a])
		}
		return strings.Compare(a, c)
	})
	return out
}

// change rewrites a file of the repository.
func (b *byHand) change(path string, how func([]byte) []byte) {
	b.t.Helper()
	content, err := os.ReadFile(path)
	if err == nil {
		err = errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, how(content), 0o600))
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *byHand) remove(path string) {
	b.t.Helper()
	if err := os.Remove(path); err != nil {
		b.t.Fatal(err)
	}
}

func (b *byHand) put(path string, content []byte) {
	b.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *byHand) run(args ...string) ran {
	return bare(b.t, b.dir, []string{"RIPPLEBAK_PASSWORD=" + damagePassword}, args...)
}

// check demands a verdict: the exit code, and kinds of findings among it.
func (b *byHand) check(code int, kinds []string, args ...string) *sidecar.CheckReport {
	b.t.Helper()
	r := b.run(append([]string{"check", "--json"}, args...)...)
	if r.code != code {
		b.t.Errorf("check %q: exit code %d, want %d: %s%s", args, r.code, code, r.out, r.stderr)
	}
	var report sidecar.CheckReport
	if err := json.Unmarshal([]byte(r.out), &report); err != nil {
		b.t.Fatalf("check %q: %v: %s", args, err, r.stderr)
	}
	var found []string
	for _, f := range report.Findings {
		found = append(found, f.Kind)
	}
	for _, kind := range kinds {
		if !slices.Contains(found, kind) {
			b.t.Errorf("check %q: no finding %q: %s", args, kind, r.out)
		}
	}
	if report.OK != (code == exitDone) {
		b.t.Errorf("check %q: ok %v", args, report.OK)
	}
	return &report
}

func flip(at int) func([]byte) []byte {
	return func(p []byte) []byte {
		p[at] ^= 1
		return p
	}
}

func half(p []byte) []byte { return p[:len(p)/2] }

// TestDamageByHand: what people and disks do to a repository gets the right
// verdict, the right exit code and the right repair; stock restic agrees before
// and after.
func TestDamageByHand(t *testing.T) {
	if testing.Short() {
		t.Skip("stock restic derives its key often")
	}
	base := newByHand(t)
	for _, tt := range []struct {
		name      string
		damage    func(b *byHand)
		structure int // exit code of check
		readData  int // exit code of check --read-data
		kinds     []string
		lost      bool
		repairs   [][]string
		resticOK  bool // stock restic finds nothing either
	}{
		{name: "a pack missing", damage: func(b *byHand) { b.remove(b.files("data")[0]) },
			structure: 1, readData: 1, kinds: []string{"missing"}, lost: true,
			repairs: [][]string{{"index"}, {"snapshots", "--forget"}}},
		{name: "a pack truncated", damage: func(b *byHand) { b.change(b.files("data")[0], half) },
			structure: 1, readData: 1, kinds: []string{"size", "pack", "header"}, lost: true,
			repairs: [][]string{{"packs"}, {"snapshots", "--forget"}}},
		{name: "a pack empty", damage: func(b *byHand) { b.change(b.files("data")[0], func([]byte) []byte { return nil }) },
			structure: 1, readData: 1, kinds: []string{"size"}, lost: true,
			repairs: [][]string{{"packs"}, {"snapshots", "--forget"}}},
		{name: "flipped bits", damage: func(b *byHand) { b.change(b.files("data")[0], flip(100)) },
			structure: 0, readData: 1, kinds: []string{"pack"}, lost: true,
			repairs: [][]string{{"packs"}, {"snapshots", "--forget"}}},
		{name: "flipped bits in the header", damage: func(b *byHand) {
			b.change(b.files("data")[0], func(p []byte) []byte { p[len(p)-20] ^= 1; return p })
		}, structure: 0, readData: 1, kinds: []string{"pack", "header"}, repairs: [][]string{{"packs"}}},
		{name: "all indexes missing", damage: func(b *byHand) {
			for _, f := range b.files("index") {
				b.remove(f)
			}
		}, structure: 1, readData: 1, kinds: []string{"tree", "unused"}, lost: true, repairs: [][]string{{"index"}}},
		{name: "an index stale", damage: func(b *byHand) { // of before the second snapshot
			b.remove(b.files("index")[1])
		}, structure: 1, readData: 1, lost: true, repairs: [][]string{{"index"}}},
		{name: "an index damaged", damage: func(b *byHand) { b.change(b.files("index")[0], flip(30)) },
			structure: 1, readData: 1, kinds: []string{"index"}, lost: true, repairs: [][]string{{"index"}}},
		{name: "an index truncated", damage: func(b *byHand) { b.change(b.files("index")[0], half) },
			structure: 1, readData: 1, kinds: []string{"index"}, lost: true, repairs: [][]string{{"index"}}},
		{name: "a snapshot file damaged", damage: func(b *byHand) { b.change(b.files("snapshots")[0], flip(30)) },
			structure: 1, readData: 1, kinds: []string{"snapshot"}, repairs: [][]string{{"snapshots", "--forget"}}},
		{name: "an index in the place of a snapshot", damage: func(b *byHand) {
			content, err := os.ReadFile(b.files("index")[0])
			if err != nil {
				b.t.Fatal(err)
			}
			b.put(b.repo("snapshots", filepath.Base(b.files("index")[0])), content)
		}, structure: 1, readData: 1, kinds: []string{"snapshot"}, repairs: [][]string{{"snapshots", "--forget"}}},
		{name: "foreign files", damage: func(b *byHand) {
			for _, p := range []string{"README", ".DS_Store", "data/notes.txt", "data/00/.nfs0001", "data/00/Thumbs.db", "index/old.bak", "snapshots/x.tmp", "keys/.keep", "locks/lost+found/y"} {
				b.put(b.repo(p), []byte("foreign"))
			}
		}, structure: 0, readData: 0, resticOK: true},
		{name: "a pack that no index names", damage: func(b *byHand) {
			content := []byte("left by a run that was killed")
			b.put(b.repo("data", "ab", "ab"+strings.Repeat("0", 62)), content)
		}, structure: 0, readData: 0, kinds: []string{"unused"}, resticOK: true},
		{name: "a blob twice", damage: func(b *byHand) {
			first := b.files("index")
			for _, f := range first { // restic knows nothing of what is there, and stores it again
				if err := os.Rename(f, f+".aside"); err != nil {
					b.t.Fatal(err)
				}
			}
			if out, err := b.restic("backup", "--force", b.src); err != nil {
				b.t.Fatalf("restic: %v\n%s", err, out)
			}
			for _, f := range first {
				if err := os.Rename(f+".aside", f); err != nil {
					b.t.Fatal(err)
				}
			}
		}, structure: 0, readData: 0, resticOK: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := base.copy(t)
			tt.damage(b)
			b.check(tt.structure, nil)
			report := b.check(tt.readData, tt.kinds, "--read-data")
			if (len(report.Lost) > 0) != tt.lost {
				t.Errorf("lost: %+v", report.Lost)
			}
			judge := []string{"check"}
			if tt.structure == exitDone { // otherwise it tries for most of a minute to read what is gone
				judge = append(judge, "--read-data")
			}
			if out, err := b.restic(judge...); (err == nil) != tt.resticOK {
				t.Errorf("stock restic says before: %v\n%s", err, out)
			}
			// It may have left its lock behind as it fell over the damage.
			if r := b.run("unlock"); r.code != exitDone || strings.Contains(r.out, "left:") {
				t.Errorf("unlock: code %d, %s%s", r.code, r.out, r.stderr)
			}
			for _, args := range tt.repairs {
				if r := b.run(append([]string{"repair"}, args...)...); r.code != exitFailed || !strings.Contains(r.stderr, "--yes") {
					t.Errorf("repair %q asks nobody: code %d, %s", args, r.code, r.stderr)
				}
				if r := b.run(slices.Concat([]string{"repair"}, args, []string{"--dry-run"})...); r.code != exitDone || !strings.Contains(r.out, ": ") {
					t.Errorf("repair --dry-run %q: code %d, %s%s", args, r.code, r.out, r.stderr)
				}
				if r := b.run(slices.Concat([]string{"repair"}, args, []string{"--yes"})...); r.code != exitDone {
					t.Errorf("repair %q: code %d, %s", args, r.code, r.stderr)
				}
			}
			b.check(exitDone, nil, "--read-data")
			if out, err := b.restic("check", "--read-data"); err != nil {
				t.Errorf("stock restic says after: %v\n%s", err, out)
			}
			if tt.lost {
				b.restores()
			}
		})
	}
}

// restores demands that stock restic restores every snapshot that is left, and
// that what it gives is what was saved.
func (b *byHand) restores() {
	b.t.Helper()
	out, err := b.restic("snapshots", "--json")
	var list []struct{ ID string }
	if err == nil {
		err = json.Unmarshal([]byte(out), &list)
	}
	if err != nil || len(list) == 0 {
		b.t.Fatalf("snapshots: %v\n%s", err, out)
	}
	for _, s := range list {
		target := filepath.Join(b.t.TempDir(), "restored")
		if out, err := b.restic("restore", s.ID, "--target", target); err != nil {
			b.t.Errorf("restore: %v\n%s", err, out)
		}
		for _, name := range []string{"first", "second"} {
			got, err := os.ReadFile(filepath.Join(target, b.src, name))
			if errors.Is(err, os.ErrNotExist) {
				continue // lost, or not in that snapshot
			}
			want, werr := os.ReadFile(filepath.Join(b.src, name))
			if err != nil || werr != nil || !bytes.Equal(got, want) {
				b.t.Errorf("%s of %s differs: %v", name, s.ID, errors.Join(err, werr))
			}
		}
	}
}

// TestDamagedKeyFiles: a damaged key beside a good one is damage, and the only
// one is said for what it is.
func TestDamagedKeyFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("stock restic derives its key often")
	}
	b := newByHand(t)
	only := b.files("keys")[0]
	good, err := os.ReadFile(only)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("ab", 32)
	b.put(b.repo("keys", name), half(slices.Clone(good)))
	b.check(exitFailed, []string{"key"})
	if r := b.run("key", "remove", "--yes", name); r.code != exitDone {
		t.Errorf("key remove: code %d, %s", r.code, r.stderr)
	}
	b.check(exitDone, nil)
	for _, damage := range []func([]byte) []byte{half, flip(len(good) / 2), func([]byte) []byte { return nil }} {
		b.put(only, damage(slices.Clone(good)))
		r := b.run("check")
		if r.code == exitDone || r.code == exitNoRepository || r.out != "" || !strings.Contains(r.stderr, "key "+filepath.Base(only)[:8]) {
			t.Errorf("code %d, %s%s", r.code, r.out, r.stderr)
		}
	}
	b.put(only, good)
	b.check(exitDone, nil, "--read-data-subset", "50%")
	b.check(exitDone, nil, "--read-data-subset", "1/2")
	for _, args := range [][]string{{"--read-data-subset", "3/2"}, {"--read-data", "--read-data-subset", "5%"}} {
		if r := b.run(append([]string{"check"}, args...)...); r.code != exitFailed || r.out != "" {
			t.Errorf("%q: code %d, %s", args, r.code, fmt.Sprint(r.out, r.stderr))
		}
	}
}
