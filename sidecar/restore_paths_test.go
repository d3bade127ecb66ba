package sidecar

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestVolumePath(t *testing.T) {
	for in, want := range map[string]string{
		"a": "a", "/a": "a", "a/b/": "a/b", "/a//b": "a/b", "./a": "a", "a/./b": "a/b", "*.pdf": "*.pdf", "a b\n": "a b\n",
		"[x]{1,2}?": "[x]{1,2}?", "..a/b..": "..a/b..", "\xff": "\xff", "-rf": "-rf",
	} {
		if got, err := volumePath(in); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "/", ".", "//", "..", "../a", "a/..", "a/../b", "/..", "a\x00b", strings.Repeat("a/", maxVolumePath)} {
		if got, err := volumePath(in); err == nil {
			t.Errorf("%.20q was taken for %.20q", in, got)
		}
	}
}

func FuzzVolumePath(f *testing.F) {
	f.Add("/a/./b//c/")
	f.Add("a/../../etc/passwd")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := volumePath(text)
		if err != nil {
			return
		}
		for _, name := range strings.Split(p, "/") {
			if name == "" || name == "." || name == ".." || strings.ContainsRune(name, 0) {
				t.Errorf("%q became %q", text, p)
			}
		}
	})
}

// shelves is a shop with two volumes of several files, saved and changed since.
func shelves(t *testing.T) *shop {
	t.Helper()
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true"}, "data", "more")
	s.service("web", nil, "data")
	for _, volume := range []string{"data", "more"} {
		s.put(volume, "both", "of "+volume)
	}
	s.put("data", "2026/a.txt", "a")
	s.put("data", "2026/b.txt", "b")
	s.put("data", "*", "star")
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"both", "2026/a.txt", "2026/b.txt", "*", "file", "extra", "2026/new"} {
		s.put("data", name, "changed")
	}
	return s
}

func (s *shop) put(volume, name, content string) {
	s.t.Helper()
	file := s.path("volumes", "shop_"+volume, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// holds is what the files of a volume hold, by name.
func (s *shop) holds(dir string) map[string]string {
	s.t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, dir+"/")] = string(b)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func TestRestoreOfPathsTouchesNothingElse(t *testing.T) {
	for _, c := range []struct {
		paths []string
		want  map[string]string // what is other than "changed"; "" for gone
	}{
		{[]string{"2026/a.txt"}, map[string]string{"2026/a.txt": "a"}},
		{[]string{"/2026/"}, map[string]string{"2026/a.txt": "a", "2026/b.txt": "b", "2026/new": ""}},
		{[]string{"*"}, map[string]string{"*": "star"}},
		{[]string{"2026/b.txt", "file"}, map[string]string{"2026/b.txt": "b", "file": "content of data"}},
	} {
		s := shelves(t)
		report, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest", Volumes: []string{"data"}, Paths: c.paths})
		if err != nil {
			t.Fatal(err)
		}
		for name, got := range s.holds(s.path("volumes", "shop_data")) {
			want, ok := c.want[name]
			if !ok {
				want = "changed"
			}
			if got != want {
				t.Errorf("%q: %s holds %q, want %q", c.paths, name, got, want)
			}
		}
		for name, want := range c.want {
			_, err := os.Stat(s.path("volumes", "shop_data", name))
			if want == "" && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%q: %s is still there", c.paths, name)
			}
		}
		if len(report.Downtime) != 2 || report.Safety == "" || report.Plan.Items[0].Bytes > 20 {
			t.Errorf("report: %+v, item %+v", report, report.Plan.Items[0])
		}
		s.wantQuiet()
	}
}

func TestRestoreOfPathsFindsTheVolume(t *testing.T) {
	s := shelves(t)
	if _, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest", Paths: []string{"2026/a.txt"}}); err != nil {
		t.Fatal(err)
	}
	if got := s.holds(s.path("volumes", "shop_data"))["2026/a.txt"]; got != "a" {
		t.Errorf("it holds %q", got)
	}
	for _, c := range []struct {
		opt  RestoreOptions
		want string
	}{
		{RestoreOptions{Paths: []string{"both"}}, `path "both" is in the volumes data, more: choose one by --volume`},
		{RestoreOptions{Paths: []string{"2026/gone"}}, `path "2026/gone" is not in volume data (`},
		{RestoreOptions{Paths: []string{"2026/a.txt/x"}}, `path "2026/a.txt/x" is not in volume data (`},
		{RestoreOptions{Paths: []string{"2026/*"}}, `path "2026/*" is not in`},
		{RestoreOptions{Paths: []string{"2026/a.txt"}, Volumes: []string{"more"}}, `is not in volume more (`},
		{RestoreOptions{Paths: []string{"2026/a.txt", "../x"}}, `path "../x" leads out`},
		{RestoreOptions{Paths: []string{"/"}, Volumes: []string{"data"}}, "a volume as a whole"},
	} {
		c.opt.Snapshot = "latest"
		_, err := s.app.Restore(t.Context(), c.opt)
		var faults *ProblemsError
		if !errors.As(err, &faults) || !slices.ContainsFunc(faults.Problems, func(p string) bool { return strings.Contains(p, c.want) }) {
			t.Errorf("%+v: %v, want %q", c.opt, err, c.want)
		}
	}
	s.wantQuiet()
}

func TestRestoreOfPathsWithoutStopping(t *testing.T) {
	s := shelves(t)
	report, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest", Paths: []string{"2026/a.txt"}, NoStop: true})
	if err != nil || len(report.Downtime) != 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	if got := s.holds(s.path("volumes", "shop_data")); got["2026/a.txt"] != "a" || got["2026/b.txt"] != "changed" {
		t.Errorf("it holds %q", got)
	}
	if _, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest", NoStop: true}); err == nil || !strings.Contains(err.Error(), "single paths") {
		t.Errorf("whole volumes under running services: %v", err)
	}
	s.wantQuiet()
}
