package sidecar

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/docker/dockertest"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/sidecar/settings"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// about makes the sidecar one of these projects.
func (s *shop) about(projects string, more ...string) {
	s.t.Helper()
	set, err := settings.Load(append([]string{
		"RIPPLEBAK_REPOSITORY=" + s.path("repo"), "RIPPLEBAK_PASSWORD=correct horse", "RIPPLEBAK_PROJECT=" + projects,
		"RIPPLEBAK_STATE_DIR=" + s.path("state"), "RIPPLEBAK_RUN_DIR=" + s.path("run"),
	}, more...), os.ReadFile)
	if err != nil {
		s.t.Fatal(err)
	}
	s.app.Settings = set
}

// in adds a running container of a project's service, with the volume data, and
// returns its ID.
func (s *shop) in(project, service string, labels map[string]string) string {
	s.t.Helper()
	volume := project + "_data"
	s.f.AddVolume(dockertest.Volume{Name: volume, Labels: map[string]string{compose.LabelProject: project, compose.LabelVolume: "data"}})
	dir := s.path("volumes", volume)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("of "+project), 0o644); err != nil {
		s.t.Fatal(err)
	}
	all := map[string]string{compose.LabelProject: project, compose.LabelService: service, compose.LabelNumber: "1", compose.LabelOneOff: "False"}
	for k, v := range labels {
		all["ripplebak."+k] = v
	}
	return s.f.AddContainer(dockertest.Container{
		Name: project + "-" + service + "-1", Image: "img", ImageID: "img", Labels: all,
		Mounts: []dockertest.Mount{{Volume: volume, Target: "/data"}},
	})
}

func enabled() map[string]string { return map[string]string{"enable": "true"} }

// snapshotsOf are how many snapshots each project has.
func (s *shop) byProject() map[string]int {
	s.t.Helper()
	list, err := s.app.Snapshots(s.t.Context(), true)
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string]int{}
	for _, i := range list {
		out[i.Project]++
	}
	return out
}

// TestOneFailedProjectKeepsNoOtherFromItsBackup, and the error tells of each.
func TestOneFailedProjectKeepsNoOtherFromItsBackup(t *testing.T) {
	s := newShop(t)
	s.about("broken,blog,gone,shop")
	s.in("broken", "app", map[string]string{"during": "sideways"})
	s.in("blog", "app", enabled())
	s.in("shop", "app", enabled())
	s.in("other", "app", enabled())
	list, err := s.app.BackupAll(t.Context(), BackupOptions{})
	var several *ProjectsError
	if !errors.As(err, &several) || len(several.Failed) != 2 || several.Failed[0].Project != "broken" || several.Failed[1].Project != "gone" {
		t.Fatalf("%v", err)
	}
	if !errors.Is(err, ErrProblems) || !strings.Contains(err.Error(), "project broken: service app: label ripplebak.during") {
		t.Errorf("%v", err)
	}
	if len(list) != 4 || list[0].Error == "" || list[1].Backup == nil || !list[1].Backup.Complete || !strings.Contains(list[2].Error, "no containers") || list[3].Backup == nil {
		t.Errorf("%+v", list)
	}
	if got := s.byProject(); got["blog"] != 1 || got["shop"] != 1 || len(got) != 2 {
		t.Errorf("snapshots: %v", got)
	}
	h := s.history()
	if h.Projects["broken"].LastError == "" || !h.Projects["broken"].LastGood.IsZero() || h.Projects["blog"].LastGood.IsZero() || !h.LastAttempt.IsZero() {
		t.Errorf("%+v", h)
	}
	s.wantQuiet()
}

// TestAllProjects: each that asks for it, as they are at the time.
func TestAllProjects(t *testing.T) {
	s := newShop(t)
	s.about("*")
	if list, err := s.app.BackupAll(t.Context(), BackupOptions{}); !errors.Is(err, errNoProject) || len(list) != 0 {
		t.Errorf("no project: %+v, %v", list, err)
	}
	s.in("shop", "app", enabled())
	s.in("silent", "app", nil)
	s.in("refuses", "app", map[string]string{"enable": "false"})
	s.f.AddContainer(dockertest.Container{Name: "helper", Image: "img", ImageID: "img", Labels: map[string]string{compose.LabelHelper: "x", compose.LabelProject: "own", "ripplebak.enable": "true"}})
	run := func() string {
		t.Helper()
		list, err := s.app.BackupAll(t.Context(), BackupOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, p := range list {
			if p.Skipped != "" {
				p.Project += " skipped"
			} else if p.Backup == nil {
				p.Project += " failed"
			}
			out = append(out, p.Project)
		}
		return strings.Join(out, ", ")
	}
	if got := run(); got != "shop, refuses skipped, silent skipped" {
		t.Error(got)
	}
	late := s.in("late", "app", enabled())
	if got := run(); got != "late, shop, refuses skipped, silent skipped" {
		t.Error(got)
	}
	s.f.RemoveContainer(late)
	if got := run(); got != "shop, refuses skipped, silent skipped" {
		t.Error(got)
	}
	if got := s.byProject(); got["shop"] != 3 || got["late"] != 1 || len(got) != 2 {
		t.Errorf("snapshots: %v", got)
	}
}

// TestLabelsOfAnImageMakeNoProject: among all projects it is left out, and said.
func TestLabelsOfAnImageMakeNoProject(t *testing.T) {
	s := newShop(t)
	s.about("*")
	s.f.AddImage("img", map[string]string{"ripplebak.enable": "true"})
	s.in("shop", "app", enabled())
	list, err := s.app.BackupAll(t.Context(), BackupOptions{})
	if err != nil || len(list) != 1 || list[0].Skipped == "" || s.snapshots() != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestServeOfAllProjectsFollowsThem(t *testing.T) {
	s := newShop(t)
	s.about("*")
	s.in("shop", "app", map[string]string{"schedule": "@hourly"})
	s.in("silent", "app", nil)
	at := time.Date(2026, 3, 1, 1, 30, 0, 0, time.UTC)
	tt := s.timetable(at, "0 2 * * *")
	survey := func() {
		t.Helper()
		if err := tt.survey(t.Context(), s.host()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.app.Health(); !errors.Is(err, errNoProject) {
		t.Errorf("healthy without any project: %v", err)
	}
	survey()
	survey()
	if got := tt.projects(); !slices.Equal(got, []string{"shop"}) || len(tt.lines) != 2 {
		t.Errorf("%q, %d lines", got, len(tt.lines))
	}
	if log := s.log.String(); strings.Count(log, "project is left out") != 1 || !strings.Contains(log, `"project":"silent"`) {
		t.Errorf("the log says:\n%s", log)
	}
	blog := s.in("blog", "app", enabled())
	survey()
	if got := tt.projects(); !slices.Equal(got, []string{"shop", "blog"}) {
		t.Errorf("%q", got)
	}
	if err := s.app.Health(); err != nil {
		t.Errorf("new projects: %v", err)
	}
	two := at.Add(30 * time.Minute)
	s.app.Now = func() time.Time { return two }
	s.app.runAllDue(t.Context(), tt)
	if got := s.byProject(); got["shop"] != 1 || got["blog"] != 1 {
		t.Errorf("snapshots: %v", got)
	}
	if next := tt.next(); !next.Equal(two.Add(time.Hour)) {
		t.Errorf("next at %s", next)
	}
	later := two.Add(72 * time.Hour)
	s.app.Now = func() time.Time { return later }
	err := s.app.Health()
	if err == nil || !strings.Contains(err.Error(), "project blog: the last good backup is 72h") || !strings.Contains(err.Error(), "project shop: ") || !strings.Contains(err.Error(), "@hourly") {
		t.Errorf("%v", err)
	}
	s.f.RemoveContainer(blog)
	survey()
	if err := s.app.Health(); err == nil || strings.Contains(err.Error(), "blog") || !strings.Contains(s.log.String(), "project is gone") {
		t.Errorf("%v", err)
	}
	s.in("blog", "app", enabled())
	survey()
	if due := tt.due("blog", later); !slices.Equal(due, []string{manifest.DefaultSchedule}) {
		t.Errorf("back again, it is due: %q", due)
	}
}

// TestWhatIsAboutOneProjectAsksWhich, and names those that there are.
func TestWhatIsAboutOneProjectAsksWhich(t *testing.T) {
	s := newShop(t)
	for _, projects := range []string{"shop,blog", "*"} {
		s.about(projects)
		s.in("shop", "app", enabled())
		s.in("blog", "app", enabled())
		if _, err := s.app.BackupAll(t.Context(), BackupOptions{}); err != nil {
			t.Fatal(err)
		}
		_, restore := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest", DryRun: true})
		_, toDir := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest", ToDir: s.path("out")})
		_, forget := s.app.Forget(t.Context(), ForgetOptions{DryRun: true})
		_, runbook := s.app.Runbook(t.Context(), "latest")
		for what, err := range map[string]error{"restore": restore, "to a directory": toDir, "forget": forget, "runbook": runbook} {
			if !errors.Is(err, ErrWhichProject) || !strings.Contains(err.Error(), "blog") || !strings.Contains(err.Error(), "shop") {
				t.Errorf("%s of %s: %v", what, projects, err)
			}
		}
		one, err := s.app.One(t.Context(), "blog")
		if err != nil {
			t.Fatal(err)
		}
		report, err := one.Restore(t.Context(), RestoreOptions{Snapshot: "latest", DryRun: true})
		if err != nil || report.Project != "blog" || len(report.Plan.Items) != 1 {
			t.Errorf("%+v, %v", report, err)
		}
		if list, err := one.Snapshots(t.Context(), false); err != nil || len(list) == 0 || list[0].Project != "blog" {
			t.Errorf("%+v, %v", list, err)
		}
		if list, err := s.app.Snapshots(t.Context(), false); err != nil || len(list) < 2 {
			t.Errorf("%+v, %v", list, err)
		}
		s.f.RemoveContainer("shop-app-1")
		s.f.RemoveContainer("blog-app-1")
	}
	s.about("shop,blog")
	if _, err := s.app.One(t.Context(), "blogs"); err == nil || !strings.Contains(err.Error(), `did you mean "blog"?`) {
		t.Errorf("%v", err)
	}
}

// TestABackupOfAnotherProjectIsNoneOfOurOwn: health looks at our own.
func TestABackupOfAnotherProjectIsNoneOfOurOwn(t *testing.T) {
	s := newShop(t)
	s.service("app", enabled(), "data")
	s.in("blog", "app", enabled())
	s.host()
	one, err := s.app.One(t.Context(), "blog")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one.Backup(t.Context(), BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	if h := s.history(); !h.LastGood.IsZero() || h.Projects["blog"].LastGood.IsZero() || s.byProject()["blog"] != 1 {
		t.Errorf("%+v", h)
	}
	if one, err := s.app.One(t.Context(), "shop"); err != nil || one != s.app {
		t.Errorf("our own: %v", err)
	}
}

// TestRetentionKeepsToItsProject, also where several are saved one after the other.
func TestRetentionKeepsToItsProject(t *testing.T) {
	s := newShop(t)
	s.about("shop,blog", "RIPPLEBAK_KEEP=last=1", "RIPPLEBAK_KEEP_MINIMUM=1")
	s.in("shop", "app", enabled())
	s.in("blog", "app", enabled())
	for range 3 {
		if _, err := s.app.BackupAll(t.Context(), BackupOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.byProject(); got["shop"] != 1 || got["blog"] != 1 {
		t.Errorf("snapshots: %v", got)
	}
}

// TestNoProjectWaitsForTheCopyingOfAnother: what is due is backed up first, and
// then no copying takes the time of the others, nor a run that falls due.
func TestNoProjectWaitsForTheCopyingOfAnother(t *testing.T) {
	s := newShop(t)
	s.about("shop,blog", "RIPPLEBAK_COPY_TO="+s.path("copy"))
	s.in("shop", "app", enabled())
	s.in("blog", "app", enabled())
	h := s.host()
	at := time.Date(2026, 3, 1, 1, 30, 0, 0, time.UTC)
	tt := s.timetable(at, "0 2 * * *")
	if err := tt.survey(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	s.app.Log = zerolog.New(&log)
	at = at.Add(time.Hour)
	s.app.Now = func() time.Time { return at }
	s.app.runAllDue(t.Context(), tt)
	text := log.String()
	if n := strings.Count(text, `"snapshot copied"`); n != 2 {
		t.Fatalf("%d snapshots copied: %s", n, text)
	}
	if strings.Index(text, `"snapshot copied"`) < strings.LastIndex(text, `"snapshot committed"`) {
		t.Errorf("copied before all had their backups: %s", text)
	}
}

// TestServicesOfAnyProjectComeBack: what a run that died has stopped, whichever
// project it is of, and though that one is no longer among them.
func TestServicesOfAnyProjectComeBack(t *testing.T) {
	for _, projects := range []string{"shop,blog", "shop,news", "*"} {
		s := newShop(t)
		s.about(projects)
		id := s.in("blog", "app", nil)
		s.in("shop", "app", enabled())
		s.f.KillContainer(id)
		h := s.host()
		err := h.state.WriteJournal(&state.Journal{Run: "dead", Project: "blog", Started: time.Now(), Quiesced: []state.Quiesced{{Service: "app", Number: 1, Container: id, How: "stop"}}})
		if err != nil {
			t.Fatal(err)
		}
		tt := s.timetable(time.Now(), "@daily")
		s.app.watch(t.Context(), tt)
		s.wantQuiet()
	}
}
