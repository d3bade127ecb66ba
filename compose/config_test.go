package compose

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func paths(files []ConfigFile) []string {
	var out []string
	for _, f := range files {
		out = append(out, f.Role+" "+f.Path)
	}
	return out
}

func TestConfigOf(t *testing.T) {
	box := func(labels ...string) Container { return made("shop", "app", "a1", labels...) }
	image := box(LabelWorkingDir, "/srv", LabelConfigs, "/etc/shadow", LabelEnvFiles, "/etc/gshadow")
	image.ImageLabels = map[string]string{LabelConfigs: "/etc/shadow", LabelEnvFiles: "/etc/gshadow"}
	envOfImage := box(LabelWorkingDir, "/srv", LabelConfigs, "/srv/compose.yaml", LabelEnvFiles, "/etc/gshadow")
	envOfImage.ImageLabels = map[string]string{LabelEnvFiles: "/etc/gshadow"}
	foreign := made("other", "app", "a2", LabelWorkingDir, "/srv", LabelConfigs, "/etc/shadow")
	for name, c := range map[string]struct {
		boxes []Container
		want  []string
		notes int
	}{
		"as Compose has it":             {[]Container{box(LabelWorkingDir, "/srv/shop", LabelConfigs, "/srv/shop/a.yaml,/srv/b.yaml")}, []string{"compose /srv/shop/a.yaml", "override /srv/b.yaml", "env /srv/shop/.env"}, 0},
		"files of variables":            {[]Container{box(LabelWorkingDir, "/srv", LabelConfigs, "a.yaml", LabelEnvFiles, "/x/one.env,/x/two.env")}, []string{"compose /srv/a.yaml", "env /x/one.env", "env /x/two.env"}, 0},
		"labels of the image":           {[]Container{image}, nil, 0},
		"variables of the image":        {[]Container{envOfImage}, []string{"compose /srv/compose.yaml", "env /srv/.env"}, 0},
		"another project":               {[]Container{foreign}, nil, 0},
		"no working directory":          {[]Container{box(LabelConfigs, "/srv/a.yaml")}, nil, 0},
		"a relative working directory":  {[]Container{box(LabelWorkingDir, "srv", LabelConfigs, "/srv/a.yaml")}, nil, 0},
		"made before it was moved":      {[]Container{box(LabelWorkingDir, "/new", LabelConfigs, "/new/a.yaml"), box(LabelWorkingDir, "/old", LabelConfigs, "/old/a.yaml")}, []string{"compose /new/a.yaml", "env /new/.env"}, 0},
		"standard input, and a fetched": {[]Container{box(LabelWorkingDir, "/srv", LabelConfigs, "-,https://host/a.yaml,oci://host/b")}, nil, 3},
		"the kernel's":                  {[]Container{box(LabelWorkingDir, "/srv", LabelConfigs, "/srv/a.yaml,/proc/1/environ,../../sys/x,/dev/sda")}, []string{"compose /srv/a.yaml", "env /srv/.env"}, 3},
	} {
		got := ConfigOf("shop", c.boxes)
		if !slices.Equal(paths(got.Files), c.want) || len(got.Notes) != c.notes {
			t.Errorf("%s: %q, %q", name, paths(got.Files), got.Notes)
		}
	}
	var many []string
	for i := range 10_000 {
		many = append(many, fmt.Sprintf("/srv/%d", i))
	}
	got := ConfigOf("shop", []Container{box(LabelWorkingDir, "/srv", LabelConfigs, strings.Join(many, ","))})
	if len(got.Files) > MaxConfigFiles || len(got.Notes) == 0 || len(got.Notes) > maxNotes {
		t.Errorf("%d files, %d notes", len(got.Files), len(got.Notes))
	}
}

func TestReferences(t *testing.T) {
	bomb := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	for name, c := range map[string]struct {
		yaml  string
		want  []string
		notes int
	}{
		"nothing":         {"", nil, 0},
		"no mapping":      {"- a\n", nil, 1},
		"no YAML":         {"services: [\n", nil, 1},
		"a bomb":          {bomb, nil, 1},
		"odd types":       {"services: 7\nconfigs: [a]\nsecrets: {a: 1, b: {file: [x]}}\ninclude: 5\n", nil, 0},
		"more documents":  {"services: {a: {env_file: a}}\n---\nservices: {a: {env_file: b}}\n", []string{"env_file /p/a", "env_file /p/b"}, 0},
		"tags of Compose": {"services:\n  a:\n    env_file: !override [x.env]\n  b: !reset null\n", []string{"env_file /p/x.env"}, 0},
		"a merge":         {"x-a: &a {env_file: m.env}\nservices: {a: {<<: *a}}\n", []string{"env_file /p/m.env"}, 0},
		"label files":     {"services: {a: {label_file: [l]}}\n", []string{"label_file /p/l"}, 0},
		"variables":       {"configs: {a: {file: $SET/x}, b: {file: '${UNSET:-d}/y'}, c: {file: '${UNSET}/z'}, d: {file: '${UNSET'}}\n", []string{"config /set/x", "config /p/d/y"}, 1},
		"out of the way":  {"secrets: {a: {file: /proc/1/environ}, b: {file: ~/x}, c: {file: ../../../x}, d: {file: \"a\\0b\"}}\n", []string{"secret /x"}, 1},
		"fetched":         {"include: ['https://host/x.yaml', 'git@host:x']\n", nil, 0},
		"a long include":  {"include:\n  - path: [sub/a.yaml, sub/b.yaml]\n    project_directory: other\n    env_file: e.env\n", []string{"include /p/sub/a.yaml", "include /p/sub/b.yaml", "env /p/e.env"}, 0},
		"too large":       {"#" + strings.Repeat("x", maxParsed), nil, 1},
	} {
		got, notes := References([]byte(c.yaml), "/p", map[string]string{"SET": "/set"})
		if !slices.Equal(paths(got), c.want) || len(notes) != c.notes {
			t.Errorf("%s: %q, %q", name, paths(got), notes)
		}
	}
	found, _ := References([]byte("include: [{path: sub/a.yaml, project_directory: other}]\n"), "/p", nil)
	if len(found) == 0 || found[0].Dir != "/p/other" {
		t.Errorf("%+v", found)
	}
}

func TestVariablesOfAFile(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		want    map[string]string
	}{
		"plain":            {"A=1\r\nexport B: two # of them\n# C=3\nD='$A'\n", map[string]string{"A": "1", "B": "two", "D": "$A"}},
		"refers back":      {"A=/srv\nB=$A/x\nC=\"${B}/y\"\n", map[string]string{"A": "/srv", "B": "/srv/x", "C": "/srv/x/y"}},
		"over lines":       {"A=\"one\ntwo=2\n\"\nB=3", map[string]string{"A": "one\ntwo=2\n", "B": "3"}},
		"of another":       {"A\nB=1\n", map[string]string{"B": "1"}},
		"unset":            {"A=${B:-d}$C\n", map[string]string{"A": "d"}},
		"no end":           {"A=\"1\nB=2\n", nil},
		"no variables":     {"a b = c\n", nil},
		"more than it may": {"A=\"" + strings.Repeat("x=\n", maxStatement+1) + "\"\n", nil},
	} {
		if got := Variables([]byte(c.content)); !maps.Equal(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	bomb := "A=0123456789\n"
	for range 64 {
		bomb += "A=$A$A\n"
	}
	if got := Variables([]byte(bomb)); got != nil {
		t.Errorf("%d bytes came of a bomb", len(got["A"]))
	}
}

// TestVariablesAreNotLogged: what follows a dollar sign in a password is taken for
// the name of a variable, and the parser would log it.
func TestVariablesAreNotLogged(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	old, err := unix.Dup(2)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Dup3(int(out.Fd()), 2, 0); err != nil {
		t.Fatal(err)
	}
	Variables([]byte("PASSWORD=pa$hunter2\nOTHER=\"${hunter3}\"\n"))
	if err := errors.Join(unix.Dup3(old, 2, 0), unix.Close(old)); err != nil {
		t.Fatal(err)
	}
	if said, err := os.ReadFile(out.Name()); err != nil || len(said) > 0 {
		t.Errorf("%q, %v", said, err)
	}
}

func FuzzReferences(f *testing.F) {
	f.Add([]byte("include: [a]\nservices: {a: {env_file: [{path: x, required: false}], extends: {file: y}}}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		found, _ := References(b, "/p", map[string]string{"A": "b"})
		for _, x := range found {
			if !strings.HasPrefix(x.Path, "/") || strings.Contains(x.Path, "/../") || KernelPath(x.Path) {
				t.Errorf("%q", x.Path)
			}
		}
	})
}
