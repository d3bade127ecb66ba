package plan

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestPlanIsPure keeps out whatever could do more than decide.
func TestPlanIsPure(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no source files: %v", err)
	}
	allowed := map[string]bool{
		"compose": true, "dump": true, "labels": true, "manifest": true,
	}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range parsed.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			own, isOwn := strings.CutPrefix(path, "github.com/ripplebak/ripplebak/")
			switch {
			case isOwn && !allowed[own]:
				t.Errorf("%s imports %s", f, path)
			case path == "os", path == "net", strings.HasPrefix(path, "net/"), strings.HasPrefix(path, "os/"), path == "context":
				t.Errorf("%s imports %s: a plan asks nobody and changes nothing", f, path)
			case strings.HasPrefix(path, "github.com/docker/docker"), strings.Contains(path, "minio"):
				t.Errorf("%s imports %s", f, path)
			}
		}
	}
}
