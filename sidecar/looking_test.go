package sidecar

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/settings"
	"github.com/ripplebak/ripplebak/storage/local"
)

// library is a repository of snapshots that a test has written, and a sidecar
// that looks into it, without Docker.
type library struct {
	t    *testing.T
	app  *App
	dir  string
	log  *lockedBuffer
	repo *repository.Repository
	w    *repository.Writer
}

const libraryPassword = "correct horse"

func newLibrary(t *testing.T) *library {
	t.Helper()
	l := &library{t: t, dir: t.TempDir(), log: &lockedBuffer{}}
	store, err := local.Open(l.path("repo"), local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := repository.Init(t.Context(), store.Reader(), store.Writer(), libraryPassword, repository.InitOptions{KDF: repository.KDF{N: 1024, R: 8, P: 1}}); err != nil {
		t.Fatal(err)
	}
	if l.repo, err = repository.Open(t.Context(), store.Reader(), libraryPassword, repository.Options{}); err != nil {
		t.Fatal(err)
	}
	if l.w, err = l.repo.NewWriter(context.WithoutCancel(t.Context()), store.Writer(), repository.WriterOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(l.w.Close(context.Background()), store.Close()); err != nil {
			t.Error(err)
		}
	})
	set, err := settings.Load([]string{
		"RIPPLEBAK_REPOSITORY=" + l.path("repo"), "RIPPLEBAK_PASSWORD=" + libraryPassword, "RIPPLEBAK_PROJECT=shop", "RIPPLEBAK_STATE_DIR=" + l.path("state"),
	}, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	l.app = &App{Settings: set, Log: zerolog.New(l.log), Now: time.Now, Version: "test", Command: "ls"}
	t.Cleanup(func() {
		if locks, err := os.ReadDir(l.path("repo", "locks")); err != nil || len(locks) > 0 {
			t.Errorf("%d locks are left, %v", len(locks), err)
		}
		if t.Failed() {
			t.Log(l.log.String())
		}
	})
	return l
}

func (l *library) path(elem ...string) string {
	return filepath.Join(append([]string{l.dir}, elem...)...)
}

// written is when the library's files were last changed.
func written() time.Time { return time.Date(2026, 3, 1, 2, 3, 4, 5, time.UTC) }

// shelved is an item of a snapshot with its files, by their path in it.
type shelved struct {
	manifest.Item
	files map[string]string
}

func shelvedVolume(name string, files map[string]string) shelved {
	return shelved{Item: manifest.Item{Kind: manifest.Volume, Name: name, State: manifest.Good, VolumeInfo: &manifest.VolumeInfo{DockerName: "shop_" + name}}, files: files}
}

func shelvedDump(service, name string, files map[string]string) shelved {
	it := manifest.Item{Kind: manifest.Dump, Service: service, Name: name, State: manifest.Good, DumpInfo: &manifest.DumpInfo{Engine: "pg_dump"}}
	for file := range files {
		role := map[string]string{".dump": "database", ".sql": "properties"}[filepath.Ext(file)]
		if name == "" {
			role = "globals"
		}
		it.DumpInfo.Files = append(it.DumpInfo.Files, manifest.DumpFile{Name: file, Role: role, Size: int64(len(files[file]))})
	}
	slices.SortFunc(it.DumpInfo.Files, func(a, b manifest.DumpFile) int { return -strings.Compare(a.Name, b.Name) })
	return shelved{Item: it, files: files}
}

// node stores a file. "-> x" is a symbolic link to x.
func (l *library) node(name, content string) *repository.Node {
	l.t.Helper()
	n := &repository.Node{Name: name, Type: repository.NodeFile, Mode: 0o640, ModTime: written(), AccessTime: written(), ChangeTime: written(), UID: 33, GID: 44, Links: 1}
	if target, ok := strings.CutPrefix(content, "-> "); ok {
		n.Type, n.Mode, n.LinkTarget = repository.NodeSymlink, os.ModeSymlink|0o777, target
		return n
	}
	f := l.w.NewFile(repository.CutFile)
	if _, err := f.Write([]byte(content)); err != nil {
		l.t.Fatal(err)
	}
	ids, size, err := f.Finish().Wait(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	n.Content, n.Size = ids, size
	return n
}

// shelve commits a snapshot of items. change may still alter it.
func (l *library) shelve(at time.Time, change func(*repository.Snapshot), items ...shelved) repository.ID {
	l.t.Helper()
	r := &run{writer: l.w, started: written()}
	m := &manifest.Manifest{Project: "shop", Host: "host", Started: at, Items: []manifest.Item{}, Services: []manifest.Service{}}
	project := newDirectory()
	for _, it := range items {
		d := project.at(it.Path()...)
		for path, content := range it.files {
			at := d
			parts := strings.Split(path, "/")
			at = at.at(parts[:len(parts)-1]...)
			at.nodes = append(at.nodes, l.node(parts[len(parts)-1], content))
			it.Bytes, it.Files = it.Bytes+int64(len(content)), it.Files+1
		}
		m.Items = append(m.Items, it.Item)
	}
	node, err := r.saveManifest(l.t.Context(), m)
	if err != nil {
		l.t.Fatal(err)
	}
	project.nodes = append(project.nodes, node)
	root := newDirectory()
	root.folders["shop"] = project
	tree, err := r.saveDirectory(l.t.Context(), root)
	if err != nil {
		l.t.Fatal(err)
	}
	s := &repository.Snapshot{Time: at, Tree: &tree, Paths: []string{"/shop"}, Hostname: "host", Tags: []string{TagOurs, TagProject + "shop"}}
	if change != nil {
		change(s)
	}
	id, err := l.w.SaveSnapshot(l.t.Context(), s)
	if err != nil {
		l.t.Fatal(err)
	}
	return id
}

func day(n int) time.Time { return time.Date(2026, 3, n, 2, 0, 0, 0, time.UTC) }

// restic runs stock restic on the repository, or skips.
func (l *library) restic(args ...string) string {
	l.t.Helper()
	path, err := exec.LookPath("restic")
	if err != nil {
		if os.Getenv("RIPPLEBAK_REQUIRE_TOOLS") == "1" {
			l.t.Fatal("restic is required and not installed")
		}
		l.t.Skip("restic is not installed")
	}
	cmd := exec.CommandContext(l.t.Context(), path, append([]string{"--repo", l.path("repo"), "--no-cache"}, args...)...)
	cmd.Env = append(os.Environ(), "RESTIC_PASSWORD="+libraryPassword)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		l.t.Fatalf("restic %s: %v\n%s", strings.Join(args, " "), err, errOut.String())
	}
	return out.String()
}
