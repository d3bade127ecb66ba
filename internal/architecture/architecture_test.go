// Package architecture_test proves that the house stands: which package may
// import which, and who can delete.
package architecture_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// top is the module's folder.
const top = "../.."

const module = "github.com/ripplebak/ripplebak"

// listed is a package as the go command lists it, without its tests.
type listed struct {
	ImportPath string
	Imports    []string // its own
	Deps       []string // with those of its imports
}

// packages are the module's own, by their path below it.
func packages(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports,Deps", "./...")
	cmd.Dir = top
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	found := map[string]listed{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if name, ok := strings.CutPrefix(p.ImportPath, module+"/"); ok {
			found[name] = p
		}
	}
	if len(found) < 10 {
		t.Fatalf("go list found %d packages only", len(found))
	}
	return found
}

// below reports whether a path is the folder or lies in it.
func below(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

// floors are the house from the top down: a package imports only what lies on
// a lower floor, or in its own folder.
func floors() [][]string {
	return [][]string{
		{"cmd"},
		{"sidecar"},
		{"archive", "plan"},
		{"compose", "docker", "manifest", "repository", "volume"},
		{"dump", "labels", "sqlite", "storage"},
		{"retention"},
		{"delay", "spelling"},
	}
}

func floorOf(name string) int {
	for i, f := range floors() {
		for _, folder := range f {
			if below(name, folder) {
				return i
			}
		}
	}
	return -1
}

func folderOf(name string) string {
	folder, _, _ := strings.Cut(name, "/")
	return folder
}

func TestArrowsGoDown(t *testing.T) {
	for name, p := range packages(t) {
		from := floorOf(name)
		if from < 0 {
			continue // tests, tools and examples stand outside the house
		}
		for _, imported := range p.Imports {
			to, ok := strings.CutPrefix(imported, module+"/")
			if !ok || folderOf(to) == folderOf(name) {
				continue
			}
			switch floor := floorOf(to); {
			case floor < 0:
				t.Errorf("%s imports %s, which stands outside the house", name, to)
			case floor <= from:
				t.Errorf("%s imports %s, which is not below it", name, to)
			}
		}
	}
}

// TestWhatPackagesKnow holds the knowledge of Docker, of object storage and of
// the repository where it belongs.
func TestWhatPackagesKnow(t *testing.T) {
	const (
		docker = "github.com/docker/docker"
		s3     = "github.com/minio/minio-go"
	)
	own := func(folder string) string { return module + "/" + folder }
	forbidden := map[string][]string{
		"labels":     {docker, s3, own("docker"), own("storage"), own("repository"), own("volume")},
		"plan":       {docker, s3, own("docker"), own("storage"), own("repository"), own("volume")},
		"dump":       {docker, s3, own("docker"), own("storage"), own("repository"), own("volume")},
		"retention":  {docker, s3, own("docker"), own("storage"), own("repository"), own("volume")},
		"manifest":   {docker, s3, own("docker"), own("storage"), own("repository"), own("volume")},
		"compose":    {docker, s3, own("docker"), own("storage"), own("repository")},
		"volume":     {docker, s3, own("docker"), own("storage"), own("repository")},
		"repository": {docker, s3, own("docker"), own("volume"), own("dump"), own("compose"), own("labels")},
		"storage":    {docker, own("docker"), own("volume"), own("repository"), own("compose"), own("labels")},
		"docker":     {s3, own("storage"), own("repository"), own("volume")},
	}
	found := packages(t)
	for folder := range forbidden {
		if _, ok := found[folder]; !ok {
			t.Errorf("there is no package %s to look at", folder)
		}
	}
	for name, p := range found {
		for _, dep := range p.Deps {
			for _, f := range forbidden[folderOf(name)] {
				if below(dep, f) || strings.HasPrefix(dep, f+"/v") {
					t.Errorf("%s depends on %s", name, dep)
				}
			}
		}
	}
}

// mayDelete are the files that may hold what deletes from a repository, by how
// their names begin. What checks, lists, finds, exports or restores is not
// among them.
func mayDelete(path string) bool {
	for _, start := range []string{
		"repository/forget", "repository/prune", "repository/repair", "repository/keychange",
		"sidecar/deleting", "sidecar/forget", "sidecar/pin", "sidecar/prune", "sidecar/repair", "sidecar/key", "sidecar/copy",
	} {
		if strings.HasPrefix(path, start) {
			return true
		}
	}
	return false
}

// TestF40_WhatDeletesIsNamedInItsOwnFilesOnly proves that what could delete
// from a repository is not even named elsewhere: check, ls and restore cannot
// reach it, for they would not compile.
func TestF40_WhatDeletesIsNamedInItsOwnFilesOnly(t *testing.T) {
	looked, held := 0, 0
	tree := os.DirFS(top)
	deletes := map[string]bool{"Remover": true, "Deleter": true, "NewDeleter": true, "openDeleting": true, "lockForDeleting": true, "deleting": true}
	err := fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || path == "storage" || path == "tools" || path == "integration"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		looked++
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, filepath.Join(top, path), nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			name, ok := n.(*ast.Ident)
			switch {
			case !ok || !deletes[name.Name]:
			case mayDelete(path):
				held++
			default:
				t.Errorf("%s names %s", set.Position(name.Pos()), name.Name)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if looked < 50 || held < 5 {
		t.Errorf("only %d files and %d names were looked at", looked, held)
	}
}
