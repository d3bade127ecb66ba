package archive

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

func TestFilesGoIntoAVolumeAndTheRestStays(t *testing.T) {
	b := newBench(t)
	content := strings.Repeat("what was dumped\n", 100_000)
	b.write("dump", content)
	settle()
	res := b.save(nil)
	b.flush()
	node, err := b.repo.Resolve(t.Context(), res.Tree, "dump")
	if err != nil {
		t.Fatal(err)
	}

	dst := t.TempDir()
	script(t, dst, "mkdir -p a/b/log z; echo old >a/b/dump; echo stays >a/b.c; echo stays >stays; echo log >a/b/log/1; echo stays >z/stays")
	files := []File{{Path: "a/b/dump", Node: node}, {Path: "new/dir/log", Node: node}, {Path: "a/b/another", Node: node}}
	rep, err := RestoreFiles(t.Context(), b.repo, files, b.peer, volume.RestoreRequest{Root: dst, ID: "files", Remove: []string{"a/b/log", "no/such"}})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Created != 4 || rep.Replaced != 1 || rep.Removed != 1 {
		t.Errorf("%+v", rep)
	}
	want := t.TempDir()
	script(t, want, "mkdir -p a/b z new/dir; echo stays >a/b.c; echo stays >stays; echo stays >z/stays")
	for _, f := range files {
		if err := os.WriteFile(want+"/"+f.Path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	script(t, want, "diff -r . "+dst)

	if _, err := RestoreFiles(t.Context(), b.repo, nil, b.peer, volume.RestoreRequest{Root: dst, ID: "files"}); err == nil {
		t.Error("nothing was restored without an error")
	}
	gone := *node
	gone.Content = []repository.ID{{1}}
	if _, err := RestoreFiles(t.Context(), b.repo, []File{{Path: "a/b/dump", Node: &gone}}, b.peer, volume.RestoreRequest{Root: dst, ID: "files"}); !errors.Is(err, repository.ErrNoBlob) {
		t.Errorf("content that is missing: %v", err)
	}
	script(t, want, "diff -r . "+dst)
}
