package sidecar

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/retention"
	"github.com/ripplebak/ripplebak/sidecar/settings"
	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/local"
)

// past is a snapshot to be stored as if it had been made then.
type past struct {
	days     int // ago
	project  string
	host     string
	tags     string // besides ours
	items    []manifest.Item
	foreign  bool // written by somebody else: no manifest
	untagged bool
	original *repository.ID
	only     []string // the run was asked for these services
}

func goodVolume(name string) manifest.Item {
	return manifest.Item{Kind: manifest.Volume, Name: name, State: manifest.Good, Bytes: 15, Files: 1}
}

// archived is a repository with snapshots of the past, that costs no scrypt.
type archived struct {
	t     testing.TB
	store storage.Store
	repo  *repository.Repository
	now   time.Time
}

func newArchived(t testing.TB, store storage.Store, now time.Time) *archived {
	t.Helper()
	opt := repository.InitOptions{KDF: repository.KDF{N: 1024, R: 8, P: 1}}
	if err := repository.Init(t.Context(), store.Reader(), store.Writer(), "correct horse", opt); err != nil {
		t.Fatal(err)
	}
	r, err := repository.Open(t.Context(), store.Reader(), "correct horse", repository.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &archived{t: t, store: store, repo: r, now: now}
}

// archive makes the shop's repository.
func (s *shop) archive(now time.Time) *archived {
	s.t.Helper()
	store, err := local.Open(s.path("repo"), local.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := store.Close(); err != nil {
			s.t.Error(err)
		}
	})
	return newArchived(s.t, store, now)
}

// add stores snapshots, and returns their IDs.
func (a *archived) add(list ...past) []string {
	a.t.Helper()
	w, err := a.repo.NewWriter(a.t.Context(), a.store.Writer(), repository.WriterOptions{Workers: 1})
	if err != nil {
		a.t.Fatal(err)
	}
	var ids []string
	for _, p := range list {
		ids = append(ids, a.one(w, p).String())
	}
	if err := w.Close(a.t.Context()); err != nil {
		a.t.Fatal(err)
	}
	return ids
}

func (a *archived) one(w *repository.Writer, p past) repository.ID {
	a.t.Helper()
	at := a.now.AddDate(0, 0, -p.days)
	if p.project == "" {
		p.project = "shop"
	}
	m := manifest.Manifest{Project: p.project, Started: at, Items: p.items, Only: p.only}
	project := &repository.Tree{Nodes: []*repository.Node{}}
	if !p.foreign {
		b, err := m.Encode()
		if err != nil {
			a.t.Fatal(err)
		}
		f := w.NewFile(repository.CutFile)
		if _, err := f.Write(b); err != nil {
			a.t.Fatal(err)
		}
		ids, size, err := f.Finish().Wait(a.t.Context())
		if err != nil {
			a.t.Fatal(err)
		}
		project.Nodes = append(project.Nodes, &repository.Node{Name: manifest.FileName, Type: "file", Mode: 0o600, Size: size, Content: ids, ModTime: at})
	}
	inner, err := w.SaveTree(a.t.Context(), project)
	if err != nil {
		a.t.Fatal(err)
	}
	root, err := w.SaveTree(a.t.Context(), &repository.Tree{Nodes: []*repository.Node{{Name: manifest.Escape(p.project), Type: "dir", Mode: os.ModeDir | 0o700, Subtree: &inner, ModTime: at}}})
	if err != nil {
		a.t.Fatal(err)
	}
	tags := strings.Fields(p.tags)
	if !p.untagged {
		tags = append(tags, TagOurs, TagProject+p.project)
	}
	if !p.foreign && !m.Complete() {
		tags = append(tags, TagIncomplete)
	}
	if p.host == "" {
		p.host = "host"
	}
	id, err := w.SaveSnapshot(a.t.Context(), &repository.Snapshot{Time: at, Tree: &root, Paths: []string{"/" + p.project}, Hostname: p.host, Tags: tags, Original: p.original})
	if err != nil {
		a.t.Fatal(err)
	}
	return id
}

// days are good snapshots of one volume, of the days from newest to oldest.
func days(newest, oldest int) []past {
	var out []past
	for d := newest; d <= oldest; d++ {
		out = append(out, past{days: d, items: []manifest.Item{goodVolume("data")}})
	}
	return out
}

// left are the days of the project's snapshots that are there, newest first.
func (a *archived) left(project string) string {
	a.t.Helper()
	list, bad, err := a.repo.Snapshots(a.t.Context())
	if err != nil || len(bad) > 0 {
		a.t.Fatal(err, bad)
	}
	var out []string
	for i := range list {
		s := list[len(list)-1-i]
		if ofProject(&s.Snapshot, project) {
			out = append(out, fmt.Sprint(int(math.Round(a.now.Sub(s.Time).Hours()/24))))
		}
	}
	return strings.Join(out, " ")
}

// keeper is an App that only decides and forgets.
func keeper(t testing.TB, now time.Time, policy string) *App {
	t.Helper()
	set, err := settings.Load([]string{"RIPPLEBAK_PROJECT=shop", "RIPPLEBAK_PASSWORD=x", "RIPPLEBAK_KEEP=" + policy, "RIPPLEBAK_STATE_DIR=" + t.TempDir()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &App{Settings: set, Log: zerolog.Nop(), Now: func() time.Time { return now }, Version: "test"}
}

func keepPolicy(t testing.TB, s *shop, policy string) {
	t.Helper()
	p, err := retention.Parse(policy)
	if err != nil {
		t.Fatal(err)
	}
	s.app.Settings.Keep = p
}
