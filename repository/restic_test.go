package repository

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func manyFiles() map[string][]byte {
	files := map[string][]byte{
		"empty":                  {},
		"one":                    {1},
		"big":                    testData(1, 9<<20),
		"random":                 randomData(2, 5<<20),
		"zeros":                  make([]byte, 3<<20+123),
		"a\nb":                   []byte("newline"),
		"\xff\"\\é\u2028":        []byte("odd"),
		"header and zeros":       append([]byte("header"), make([]byte, 2<<20)...),
		strings.Repeat("n", 255): []byte("long"),
	}
	for i := range 300 {
		files[fmt.Sprintf("small-%04d", i)] = testData(uint64(100+i), i*97)
	}
	return files
}

// TestResticReadsOurs: stock restic checks every byte, lists and restores what
// we wrote.
func TestResticReadsOurs(t *testing.T) {
	restic := needRestic(t)
	s, dir := testLocal(t)
	testInit(t, s, InitOptions{})
	files := manyFiles()
	r := testOpen(t, s, Options{})
	id := backup(t, r, s.Writer(), files)

	out := restic(dir, "check", "--read-data")
	if !strings.Contains(out, "no errors were found") {
		t.Errorf("check says:\n%s", out)
	}
	list := restic(dir, "ls", id.String())
	if got := strings.Count(list, "small-"); got != 300 {
		t.Errorf("ls shows %d small files", got)
	}
	target := filepath.Join(t.TempDir(), "out")
	restic(dir, "restore", id.String(), "--target", target)
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(target, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q: %v, %d bytes, want %d", name, err, len(got), len(want))
		}
	}
	verifySnapshot(t, testOpen(t, s, Options{}), id, files)
}

// TestWeReadRestics: we load what stock restic wrote, in both versions, and
// both write to one repository in turn.
func TestWeReadRestics(t *testing.T) {
	for _, version := range []string{"1", "2"} {
		t.Run("v"+version, func(t *testing.T) {
			restic := needRestic(t)
			s, dir := testLocal(t)
			restic(dir, "init", "--repository-version", version)
			files := manyFiles()
			src := t.TempDir()
			for name, data := range files {
				if err := os.WriteFile(filepath.Join(src, name), data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			restic(dir, "backup", src)

			r := testOpen(t, s, Options{})
			list, bad, err := r.Snapshots(t.Context())
			if err != nil || len(bad) > 0 || len(list) != 1 {
				t.Fatalf("snapshots: %v, %v, %v", list, bad, err)
			}
			node, err := r.Resolve(t.Context(), *list[0].Tree, strings.Split(strings.Trim(src, "/"), "/")...)
			if err != nil {
				t.Fatal(err)
			}
			tree, err := r.LoadTree(t.Context(), *node.Subtree)
			if err != nil {
				t.Fatal(err)
			}
			if len(tree.Nodes) != len(files) {
				t.Errorf("%d nodes, want %d", len(tree.Nodes), len(files))
			}
			for _, n := range tree.Nodes {
				if got := fileContent(t, r, n.Content); !bytes.Equal(got, files[n.Name]) {
					t.Errorf("%q differs", n.Name)
				}
			}

			files["ours"] = testData(99, 3<<20)
			id := backup(t, r, s.Writer(), files)
			restic(dir, "backup", src)
			restic(dir, "check", "--read-data")
			again := testOpen(t, s, Options{})
			verifySnapshot(t, again, id, files)
			if list, bad, err := again.Snapshots(t.Context()); err != nil || len(bad) > 0 || len(list) != 3 {
				t.Errorf("snapshots: %d, %v, %v", len(list), bad, err)
			}
		})
	}
}

// TestResticKeepsOurs: after stock restic pruned and rebuilt what we wrote,
// both still find it whole; nodes of every kind and cut among it.
func TestResticKeepsOurs(t *testing.T) {
	restic := needRestic(t)
	s, dir := testLocal(t)
	testInit(t, s, InitOptions{})
	r := testOpen(t, s, Options{})
	gone := backup(t, r, s.Writer(), map[string][]byte{"gone": testData(7, 6<<20), "kept": testData(8, 100_000)})
	w := testWriter(t, r, s.Writer(), WriterOptions{})
	dump, dumpSize := mustWait(t, mustWrite(t, w, CutDump, testData(8, 3<<20)))
	pages, pagesSize := mustWait(t, mustWrite(t, w, CutPages, slices.Concat(testData(9, 1<<20), make([]byte, 1<<20))))
	kept, keptSize := mustWait(t, mustWrite(t, w, CutFile, testData(8, 100_000)))
	inner := mustSaveTree(t, w, fileNode("dump", dump, dumpSize))
	tree := mustSaveTree(t, w,
		dirNode("dir", inner),
		fileNode("kept", kept, keptSize),
		&Node{Name: "link", Type: NodeSymlink, Mode: os.ModeSymlink | 0o777, ModTime: testTime(), AccessTime: testTime(), ChangeTime: testTime(), LinkTarget: "dir/dump", Links: 1},
		fileNode("pages", pages, pagesSize),
		&Node{Name: "pipe", Type: NodeFIFO, Mode: os.ModeNamedPipe | 0o600, ModTime: testTime(), AccessTime: testTime(), ChangeTime: testTime(), Links: 1},
	)
	id := mustSnapshot(t, w, tree)
	closeWriter(t, w)

	restic(dir, "forget", gone.String())
	restic(dir, "prune", "--max-unused", "0")
	restic(dir, "rebuild-index")
	restic(dir, "check", "--read-data")
	target := filepath.Join(t.TempDir(), "out")
	restic(dir, "restore", id.String(), "--target", target)
	got, err := os.ReadFile(filepath.Join(target, "link"))
	if err != nil || !bytes.Equal(got, testData(8, 3<<20)) {
		t.Errorf("through the link: %d bytes, %v", len(got), err)
	}
	report := mustCheck(t, s, CheckOptions{ReadData: true})
	if !report.OK() || report.Snapshots != 1 {
		t.Errorf("check: %+v", report)
	}
	// The Repository that stayed open notices the prune.
	if err := r.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.index.count != int(report.Blobs) {
		t.Errorf("%d blobs known, %d there", r.index.count, report.Blobs)
	}
}
