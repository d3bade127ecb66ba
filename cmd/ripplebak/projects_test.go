package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar"
)

// severalFixture is a sidecar of two projects, of which one has failed.
func severalFixture() *fixture {
	f := fixed()
	f.backups = []sidecar.ProjectBackup{{Project: "blog", Error: "no engine"}, {Project: "quiet", Skipped: "no service of it is labelled"}, {Project: "shop", Backup: f.backup}}
	f.plans = []sidecar.ProjectPlan{{Project: "blog", Error: "no engine"}, {Project: "shop", Plan: &plan.Plan{Project: "shop"}}}
	return f
}

func runSeveral(t *testing.T, f *fixture, projects string, args ...string) ran {
	t.Helper()
	p, out, stderr := newProgram(f)
	p.environ = append(p.environ, "RIPPLEBAK_PROJECT="+projects)
	code := p.main(t.Context(), args)
	return ran{code, out.String(), stderr.String()}
}

func TestBackupAndPlanDoAllProjects(t *testing.T) {
	f := severalFixture()
	if r := runSeveral(t, f, "shop,blog", "backup"); r.code != exitDone || !strings.Contains(r.out, "project blog: failed\nno engine") ||
		!strings.Contains(r.out, "project quiet is left out") || !strings.Contains(r.out, "project shop: ") {
		t.Errorf("%+v", r)
	}
	if r := runSeveral(t, f, "*", "plan"); r.code != exitDone || !strings.Contains(r.out, "project blog: no engine") || !strings.Contains(r.out, "project shop") {
		t.Errorf("%+v", r)
	}
	var list []sidecar.ProjectBackup
	if r := runSeveral(t, f, "*", "backup", "--json"); json.Unmarshal([]byte(r.out), &list) != nil || len(list) != 3 || list[2].Backup == nil {
		t.Errorf("%+v", r)
	}
	if r := runSeveral(t, f, "shop,blog", "backup", "db"); r.code != exitFailed || !strings.Contains(r.stderr, "--project") {
		t.Errorf("%+v", r)
	}
	f.called = nil
	if r := runSeveral(t, f, "shop,blog", "backup", "--project", "blog", "db"); f.called[0] != "backup" || f.app.Settings.Project != "blog" {
		t.Errorf("%+v: %q, %q", r, f.called, f.app.Settings.Project)
	}
	for _, args := range [][]string{{"restore", "--project", "blogs", "latest"}, {"snapshots", "--project", ""}} {
		if r := runSeveral(t, severalFixture(), "shop,blog", args...); r.code != exitFailed || !strings.Contains(r.stderr, "--project") {
			t.Errorf("%q: %+v", args, r)
		}
	}
	if runSeveral(t, f, "shop", "snapshots", "--project", "blog"); f.app.Settings.Project != "blog" {
		t.Errorf("%q", f.app.Settings.Project)
	}
}

// TestTheWorstProjectDecidesOnTheExitCode, however the others fared.
func TestTheWorstProjectDecidesOnTheExitCode(t *testing.T) {
	incomplete, failed := fmt.Errorf("x: %w", sidecar.ErrIncomplete), errors.New("failed")
	for _, c := range []struct {
		errs []error
		want int
	}{
		{[]error{incomplete}, exitIncomplete},
		{[]error{incomplete, failed}, exitFailed},
		{[]error{failed, incomplete}, exitFailed},
		{[]error{failed, repository.ErrLocked}, exitLocked},
		{[]error{repository.ErrWrongPassword, incomplete}, exitWrongPassword},
	} {
		f := severalFixture()
		several := &sidecar.ProjectsError{}
		for _, err := range c.errs {
			several.Failed = append(several.Failed, &sidecar.ProjectError{Project: "p", Err: err})
		}
		f.err = several
		if r := runSeveral(t, f, "a,b", "backup"); r.code != c.want {
			t.Errorf("%v: %d, want %d", several, r.code, c.want)
		}
	}
}
