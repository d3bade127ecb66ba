package sidecar

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/docker/dockertest"
)

// gone is a shop that was saved with its own files and of which nothing is left
// but the repository.
func gone(t *testing.T) *shop {
	t.Helper()
	s := newShop(t)
	s.hostFile("B=2\n", "etc", "shared.env")
	s.hostFile("PASSWORD=secret\n", "project", ".env")
	s.hostFile("name: shop\nservices:\n  app:\n    image: img\n    env_file: ["+s.path("etc", "shared.env")+"]\n  web: {image: img, build: .}\n", "project", "compose.yaml")
	s.hostFile("uploaded", "project", "media", "a")
	labels := s.configLabels("compose.yaml")
	labels["binds"] = "/media"
	app := s.service("app", labels, "data")
	s.f.RemoveContainer(app)
	s.startApp(labels)
	s.service("web", nil, "data")
	if report, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil || len(report.Items) != 3 {
		t.Fatalf("%v, %+v", err, report)
	}
	s.lose()
	return s
}

// startApp adds the container of the app, which has a volume and a bind.
func (s *shop) startApp(labels map[string]string) {
	all := map[string]string{compose.LabelProject: "shop", compose.LabelService: "app", compose.LabelNumber: "1", compose.LabelOneOff: "False"}
	media := s.path("project", "media")
	for k, v := range labels {
		if k == compose.LabelWorkingDir {
			media = v + "/media"
		}
		if !strings.Contains(k, ".") {
			k = "ripplebak." + k
		}
		all[k] = v
	}
	s.f.AddContainer(dockertest.Container{Name: "shop-app-1", Image: "img", ImageID: "img", Labels: all, Mounts: []dockertest.Mount{{Volume: "shop_data", Target: "/data"}, {Bind: media, Target: "/media"}}})
}

// lose takes everything away but the repository.
func (s *shop) lose() {
	s.t.Helper()
	for _, c := range s.f.Containers() {
		s.f.RemoveContainer(c.ID)
	}
	for _, v := range s.f.Volumes() {
		s.f.RemoveVolume(v)
	}
	err := errors.Join(os.RemoveAll(s.path("project")), os.RemoveAll(s.path("etc")), os.RemoveAll(s.path("state")), os.RemoveAll(s.path("volumes")),
		os.MkdirAll(s.path("volumes", "shop_data"), 0o755))
	if err != nil {
		s.t.Fatal(err)
	}
}

// person does what the commands say that they are given.
func (s *shop) person(dir string) (func(Asked) error, *[]string) {
	var asked []string
	return func(a Asked) error {
		asked = append(asked, a.Command)
		labels := map[string]string{compose.LabelWorkingDir: dir}
		switch {
		case strings.Contains(a.Command, "--no-start"):
			if err := os.MkdirAll(dir+"/media", 0o755); err != nil {
				return err
			}
			s.startApp(labels)
		case strings.HasSuffix(a.Command, "up -d"):
			s.service("web", nil)
		}
		return nil
	}, &asked
}

func (s *shop) wantFile(content string, elem ...string) {
	s.t.Helper()
	if b, err := os.ReadFile(s.path(elem...)); err != nil || string(b) != content {
		s.t.Errorf("%s: %q, %v, want %q", s.path(elem...), b, err, content)
	}
}

func TestBootstrapBringsBackWhatIsGone(t *testing.T) {
	s := gone(t)
	dir := s.path("new", "home", "shop")
	opt := RestoreOptions{Snapshot: "latest", Bootstrap: dir, DryRun: true}
	dry, err := s.app.Restore(t.Context(), opt)
	if err != nil || len(dry.Plan.Operations) != 7 {
		t.Fatalf("%v, %+v", err, dry)
	}
	if _, err := os.Stat(s.path("new")); !errors.Is(err, fs.ErrNotExist) || len(s.f.Volumes()) > 0 {
		t.Fatalf("a dry run makes %v, %q", err, s.f.Volumes())
	}
	opt.DryRun = false
	var asked *[]string
	opt.Ask, asked = s.person(dir)
	report, err := s.app.Restore(t.Context(), opt)
	if err != nil {
		t.Fatalf("%v, %+v", err, report)
	}
	want := []string{
		"install --backup=numbered -D -m 0640 " + dir + "/ripplebak-elsewhere" + s.path("etc", "shared.env") + " " + s.path("etc", "shared.env"),
		"cd " + dir + " && mkdir -p ./media && docker compose up --no-start", "cd " + dir + " && docker compose up -d",
	}
	if !slices.Equal(*asked, want) {
		t.Errorf("asked for %q, want %q", *asked, want)
	}
	s.wantFile("PASSWORD=secret\n", "new", "home", "shop", ".env")
	s.wantFile("B=2\n", "new", "home", "shop", "ripplebak-elsewhere", s.path("etc", "shared.env"))
	s.wantFile("content of data", "volumes", "shop_data", "file")
	s.wantFile("uploaded", "new", "home", "shop", "media", "a")
	if _, err := os.Stat(s.path("etc")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("something was written outside of the directory")
	}
	if len(report.Items) != 3 || report.Safety != "" {
		t.Errorf("%+v", report)
	}
	wantText(t, report.Plan.Warnings, `service "web" is built`)
	s.wantQuiet()
	if h := s.history(); len(h.Bootstraps) != 0 {
		t.Errorf("it is noted as if it were not at its end: %+v", h.Bootstraps)
	}
	// The project is there now.
	if _, err := s.app.Restore(t.Context(), opt); !errors.Is(err, ErrProblems) || !strings.Contains(err.Error(), "is on this machine") {
		t.Errorf("a second time: %v", err)
	}
}

func wantText(t *testing.T, lines []string, want string) {
	t.Helper()
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, want) }) {
		t.Errorf("%q does not say %q", lines, want)
	}
}

// TestBootstrapGoesOnAfterEachStep: interrupted at any question, or while the
// volume is filled, the same command goes on, and what is done is not done again.
func TestBootstrapGoesOnAfterEachStep(t *testing.T) {
	interrupted := errors.New("interrupted")
	for _, stop := range []string{"mid-restore", "install", "--no-start", "up -d"} {
		t.Run(stop, func(t *testing.T) {
			s := gone(t)
			dir := s.path("new")
			person, _ := s.person(dir)
			ctx, cancel := context.WithCancelCause(t.Context())
			hit := s.crashAt(stop, func() { cancel(interrupted) })
			reached := false
			opt := RestoreOptions{Snapshot: "latest", Bootstrap: dir, Ask: func(a Asked) error {
				if strings.Contains(a.Command, stop) {
					reached = true
					return interrupted
				}
				return person(a)
			}}
			if _, err := s.app.Restore(ctx, opt); !errors.Is(err, interrupted) || !(hit() || reached) {
				t.Fatalf("%v, reached: %v", err, reached)
			}
			opt.Ask = person
			other := opt
			other.Bootstrap = s.path("other")
			if stop != "mid-restore" {
				if _, err := s.app.Restore(t.Context(), other); !errors.Is(err, ErrProblems) || !strings.Contains(err.Error(), dir) {
					t.Errorf("into another directory: %v", err)
				}
			}
			report, err := s.app.Restore(t.Context(), opt)
			if err != nil {
				t.Fatalf("%v, %+v", err, report)
			}
			if done := slices.Contains(report.Plan.Bootstrap.Done, "volume data"); done != (stop != "mid-restore") {
				t.Errorf("done are %q", report.Plan.Bootstrap.Done)
			}
			s.wantFile("content of data", "volumes", "shop_data", "file")
			s.wantFile("uploaded", "new", "media", "a")
			s.wantQuiet()
		})
	}
}

// TestBootstrapLeavesWhatIsThere: nothing is begun where a file would have to be
// written over, and a directory that has outlived the machine is not filled.
func TestBootstrapLeavesWhatIsThere(t *testing.T) {
	s := gone(t)
	dir := s.path("new")
	s.hostFile("mine", "new", "compose.yaml")
	opt := RestoreOptions{Snapshot: "latest", Bootstrap: dir}
	opt.Ask, _ = s.person(dir)
	_, err := s.app.Restore(t.Context(), opt)
	if !errors.Is(err, ErrProblems) || !strings.Contains(err.Error(), dir+"/compose.yaml has another content there") || len(s.f.Volumes()) > 0 {
		t.Fatalf("%v, volumes %q", err, s.f.Volumes())
	}
	s.wantFile("mine", "new", "compose.yaml")
	if err := os.Remove(dir + "/compose.yaml"); err != nil {
		t.Fatal(err)
	}
	s.hostFile("newer than the backup", "new", "media", "a")
	report, err := s.app.Restore(t.Context(), opt)
	if !errors.Is(err, ErrRestoreFailed) {
		t.Fatalf("%v, %+v", err, report)
	}
	s.wantFile("newer than the backup", "new", "media", "a")
	if last := report.Items[len(report.Items)-1]; last.Key != "bind app:/media" || !strings.Contains(last.Error, `it holds "a"`) {
		t.Errorf("%+v", last)
	}
	if err := os.Remove(dir + "/media/a"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.app.Restore(t.Context(), opt); err != nil {
		t.Fatal(err)
	}
	s.wantFile("uploaded", "new", "media", "a")
}

// TestBootstrapEmptiesNoVolume: one that an earlier run has made, and that somebody
// has written to since, is left alone.
func TestBootstrapEmptiesNoVolume(t *testing.T) {
	s := gone(t)
	interrupted := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	hit := s.crashAt("mid-restore", func() { cancel(interrupted) })
	opt := RestoreOptions{Snapshot: "latest", Bootstrap: s.path("new")}
	opt.Ask, _ = s.person(opt.Bootstrap)
	if _, err := s.app.Restore(ctx, opt); !errors.Is(err, interrupted) || !hit() {
		t.Fatal(err)
	}
	s.hostFile("worked", "volumes", "shop_data", "mine")
	report, err := s.app.Restore(t.Context(), opt)
	if !errors.Is(err, ErrRestoreFailed) || !slices.ContainsFunc(report.Items, func(it RestoredItem) bool {
		return it.Key == "volume data" && strings.Contains(it.Error, `it holds "mine"`) && strings.Contains(it.Error, "move it away")
	}) {
		t.Errorf("%v, %+v", err, report)
	}
	s.wantFile("worked", "volumes", "shop_data", "mine")
	if err := os.Remove(s.path("volumes", "shop_data", "mine")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.app.Restore(t.Context(), opt); err != nil {
		t.Fatal(err)
	}
	s.wantFile("content of data", "volumes", "shop_data", "file")
}

// TestBootstrapLeavesAChangedFile: between two runs somebody fits the project's
// own files to the new machine.
func TestBootstrapLeavesAChangedFile(t *testing.T) {
	s := gone(t)
	interrupted := errors.New("interrupted")
	opt := RestoreOptions{Snapshot: "latest", Bootstrap: s.path("new"), Ask: func(Asked) error { return interrupted }}
	if _, err := s.app.Restore(t.Context(), opt); !errors.Is(err, interrupted) {
		t.Fatal(err)
	}
	s.hostFile("PASSWORD=other\n", "new", ".env")
	opt.Ask, _ = s.person(opt.Bootstrap)
	report, err := s.app.Restore(t.Context(), opt)
	if err != nil {
		t.Fatalf("%v, %+v", err, report)
	}
	wantText(t, report.Plan.Warnings, "new/.env has another content there")
	wantText(t, report.Items[0].Notes, "stays as it is")
	s.wantFile("PASSWORD=other\n", "new", ".env")
}

// TestBootstrapOfASingleFile: it comes back beside the project's own files, and
// never over a file that is there.
func TestBootstrapOfASingleFile(t *testing.T) {
	s := newShop(t)
	s.hostFile("name: shop\nservices: {app: {image: img}}\n", "project", "compose.yaml")
	s.hostFile("port=1\n", "project", "app.conf")
	start := func(dir string, labels map[string]string) {
		labels[compose.LabelProject], labels[compose.LabelService], labels[compose.LabelNumber], labels[compose.LabelOneOff] = "shop", "app", "1", "False"
		s.f.AddContainer(dockertest.Container{Name: "shop-app-1", Image: "img", ImageID: "img", Labels: labels, Mounts: []dockertest.Mount{{Bind: dir + "/app.conf", Target: "/app.conf"}}})
	}
	labels := s.configLabels("compose.yaml")
	labels["ripplebak.binds"] = "/app.conf"
	start(s.path("project"), labels)
	if report, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil || len(report.Items) != 2 {
		t.Fatalf("%v, %+v", err, report)
	}
	s.lose()
	dir := s.path("new")
	asked := 0
	opt := RestoreOptions{Snapshot: "latest", Bootstrap: dir, Ask: func(Asked) error {
		if asked++; asked == 1 {
			start(dir, map[string]string{})
			s.hostFile("port=2\n", "new", "app.conf")
		}
		return nil
	}}
	if report, err := s.app.Restore(t.Context(), opt); !errors.Is(err, ErrRestoreFailed) || !strings.Contains(report.Items[1].Error, "app.conf is there already") {
		t.Errorf("%v, %+v", err, report)
	}
	s.wantFile("port=2\n", "new", "app.conf")
	if err := os.Remove(dir + "/app.conf"); err != nil {
		t.Fatal(err)
	}
	if report, err := s.app.Restore(t.Context(), opt); err != nil {
		t.Fatalf("%v, %+v", err, report)
	}
	s.wantFile("port=1\n", "new", "app.conf")
}

// TestBootstrapFillsADirectoryWithOwnFiles: what was put there as the project's
// own is not in the way of a bind, and stays as somebody has fitted it.
func TestBootstrapFillsADirectoryWithOwnFiles(t *testing.T) {
	s := newShop(t)
	s.hostFile("name: shop\nservices: {app: {image: img, env_file: [conf/env/app.env]}}\n", "project", "compose.yaml")
	s.hostFile("A=1\n", "project", "conf", "env", "app.env")
	s.hostFile("port=1\n", "project", "conf", "app.conf")
	start := func(dir string, labels map[string]string) {
		labels[compose.LabelProject], labels[compose.LabelService], labels[compose.LabelNumber], labels[compose.LabelOneOff] = "shop", "app", "1", "False"
		s.f.AddContainer(dockertest.Container{Name: "shop-app-1", Image: "img", ImageID: "img", Labels: labels, Mounts: []dockertest.Mount{
			{Bind: dir + "/conf", Target: "/conf"}, {Bind: dir + "/conf/env/app.env", Target: "/app.env"},
		}})
	}
	labels := s.configLabels("compose.yaml")
	labels["ripplebak.binds"] = "all"
	start(s.path("project"), labels)
	if report, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil || len(report.Items) != 3 {
		t.Fatalf("%v, %+v", err, report)
	}
	s.lose()
	dir := s.path("new")
	asked := 0
	opt := RestoreOptions{Snapshot: "latest", Bootstrap: dir, Ask: func(Asked) error {
		if asked++; asked == 1 {
			s.hostFile("A=2\n", "new", "conf", "env", "app.env")
			s.hostFile("not ours", "new", "conf", "env", "other")
			start(dir, map[string]string{})
		}
		return nil
	}}
	report, err := s.app.Restore(t.Context(), opt)
	if !errors.Is(err, ErrRestoreFailed) || !slices.ContainsFunc(report.Items, func(it RestoredItem) bool { return strings.Contains(it.Error, `it holds "env/other"`) }) {
		t.Errorf("%v, %+v", err, report)
	}
	s.wantFile("not ours", "new", "conf", "env", "other")
	if err := os.Remove(dir + "/conf/env/other"); err != nil {
		t.Fatal(err)
	}
	if report, err = s.app.Restore(t.Context(), opt); err != nil {
		t.Fatalf("%v, %+v", err, report)
	}
	s.wantFile("port=1\n", "new", "conf", "app.conf")
	s.wantFile("A=2\n", "new", "conf", "env", "app.env")
}

func TestBootstrapWaitsNoLongerThanItMay(t *testing.T) {
	s := gone(t)
	opt := RestoreOptions{Snapshot: "latest", Bootstrap: s.path("new"), Patience: time.Millisecond, Ask: func(Asked) error { return nil }}
	if _, err := s.app.Restore(t.Context(), opt); err == nil || !strings.Contains(err.Error(), `service "app" has no container yet`) || !strings.Contains(err.Error(), "it goes on") {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"shop", "/", "/proc/x", "/a\nb"} {
		opt.Bootstrap = bad
		if _, err := s.app.Restore(t.Context(), opt); err == nil || !strings.Contains(err.Error(), "--bootstrap") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestBootstrapCallsComposeAsBefore(t *testing.T) {
	c := &ownFiles{given: []string{"deploy/prod.yaml", "/etc/over.yaml"}, envs: []string{"prod.env"}}
	if got := strings.Join(c.compose("shop", "/root/x"), " "); got != "docker compose -p shop --env-file prod.env --project-directory /root/x -f deploy/prod.yaml -f /etc/over.yaml" {
		t.Errorf("%q", got)
	}
	c = &ownFiles{given: []string{"compose.yaml"}, outline: compose.Outline{Name: "shop"}, files: []ownFile{{}}}
	c.files[0].file.Path = "compose.yaml"
	if got := strings.Join(c.compose("shop", "/root/x"), " "); got != "docker compose" {
		t.Errorf("%q", got)
	}
}
