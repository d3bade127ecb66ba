package sidecar

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/docker/dockertest"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/sidecar/settings"
	"github.com/ripplebak/ripplebak/sidecar/state"
	"github.com/ripplebak/ripplebak/volume"
)

// bound adds a running container of a service that binds paths of the host.
func (s *shop) bound(name string, labels map[string]string, mounts ...dockertest.Mount) {
	all := map[string]string{compose.LabelProject: "shop", compose.LabelService: name, compose.LabelNumber: "1", compose.LabelOneOff: "False"}
	for k, v := range labels {
		all["ripplebak."+k] = v
	}
	s.f.AddContainer(dockertest.Container{Name: "shop-" + name + "-1", Image: "img", ImageID: "img", Labels: all, Mounts: mounts})
}

func stateOfItem(report *BackupReport, key string) manifest.Item {
	for _, it := range report.Items {
		if it.Key() == key {
			return it
		}
	}
	return manifest.Item{}
}

func TestBindGoesAndComesBack(t *testing.T) {
	s := newShop(t)
	dir := s.path("host", "data")
	s.hostFile("one", "host", "data", "a")
	s.hostFile("two", "host", "data", "sub", "b")
	s.bound("app", map[string]string{"binds": "/data", "during": "stop"}, dockertest.Mount{Bind: dir, Target: "/data"})
	s.bound("web", nil, dockertest.Mount{Bind: filepath.Join(dir, "sub"), Target: "/www"}) // writes below it
	report, err := s.app.Backup(t.Context(), BackupOptions{})
	if err != nil || len(report.Downtime) != 2 {
		t.Fatalf("%v, %+v", err, report)
	}
	it := stateOfItem(report, "bind app:/data")
	if it.State != manifest.Good || it.Files != 2 || it.VolumeInfo.HostPath != dir {
		t.Errorf("%+v", it)
	}
	s.wantQuiet()
	if again, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil || !again.Complete {
		t.Errorf("a second time: %v", err)
	}

	s.hostFile("changed", "host", "data", "a")
	s.hostFile("new", "host", "data", "extra")
	if err := os.RemoveAll(s.path("host", "data", "sub", "b")); err != nil {
		t.Fatal(err)
	}
	dry, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest", DryRun: true})
	if err != nil || len(dry.Plan.Items) != 1 || dry.Plan.Items[0].Volume.Docker != dir {
		t.Fatalf("%v, %+v", err, dry)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "a")); err != nil || string(got) != "changed" {
		t.Errorf("a dry run wrote %q, %v", got, err)
	}
	back, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest"})
	if err != nil || back.Safety == "" || len(back.Downtime) != 2 {
		t.Fatalf("%v, %+v", err, back)
	}
	for name, want := range map[string]string{"a": "one", "sub/b": "two"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "extra")); err == nil {
		t.Error("what is not in the snapshot stays")
	}
	if left, err := filepath.Glob(filepath.Join(dir, volume.StagingPrefix+"*")); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
	s.wantQuiet()

	// The safety snapshot brings back what was there.
	if _, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: back.Safety, NoSafety: true}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "extra")); err != nil || string(got) != "new" {
		t.Errorf("from the safety snapshot: %q, %v", got, err)
	}

	// Somewhere else, where nothing is mounted.
	to := s.path("back")
	if _, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest", ToDir: to}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(to, "binds", "app", "%2Fdata", "a")); err != nil || string(got) != "one" {
		t.Errorf("%q, %v", got, err)
	}
}

// What is missing is not made by looking for it, neither to save nor to restore
// it.
func TestF17_BindSourceThatIsMissingIsNotMade(t *testing.T) {
	s := newShop(t)
	dir := s.path("host", "data")
	s.hostFile("one", "host", "data", "a")
	s.bound("app", map[string]string{"binds": "all"}, dockertest.Mount{Bind: dir, Target: "/data"})
	s.service("db", map[string]string{"enable": "true"}, "files")
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(s.path("host")); err != nil {
		t.Fatal(err)
	}
	report, err := s.app.Backup(t.Context(), BackupOptions{})
	if !errors.Is(err, ErrIncomplete) {
		t.Fatalf("%v", err)
	}
	if it := stateOfItem(report, "bind app:/data"); it.State != manifest.Failed || !strings.Contains(it.Error, "there is nothing at "+dir) {
		t.Errorf("%+v", it)
	}
	if it := stateOfItem(report, "volume files"); it.State != manifest.Good {
		t.Errorf("%+v", it)
	}
	var problems *ProblemsError
	if _, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest"}); !errors.As(err, &problems) || !strings.Contains(err.Error(), "make it, and restore again") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(s.path("host")); err == nil {
		t.Error("it was made")
	}
	s.wantQuiet()
}

func TestBindLeavesTheRepositoryOut(t *testing.T) {
	s := newShop(t)
	s.hostFile("one", "app.txt")
	s.bound("app", map[string]string{"binds": "/all"}, dockertest.Mount{Bind: s.dir, Target: "/all"})
	p, err := s.app.Plan(t.Context(), nil)
	if err != nil || len(p.Problems) > 0 {
		t.Fatalf("%v, %q", err, p.Problems)
	}
	it, _ := p.Item("bind app:/all")
	for _, want := range []string{"/repo", "/state", "/run"} {
		found := false
		for _, x := range it.Volume.Exclude {
			found = found || x == want
		}
		if !found {
			t.Errorf("%s is not left out: %q", want, it.Volume.Exclude)
		}
	}
	s2 := newShop(t)
	s2.bound("app", map[string]string{"binds": "/r"}, dockertest.Mount{Bind: s2.path("repo"), Target: "/r"})
	if p, err := s2.app.Plan(t.Context(), nil); err != nil || !strings.Contains(strings.Join(p.Problems, "\n"), "cannot save itself") {
		t.Errorf("%v, %q", err, p.Problems)
	}
}

// Paths of the host come back only when they are named.
func TestHostPathsComeBackWhenNamed(t *testing.T) {
	s := newShop(t)
	dir := s.path("host", "etc")
	s.hostFile("one", "host", "etc", "conf")
	s.app.Settings.HostPaths = []string{dir}
	s.service("app", map[string]string{"enable": "true"}, "data")
	if report, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil || !report.Complete {
		t.Fatalf("%v", err)
	}
	s.hostFile("changed", "host", "etc", "conf")
	for _, c := range []struct {
		services []string
		want     string
	}{{nil, "changed"}, {[]string{manifest.HostService}, "one"}} {
		if _, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest", Services: c.services}); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, "conf")); err != nil || string(got) != c.want {
			t.Errorf("%v: %q, %v", c.services, got, err)
		}
	}
	s.wantQuiet()
}

// A service that mounts a part of a path of the host is not that path's name.
func TestHostPathIsNotNamedByAServiceThatMountsAPartOfIt(t *testing.T) {
	s := newShop(t)
	home := s.path("host", "home")
	s.hostFile("one", "host", "home", "app", "a")
	s.hostFile("one", "host", "home", "letter")
	s.app.Settings.HostPaths = []string{home}
	s.bound("app", map[string]string{"binds": "/data"}, dockertest.Mount{Bind: filepath.Join(home, "app"), Target: "/data"})
	if report, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil || !report.Complete {
		t.Fatalf("%v", err)
	}
	s.hostFile("changed", "host", "home", "app", "a")
	s.hostFile("changed", "host", "home", "letter")
	s.hostFile("new", "host", "home", "diary")
	report, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest", Services: []string{"app"}})
	if err != nil || len(report.Items) != 1 || report.Items[0].Key != "bind app:/data" {
		t.Fatalf("%v, %+v", err, report)
	}
	for name, want := range map[string]string{"app/a": "one", "letter": "changed", "diary": "new"} {
		if got, err := os.ReadFile(filepath.Join(home, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	s.wantQuiet()
}

// What is the sidecar's own or Docker's today is not touched by the restore of a
// directory that it lies in, also where that was saved on a host on which it lay
// elsewhere.
func TestRestoreOfADirectoryLeavesWhatIsOursAndDockers(t *testing.T) {
	s := newShop(t)
	s.hostFile("one", "srv", "a")
	s.app.Settings.HostPaths = []string{s.path("srv")}
	s.service("app", map[string]string{"enable": "true"}, "data")
	if report, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil || !report.Complete {
		t.Fatalf("%v", err)
	}
	s.hostFile("changed", "srv", "a")
	s.hostFile("new", "srv", "extra")
	s.hostFile("image", "srv", "docker", "overlay2", "x")
	s.hostFile("pack", "srv", "backups", "data", "p")
	s.f.KeepIn(s.path("srv", "docker"))
	s.app.Settings.Copies = []settings.Copy{{Name: "copy", Repository: s.path("srv", "backups")}}
	report, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest", Services: []string{manifest.HostService}})
	if err != nil || len(report.Plan.Warnings) < 2 {
		t.Fatalf("%v, %+v", err, report)
	}
	for name, want := range map[string]string{"a": "one", "docker/overlay2/x": "image", "backups/data/p": "pack"} {
		if got, err := os.ReadFile(s.path("srv", name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := os.Stat(s.path("srv", "extra")); err == nil {
		t.Error("what is not in the snapshot stays")
	}
	s.wantQuiet()
	p, err := s.app.Plan(t.Context(), nil)
	it, _ := p.Item("bind _host:" + s.path("srv"))
	if err != nil || !slices.Equal(it.Volume.Exclude, []string{"/backups", "/docker"}) {
		t.Errorf("saved without %q, %v", it.Volume.Exclude, err)
	}
}

// Who mounts something else of the directory is not in the way when an interrupted
// restore of a single file is put right.
func TestInterruptedRestoreOfAFileStopsItsUsersOnly(t *testing.T) {
	s := newShop(t)
	file, other := s.hostFile("id", "host", "etc", "machine-id"), s.hostFile("zone", "host", "etc", "localtime")
	s.bound("app", nil, dockertest.Mount{Bind: file, Target: "/etc/machine-id"})
	s.f.AddContainer(dockertest.Container{
		Name: "theirs", Image: "img", ImageID: "img", Labels: map[string]string{compose.LabelProject: "other", compose.LabelService: "x"},
		Mounts: []dockertest.Mount{{Bind: other, Target: "/etc/localtime"}},
	})
	dir, err := state.Open(s.path("state"))
	if err != nil {
		t.Fatal(err)
	}
	left := &state.Journal{Run: "0123", Project: "shop", Volumes: []state.VolumeRestore{{ID: "0123", Key: "bind _host:" + file, Docker: filepath.Dir(file), File: file}}}
	if err := dir.WriteJournal(left); err != nil {
		t.Fatal(err)
	}
	if err := s.app.recoverNow(t.Context()); err != nil {
		t.Error(err)
	}
	stops := 0
	for _, call := range s.f.Calls() {
		if call == "POST /containers/{id}/stop" {
			stops++
		}
	}
	if stops != 1 {
		t.Errorf("%d containers were stopped", stops)
	}
	s.wantQuiet()
}

// A plan of compose files shows what the settings add.
func TestPlanOfAFileShowsHostPaths(t *testing.T) {
	s := newShop(t)
	file := s.hostFile("services: {app: {image: img, volumes: ['data:/data'], labels: {ripplebak.enable: 'true'}}}\nvolumes: {data: {}}\n", "compose.yaml")
	s.app.Settings.HostPaths = []string{"/etc/machine-id", "/proc"}
	p, err := s.app.PlanFile(t.Context(), []string{file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := p.Item("bind _host:/etc/machine-id"); !ok || len(p.Problems) != 1 || !strings.Contains(p.Problems[0], "/proc") {
		t.Errorf("%+v, %q", p.Items, p.Problems)
	}
}

// Single files go and come back, whether a service mounts them or the settings
// name them, and nothing beside them is touched.
func TestBindOfASingleFile(t *testing.T) {
	s := newShop(t)
	file := s.hostFile("one", "host", "x.conf")
	id := s.hostFile("id", "host", "etc", "machine-id")
	s.hostFile("beside", "host", "etc", "other")
	s.app.Settings.HostPaths = []string{id}
	s.bound("app", map[string]string{"binds": "all", "during": "stop"}, dockertest.Mount{Bind: file, Target: "/x.conf"})
	report, err := s.app.Backup(t.Context(), BackupOptions{})
	if err != nil || len(report.Downtime) != 1 {
		t.Fatalf("%v, %+v", err, report)
	}
	for key, name := range map[string]string{"bind app:/x.conf": "x.conf", "bind _host:" + id: "machine-id"} {
		it := stateOfItem(report, key)
		if it.State != manifest.Good || it.Files != 1 || it.VolumeInfo.File != name || it.VolumeInfo.HostPath != filepath.Join(filepath.Dir(it.VolumeInfo.HostPath), name) {
			t.Errorf("%s: %+v", key, it)
		}
	}
	s.wantQuiet()
	// What somebody puts in its place, as editors do, is seen.
	s.hostFile("two", "host", "x.new")
	if err := os.Rename(s.path("host", "x.new"), file); err != nil {
		t.Fatal(err)
	}
	if again, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil || !again.Complete {
		t.Fatalf("%v", err)
	}

	s.hostFile("changed", "host", "x.conf")
	s.hostFile("changed", "host", "etc", "machine-id")
	s.hostFile("changed", "host", "etc", "other")
	s.hostFile("new", "host", "etc", "new")
	want := func(x, machine string) {
		t.Helper()
		for name, want := range map[string]string{"x.conf": x, "etc/machine-id": machine, "etc/other": "changed", "etc/new": "new"} {
			if got, err := os.ReadFile(s.path("host", name)); err != nil || string(got) != want {
				t.Errorf("%s: %q, want %q, %v", name, got, want, err)
			}
		}
		for _, dir := range []string{"host", "host/etc"} {
			if left, err := filepath.Glob(filepath.Join(s.path(dir), volume.StagingPrefix+"*")); err != nil || len(left) > 0 {
				t.Errorf("left: %q, %v", left, err)
			}
		}
		s.wantQuiet()
	}
	if back, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest"}); err != nil || len(back.Downtime) != 1 {
		t.Fatalf("%v, %+v", err, back)
	}
	want("two", "changed")
	if _, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest", Services: []string{manifest.HostService}}); err != nil {
		t.Fatal(err)
	}
	want("two", "id")
	if _, err := s.app.Restore(t.Context(), RestoreOptions{Rollback: true}); err != nil {
		t.Fatal(err)
	}
	want("two", "changed")

	// One that is gone is made; what Docker makes in its place gives way.
	if err := os.Remove(id); err != nil {
		t.Fatal(err)
	}
	if _, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest", Services: []string{manifest.HostService}}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(file), os.Mkdir(file, 0o755)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest"}); err != nil {
		t.Fatal(err)
	}
	want("two", "id")

	to := s.path("back")
	if _, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest", ToDir: to}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(to, "binds", "app", "%2Fx.conf", "x.conf")); err != nil || string(got) != "two" {
		t.Errorf("%q, %v", got, err)
	}
}
