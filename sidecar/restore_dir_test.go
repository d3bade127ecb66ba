package sidecar

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/repository"
)

const rolesText = "--\n-- PostgreSQL database cluster dump\n--\n\nCREATE ROLE a;\n\n--\n-- PostgreSQL database cluster dump complete\n--\n\n"

// depot is a library with roles and two volumes in two snapshots.
func depot(t *testing.T) (l *library, older repository.ID) {
	l = newLibrary(t)
	roles := shelvedDump("db", "", map[string]string{"globals.sql": rolesText})
	roles.DumpInfo.Facts = []byte("{}")
	uploads := map[string]string{"a": "new", "d/b\xff\x1b": strings.Repeat("0123456789", 200_000), "d/l": "-> ../a", "random": randomText(300_000)}
	older = l.shelve(day(1), nil, roles, shelvedVolume("uploads", map[string]string{"a": "old"}))
	l.shelve(day(2), nil, roles, shelvedVolume("uploads", uploads), shelvedVolume("more", map[string]string{"m": "m"}))
	return l, older
}

// restoredTo restores into a directory, and gives what is there.
func (l *library) restoredTo(opt RestoreOptions) (map[string]string, *RestoreReport, error) {
	l.t.Helper()
	if opt.Snapshot == "" {
		opt.Snapshot = "latest"
	}
	rep, err := l.app.Restore(l.t.Context(), opt)
	out := map[string]string{}
	werr := filepath.WalkDir(opt.ToDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := strings.TrimPrefix(path, opt.ToDir+"/")
		if d.Type()&os.ModeSymlink != 0 {
			target, err := os.Readlink(path)
			out[name] = "-> " + target
			return err
		}
		b, err := os.ReadFile(path)
		out[name] = string(b)
		return err
	})
	if werr != nil && !errors.Is(werr, fs.ErrNotExist) {
		l.t.Fatal(werr)
	}
	return out, rep, err
}

func TestRestoreToADirectory(t *testing.T) {
	l, older := depot(t)
	there, rep, err := l.restoredTo(RestoreOptions{ToDir: l.path("out", "deeper")})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"dumps/db/globals.sql": rolesText, "volumes/more/m": "m", "volumes/uploads/a": "new", "volumes/uploads/d/l": "-> ../a",
		"volumes/uploads/d/b\xff\x1b": strings.Repeat("0123456789", 200_000), "volumes/uploads/random": randomText(300_000),
	}
	for name, content := range want {
		if there[name] != content {
			t.Errorf("%q holds %.40q, want %.40q", name, there[name], content)
		}
	}
	if len(there) != len(want) || len(rep.Items) != 3 || !rep.Items[0].Restored || rep.Items[0].Bytes != int64(len(rolesText)) || rep.Safety != "" {
		t.Errorf("%d files, report %+v", len(there), rep)
	}
	if info, err := os.Stat(l.path("out")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("others may look into %s: %v, %v", l.path("out"), info.Mode(), err)
	}
	if info, err := os.Stat(l.path("out", "deeper", "volumes", "uploads", "a")); err != nil || info.Mode().Perm() != 0o640 || !info.ModTime().Equal(written()) {
		t.Errorf("%v, %v", info, err)
	}

	// One item, one path, another snapshot.
	there, _, err = l.restoredTo(RestoreOptions{ToDir: l.path("one"), Volumes: []string{"uploads"}, Paths: []string{"d"}})
	if err != nil || len(there) != 2 || there["volumes/uploads/d/l"] != "-> ../a" {
		t.Errorf("%d files, %v", len(there), err)
	}
	there, _, err = l.restoredTo(RestoreOptions{ToDir: l.path("old"), Snapshot: older.String(), Volumes: []string{"uploads"}})
	if err != nil || len(there) != 1 || there["volumes/uploads/a"] != "old" {
		t.Errorf("%q, %v", there, err)
	}
	there, rep, err = l.restoredTo(RestoreOptions{ToDir: l.path("dry"), DryRun: true})
	if err != nil || len(there) != 0 || len(rep.Plan.Items) != 3 || rep.Plan.Items[1].To == "" {
		t.Errorf("%q, %+v, %v", there, rep, err)
	}
	if _, err := os.Stat(l.path("dry")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a dry run made the directory: %v", err)
	}
}

func TestRestoreToADirectoryThatHoldsSomething(t *testing.T) {
	l, _ := depot(t)
	dir := l.path("out")
	for name, content := range map[string]string{"mine": "mine", "volumes/uploads/a": "mine too", "volumes/uploads/extra": "extra", "dumps/db/globals.sql": "old"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	there, _, err := l.restoredTo(RestoreOptions{ToDir: dir})
	var faults *ProblemsError
	if !errors.As(err, &faults) || !strings.Contains(err.Error(), "is not empty") || len(there) != 4 || there["volumes/uploads/a"] != "mine too" {
		t.Errorf("%d files, %v", len(there), err)
	}
	asked := 0
	opt := RestoreOptions{ToDir: dir, KeepExtra: true, Confirm: func(*plan.Restore) error { asked++; return ErrDeclined }}
	if there, _, err = l.restoredTo(opt); !errors.Is(err, ErrDeclined) || there["volumes/uploads/a"] != "mine too" {
		t.Errorf("%q, %v", there, err)
	}
	opt.Confirm = func(*plan.Restore) error { asked++; return nil }
	there, _, err = l.restoredTo(opt)
	if err != nil || asked != 2 || there["mine"] != "mine" || there["volumes/uploads/extra"] != "extra" || there["volumes/uploads/a"] != "new" || there["dumps/db/globals.sql"] != rolesText {
		t.Errorf("asked %d times, %v", asked, err)
	}

	// Links in it lead nowhere.
	elsewhere := l.path("elsewhere")
	dir = l.path("linked")
	for _, d := range []string{elsewhere, dir, filepath.Join(dir, "volumes")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range []string{"dumps", "volumes/uploads"} {
		if err := os.Symlink(elsewhere, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	opt.ToDir = dir
	there, rep, err := l.restoredTo(opt)
	if !errors.Is(err, ErrRestoreFailed) || rep.Items[0].Restored || rep.Items[1].Restored || !rep.Items[2].Restored || there["volumes/more/m"] != "m" {
		t.Errorf("%+v, %v", rep.Items, err)
	}
	if left, err := os.ReadDir(elsewhere); err != nil || len(left) > 0 {
		t.Errorf("written through a link: %v, %v", left, err)
	}
}

// TestRestoreToANewDirectorySaysWhatIsOlder: nobody is shown the plan.
func TestRestoreToANewDirectorySaysWhatIsOlder(t *testing.T) {
	l := newLibrary(t)
	l.shelve(day(1), nil, shelvedVolume("a", map[string]string{"f": "a"}), shelvedVolume("b", map[string]string{"f": "b"}))
	failed := shelvedVolume("b", nil)
	failed.State = manifest.Failed
	l.shelve(day(2), nil, shelvedVolume("a", map[string]string{"f": "new"}), failed)
	there, rep, err := l.restoredTo(RestoreOptions{ToDir: l.path("out")})
	if err != nil || there["volumes/b/f"] != "b" || !strings.Contains(strings.Join(rep.Notes, "\n"), "volume b is of ") {
		t.Errorf("%q, notes %q, %v", there, rep.Notes, err)
	}
}

func TestRestoreToADirectoryOfADamagedDumpWritesNothing(t *testing.T) {
	l := newLibrary(t)
	roles := shelvedDump("db", "", map[string]string{"globals.sql": rolesText[:len(rolesText)-60]})
	roles.DumpInfo.Facts = []byte("{}")
	l.shelve(day(1), nil, roles, shelvedVolume("uploads", map[string]string{"a": "a"}))
	if _, _, err := l.restoredTo(RestoreOptions{ToDir: l.path("out")}); err == nil || !strings.Contains(err.Error(), "nothing was touched") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(l.path("out")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestRestoreToADirectoryInterrupted(t *testing.T) {
	l, _ := depot(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	l.app.Crash = func(point string) {
		if point == "mid-restore" {
			cancel(stop)
		}
	}
	_, err := l.app.Restore(ctx, RestoreOptions{Snapshot: "latest", ToDir: l.path("out")})
	if !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}

func TestWhatIsLostWithTheContainer(t *testing.T) {
	root := t.TempDir()
	if why, err := lostWithContainer(root, root); err != nil || why != "" {
		t.Errorf("outside of a container: %q, %v", why, err)
	}
	if err := os.WriteFile(filepath.Join(root, ".dockerenv"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if why, err := lostWithContainer(root, root); err != nil || !strings.Contains(why, "-v /srv/restored:/restored") {
		t.Errorf("on the container's own filesystem: %q, %v", why, err)
	}
	if why, err := lostWithContainer(root, "/proc"); err != nil || why != "" {
		t.Errorf("on another filesystem: %q, %v", why, err)
	}
}

func TestTheOnlyProjectNeedsNoName(t *testing.T) {
	l, _ := depot(t)
	l.app.Settings.Project = ""
	t.Setenv("DOCKER_HOST", "unix://"+l.path("nobody.sock"))
	if there, _, err := l.restoredTo(RestoreOptions{ToDir: l.path("out"), Volumes: []string{"more"}}); err != nil || there["volumes/more/m"] != "m" {
		t.Errorf("%q, %v", there, err)
	}
	l.shelve(day(3), func(s *repository.Snapshot) { s.Tags = []string{TagOurs, TagProject + "blog"} }, shelvedVolume("x", nil))
	if _, _, err := l.restoredTo(RestoreOptions{ToDir: l.path("more")}); err == nil || !strings.Contains(err.Error(), "blog, shop: say which by RIPPLEBAK_PROJECT") {
		t.Errorf("%v", err)
	}
}

func TestWhatTheManifestDoesNotDescribeIsNotWritten(t *testing.T) {
	it := manifest.Item{Kind: manifest.Bind, Service: "app", Name: "/etc", State: manifest.Good}
	p := plan.MakeRestoreToDir(plan.DirInput{Dir: "/out", FreeBytes: -1, Sources: []plan.Source{{Item: it}}})
	if len(p.Problems) != 1 || !strings.Contains(p.Problems[0], "the manifest does not describe it") {
		t.Errorf("problems %q", p.Problems)
	}
}
