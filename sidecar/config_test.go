package sidecar

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/sidecar/settings"
)

// hostFile puts a file below the fake's directory.
func (s *shop) hostFile(content string, elem ...string) string {
	s.t.Helper()
	p := s.path(elem...)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), 0o640); err != nil {
		s.t.Fatal(err)
	}
	return p
}

// configLabels are those of a project whose compose files are in the folder
// project.
func (s *shop) configLabels(files ...string) map[string]string {
	var all []string
	for _, f := range files {
		all = append(all, s.path("project", f))
	}
	return map[string]string{"enable": "true", compose.LabelWorkingDir: s.path("project"), compose.LabelConfigs: strings.Join(all, ",")}
}

func configItem(t *testing.T, report *BackupReport) manifest.Item {
	t.Helper()
	for _, it := range report.Items {
		if it.Kind == manifest.Config {
			return it
		}
	}
	t.Fatalf("no config among %+v", report.Items)
	return manifest.Item{}
}

func roles(it manifest.Item) map[string]string {
	out := map[string]string{}
	for _, f := range it.ConfigInfo.Files {
		out[f.Path] = f.Role
	}
	return out
}

func TestConfigIsSavedAndComesBackAsItWas(t *testing.T) {
	s := newShop(t)
	outside := s.hostFile("B=of another folder\n", "elsewhere", "shared.env")
	files := map[string]string{
		"compose.yaml": "include:\n  - sub/more.yaml\nservices:\n  app:\n    env_file: [app.env, " + outside + ", {path: may-be.env, required: false}]\n" +
			"    extends: {file: base.yaml, service: base}\nsecrets:\n  key: {file: '${KEYS}/key.pem'}\n",
		"override.yaml": "services: {app: {env_file: conf/over.env}}\n",
		".env":          "KEYS=./keys\nPASSWORD=secret\n", "app.env": "A=1\n", "conf/over.env": "C=3\n",
		"sub/more.yaml": "services: {x: {env_file: x.env}}\nconfigs: {c: {file: ../c.conf}}\n", "sub/x.env": "X=\n", "sub/.env": "Y=\n",
		"base.yaml": "services: {base: {env_file: base.env}}\n", "base.env": "D=\n", "keys/key.pem": "\x00\xff not text", "c.conf": "c",
		"not-named.txt": "is not saved",
	}
	for name, content := range files {
		s.hostFile(content, "project", name)
	}
	if err := errors.Join(os.Rename(s.path("project", "base.env"), s.path("elsewhere", "base.env")), os.Symlink("../elsewhere/base.env", s.path("project", "base.env"))); err != nil {
		t.Fatal(err)
	}
	s.service("app", s.configLabels("compose.yaml", "override.yaml"), "data")
	report, err := s.app.Backup(t.Context(), BackupOptions{})
	if err != nil || !report.Complete {
		t.Fatalf("%v, %+v", err, report)
	}
	it := configItem(t, report)
	want := map[string]string{
		"compose.yaml": "compose", "override.yaml": "override", ".env": "env", "app.env": "env_file", "conf/over.env": "env_file", "sub/more.yaml": "include",
		"sub/x.env": "env_file", "sub/.env": "env", "base.yaml": "extends", "base.env": "env_file", "keys/key.pem": "secret", "c.conf": "config",
		manifest.Escape(outside): "env_file",
	}
	if got := roles(it); !maps.Equal(got, want) || it.State != manifest.Good || len(it.Warnings) > 0 {
		t.Errorf("%s %v\n%v\nwant\n%v", it.State, it.Warnings, got, want)
	}
	files[manifest.Escape(outside)] = "B=of another folder\n"
	to := s.path("back")
	if _, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest", ToDir: to}); err != nil {
		t.Fatal(err)
	}
	for path := range want {
		at := filepath.Join(to, "config", path)
		got, err := os.ReadFile(at)
		info, serr := os.Stat(at)
		if err != nil || serr != nil || string(got) != files[path] || info.Mode().Perm() != 0o640 {
			t.Errorf("%s: %q, %v, %v", path, got, err, serr)
		}
	}
	var tar bytes.Buffer
	if _, err := s.app.Export(t.Context(), ExportOptions{Snapshot: "latest", Item: "config", Output: &tar}); err != nil || !bytes.Contains(tar.Bytes(), []byte("\x00\xff not text")) {
		t.Errorf("export: %v", err)
	}
	s.wantQuiet()
}

// A default restore gives the volumes back, and leaves the files that people
// edit alone.
func TestConfigIsNeverOverwritten(t *testing.T) {
	s := newShop(t)
	s.hostFile("services: {}\n", "project", "compose.yaml")
	s.service("app", s.configLabels("compose.yaml"), "data")
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	s.hostFile("services: {new: {}}\n", "project", "compose.yaml")
	report, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest", NoSafety: true})
	if err != nil || len(report.Items) != 1 || report.Items[0].Key != "volume data" {
		t.Fatalf("%v, %+v", err, report)
	}
	if got, err := os.ReadFile(s.path("project", "compose.yaml")); err != nil || string(got) != "services: {new: {}}\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestConfigThatIsMissingFailsNothing(t *testing.T) {
	s := newShop(t)
	s.hostFile("services: {app: {env_file: [gone.env, /nowhere/at/all.env]}}\nsecrets: {x: {file: dir}}\n", "project", "compose.yaml")
	if err := os.Mkdir(s.path("project", "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.service("app", s.configLabels("compose.yaml", "gone.yaml"), "data")
	report, err := s.app.Backup(t.Context(), BackupOptions{})
	if err != nil || !report.Complete {
		t.Fatalf("%v", err)
	}
	it := configItem(t, report)
	text := strings.Join(it.Warnings, "\n")
	for _, w := range []string{"gone.yaml (override) is not there", "gone.env (env_file) is not there", "/nowhere/at/all.env (env_file) is not there", "dir (secret) is no regular file"} {
		if !strings.Contains(text, w) {
			t.Errorf("nothing says %q:\n%s", w, text)
		}
	}
	if it.State != manifest.Good || len(roles(it)) != 1 || len(it.Warnings) != 4 {
		t.Errorf("%s %v", it.State, roles(it))
	}
	if _, err := os.Stat("/nowhere"); err == nil {
		t.Error("a directory was created by looking for it")
	}

	if err := os.RemoveAll(s.path("project")); err != nil {
		t.Fatal(err)
	}
	report, err = s.app.Backup(t.Context(), BackupOptions{})
	if err != nil || !report.Complete {
		t.Fatalf("with the folder gone: %v", err)
	}
	if it := configItem(t, report); it.State != manifest.Skipped || len(it.Warnings) == 0 {
		t.Errorf("with the folder gone: %s %v", it.State, it.Warnings)
	}
	if _, err := s.app.Export(t.Context(), ExportOptions{Snapshot: "latest", Item: "config", Output: &bytes.Buffer{}}); err != nil {
		t.Errorf("the older one is not found any more: %v", err)
	}
	s.wantQuiet()
}

func TestConfigCanBeTurnedOff(t *testing.T) {
	s := newShop(t)
	s.hostFile("services: {}\n", "project", "compose.yaml")
	s.service("app", s.configLabels("compose.yaml"), "data")
	set, err := settings.Load([]string{"RIPPLEBAK_CONFIG=false"}, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	s.app.Settings.Config = set.Config
	p, err := s.app.Plan(t.Context(), nil)
	if err != nil || slices.ContainsFunc(p.Items, func(i plan.Item) bool { return i.Config != nil }) {
		t.Errorf("%v, %+v", err, p.Items)
	}
}

// Labels and files that want too much get no more than their bounds.
func TestConfigOfHostileLabels(t *testing.T) {
	s := newShop(t)
	s.hostFile("x", "project", "compose.yaml")
	labels := s.configLabels("compose.yaml", "../../../../../../../../proc/self/environ", "a\nb", strings.Repeat("y/", 5000))
	for i := range 400 {
		labels[compose.LabelConfigs] += fmt.Sprintf(",/proc/%d/environ,/dev/mem,%s", i, s.path("project", fmt.Sprint(i)))
	}
	s.service("app", labels, "data")
	report, err := s.app.Backup(t.Context(), BackupOptions{})
	if err != nil || !report.Complete {
		t.Fatalf("%v", err)
	}
	it := configItem(t, report)
	if got := roles(it); !maps.Equal(got, map[string]string{"compose.yaml": "compose"}) || len(it.Warnings) > compose.MaxConfigFiles+32 {
		t.Errorf("%v, %d warnings", got, len(it.Warnings))
	}
	s.wantQuiet()
}
