package sidecar

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/repository"
)

// openRepository opens the shop's repository as another process would.
func (s *shop) openRepository() *vault {
	s.t.Helper()
	_, v, err := s.app.look(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := v.close(s.t.Context()); err != nil {
			s.t.Error(err)
		}
	})
	return v
}

func TestSnapshotHoldsItsRunbook(t *testing.T) {
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true"}, "data")
	s.service("cache", nil, "scratch")
	for range 2 {
		if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	var stored []*repository.Node
	v := s.openRepository()
	all, _, err := v.repo.Snapshots(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	for _, sn := range all {
		node, err := v.repo.Resolve(t.Context(), *sn.Tree, "shop", manifest.RunbookName)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, node)
	}
	if len(stored[0].Content) != 1 || stored[0].Content[0] != stored[1].Content[0] {
		t.Error("the document of a run that found nothing new is stored again")
	}
	text, err := readSmall(t.Context(), v.repo, stored[1], 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# Recovery of shop", "`volume data`", "service `cache` holds", "`RIPPLEBAK_PASSWORD`", s.path("repo"),
		"docker compose run --rm backup restore --volume data latest",
	} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
	if bytes.Contains(text, []byte("correct horse")) {
		t.Error("it holds the password")
	}
	report, err := s.app.Runbook(t.Context(), "latest")
	if err != nil || report.Markdown != string(text) || report.Snapshot != all[1].ID.String() {
		t.Errorf("%+v, %v", report, err)
	}
	first := all[0].ID.Short()
	if report, err = s.app.Runbook(t.Context(), first); err != nil || !strings.Contains(report.Markdown, "restore --volume data "+first) {
		t.Errorf("%+v, %v", report, err)
	}
	if diff, err := s.app.Diff(t.Context(), all[0].ID.String(), all[1].ID.String(), func(DiffEntry) error { return nil }); err != nil {
		t.Errorf("%+v, %v", diff, err)
	}
}

func TestRunbookKnowsHowLongARestoreTook(t *testing.T) {
	s := saved(t)
	report, err := s.app.Restore(t.Context(), latest())
	if err != nil {
		t.Fatal(err)
	}
	if took := s.history().Restores["volume data"]; took.Bytes != report.Items[0].Bytes || took.Bytes == 0 {
		t.Errorf("remembered %+v of %+v", took, report.Items)
	}
	if book, err := s.app.Runbook(t.Context(), "latest"); err != nil || !strings.Contains(book.Markdown, "less than a minute | less than a minute") {
		t.Errorf("what was measured since the snapshot is not said: %+v, %v", book, err)
	}
	s.app.Now = func() time.Time { return time.Now().Add(time.Hour) }
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	book, err := s.app.Runbook(t.Context(), "latest")
	if err != nil || !strings.Contains(book.Markdown, "less than a minute | less than a minute") {
		t.Errorf("%+v, %v", book, err)
	}
}

// TestWhatReadsSnapshotsToleratesTheRunbook: it is a file like any other.
func TestWhatReadsSnapshotsToleratesTheRunbook(t *testing.T) {
	l := newLibrary(t)
	id := l.shelve(day(1), nil, shelvedVolume("uploads", map[string]string{"a": "a"}))
	_, opened, err := l.app.look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v, err := opened.repo.LoadSnapshot(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	project, err := opened.repo.Resolve(t.Context(), *v.Tree, "shop")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := opened.repo.LoadTree(t.Context(), *project.Subtree)
	if err := errors.Join(err, opened.close(t.Context())); err != nil {
		t.Fatal(err)
	}
	r := &run{writer: l.w, started: written()}
	inside := newDirectory()
	inside.nodes = append(tree.Nodes, l.node(manifest.RunbookName, "# Recovery"))
	root := newDirectory()
	root.folders["shop"] = inside
	top, err := r.saveDirectory(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	next := repository.Snapshot{Time: day(2), Tree: &top, Paths: v.Paths, Hostname: v.Hostname, Tags: v.Tags}
	with, err := l.w.SaveSnapshot(t.Context(), &next)
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	if err := l.app.List(t.Context(), "latest", "", func(e ListEntry) error { listed = append(listed, e.Path); return nil }); err != nil || len(listed) == 0 {
		t.Errorf("ls: %q, %v", listed, err)
	}
	found := 0
	if err := l.app.Find(t.Context(), FindOptions{Patterns: []string{manifest.RunbookName}}, func(FoundFile) error { found++; return nil }); err != nil || found != 1 {
		t.Errorf("find: %d, %v", found, err)
	}
	changed := 0
	if _, err := l.app.Diff(t.Context(), id.String(), with.String(), func(DiffEntry) error { changed++; return nil }); err != nil || changed != 0 {
		t.Errorf("diff: %d changes, %v", changed, err)
	}
	if _, err := l.app.Stats(t.Context(), nil, false); err != nil {
		t.Errorf("stats: %v", err)
	}
	archive, _ := l.export(ExportOptions{Snapshot: "latest"})
	if files := untar(t, archive); files["shop/"+manifest.RunbookName] != "# Recovery" {
		t.Errorf("export: %q", files)
	}
	if there, _, err := l.restoredTo(RestoreOptions{ToDir: l.path("out")}); err != nil || there["volumes/uploads/a"] != "a" || len(there) != 1 {
		t.Errorf("restore: %q, %v", there, err)
	}
	l.restic("check")
	if out := l.restic("dump", with.String(), "/shop/"+manifest.RunbookName); out != "# Recovery" {
		t.Errorf("restic gives %q", out)
	}
}
