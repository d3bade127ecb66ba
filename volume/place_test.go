package volume

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func newFile(p, content string) NewFile {
	return NewFile{Path: p, Content: []byte(content), Mode: 0o640, UID: 4711, GID: 4711, ModTime: Time{Sec: 1_700_000_000, Nsec: 5}}
}

// placeIn places files in a directory below root, as they are owned by 4711.
func placeIn(t *testing.T, root, dir string, write bool, files ...NewFile) map[string]PlacedFile {
	t.Helper()
	placed, err := connect(t, 1).PlaceFiles(t.Context(), PlaceRequest{Root: root, Dir: dir, Owner: 4711, Write: write}, files)
	if err != nil || len(placed) != len(files) {
		t.Fatalf("%d of %d files, %v", len(placed), len(files), err)
	}
	out := map[string]PlacedFile{}
	for _, p := range placed {
		out[p.Path] = p
	}
	return out
}

func TestNewFilesGetTheOwnerOfTheDirectory(t *testing.T) {
	root := t.TempDir()
	files := []NewFile{newFile("compose.yaml", "services: {}\n"), newFile(".env", ""), newFile("conf/a/app.env", "A=1\n")}
	for _, f := range placeIn(t, root, "home/shop", false, files...) {
		if f.Same || f.Why != "" {
			t.Errorf("%+v", f)
		}
	}
	if names, _ := os.ReadDir(root); len(names) != 0 {
		t.Fatalf("looking has made %v", names)
	}
	for _, again := range []bool{false, true} {
		for _, f := range placeIn(t, root, "home/shop", true, files...) {
			if f.Same != again || f.Why != "" {
				t.Errorf("again %v: %+v", again, f)
			}
		}
	}
	for _, f := range files {
		at := filepath.Join(root, "home/shop", f.Path)
		content, err := os.ReadFile(at)
		var st unix.Stat_t
		if err := errors.Join(err, unix.Stat(at, &st)); err != nil {
			t.Fatal(err)
		}
		if string(content) != string(f.Content) || st.Mode&0o7777 != 0o640 || int(st.Uid) != os.Getuid() || st.Mtim.Sec != 1_700_000_000 {
			t.Errorf("%s: %q, %+v", f.Path, content, st)
		}
	}
}

func TestWhatIsThereIsInTheWay(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "shop")
	errs := errors.Join(
		os.MkdirAll(filepath.Join(dir, "folder"), 0o755),
		os.WriteFile(filepath.Join(dir, "differs"), []byte("mine"), 0o600),
		os.WriteFile(filepath.Join(dir, "same"), []byte("text"), 0o600),
		os.WriteFile(filepath.Join(root, "outside"), []byte("text"), 0o600),
		os.Symlink("../outside", filepath.Join(dir, "link")),
		os.Symlink("..", filepath.Join(dir, "up")),
		os.Symlink("/tmp", filepath.Join(dir, "abs")),
	)
	if errs != nil {
		t.Fatal(errs)
	}
	want := map[string]string{
		"differs": "has another content", "folder": "is no regular file", "link": "is no regular file", "same/below": "same is no directory",
		"up/new": "escapes", "abs/new": "escapes", "../new": "is no path", "/new": "is no path", "a/../b": "is no path", "": "is no path", ".": "is no path", "x\x00y": "is no path",
	}
	var files []NewFile
	for name := range want {
		files = append(files, newFile(name, "text"))
	}
	files = append(files, newFile("same", "text"))
	for _, write := range []bool{false, true} {
		placed := placeIn(t, root, "shop", write, files...)
		if f := placed["same"]; !f.Same || f.Why != "" {
			t.Errorf("%+v", f)
		}
		for name, why := range want {
			if f := placed[name]; !strings.Contains(f.Why, why) || f.Same {
				t.Errorf("write %v, %q: %+v, want %q", write, name, f, why)
			}
		}
	}
	if names, err := os.ReadDir(root); err != nil || len(names) != 2 {
		t.Errorf("beside the directory there are %v, %v", names, err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "differs")); err != nil || string(b) != "mine" {
		t.Errorf("%q, %v", b, err)
	}
	for _, bad := range []string{"../x", "/x", ""} {
		if _, err := connect(t, 1).PlaceFiles(t.Context(), PlaceRequest{Root: root, Dir: bad, Write: true}, nil); err == nil {
			t.Errorf("%q is taken for a directory below", bad)
		}
	}
}
