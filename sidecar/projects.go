package sidecar

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/labels"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/state"
	"github.com/ripplebak/ripplebak/spelling"
)

// ProjectBackup is what became of one of several projects.
type ProjectBackup struct {
	Project string `json:"project"`
	// Skipped says why there was nothing to do.
	Skipped string `json:"skipped,omitempty"`
	// Error is what went wrong.
	Error string `json:"error,omitempty"`
	// Backup is nil where the run came to nothing.
	Backup *BackupReport `json:"backup,omitempty"`
}

// ProjectPlan is what a backup of one of several projects would do.
type ProjectPlan struct {
	Project string     `json:"project"`
	Skipped string     `json:"skipped,omitempty"`
	Error   string     `json:"error,omitempty"`
	Plan    *plan.Plan `json:"plan,omitempty"`
}

// ProjectError is the error of one of several projects.
type ProjectError struct {
	Project string
	Err     error
}

func (e *ProjectError) Error() string { return fmt.Sprintf("project %s: %v", e.Project, e.Err) }
func (e *ProjectError) Unwrap() error { return e.Err }

// ProjectsError are the errors of several projects, of which each was tried.
type ProjectsError struct{ Failed []*ProjectError }

func (e *ProjectsError) Error() string {
	var lines []string
	for _, f := range e.Failed {
		lines = append(lines, f.Error())
	}
	return strings.Join(lines, "\n")
}

func (e *ProjectsError) Unwrap() (errs []error) {
	for _, f := range e.Failed {
		errs = append(errs, f)
	}
	return errs
}

// of is the sidecar of one of several projects. It shares with the whole what it
// costs to make anew, and what must not be forgotten.
func (a *App) of(project string) *App {
	if project == "" {
		return a
	}
	return &App{
		Settings: a.Settings.ForProject(project), Log: a.Log.With().Str("project", project).Logger(), From: a.From,
		Progress: a.Progress, Now: a.Now, Version: a.Version, Command: a.Command, Crash: a.Crash,
		oneOf: project, whole: a, mounts: a.mounts, kdf: a.kdf, patience: a.patience,
	}
}

// One is the sidecar of one project, for commands that are about one. Where the
// settings are about several, it must be one of these.
func (a *App) One(ctx context.Context, project string) (*App, error) {
	s := a.Settings
	switch {
	case !compose.IsProject(project):
		return nil, fmt.Errorf("%q is no name of a project", project)
	case !s.Several():
		if own := a.theProject(ctx); own != "" && own != project {
			return a.of(project), nil // whose runs are not those of our own
		}
		s.Project = project
		return a, nil
	case s.AllProjects, slices.Contains(s.Projects, project):
		return a.of(project), nil
	}
	if near := spelling.Nearest(project, s.Projects); near != "" {
		return nil, fmt.Errorf("RIPPLEBAK_PROJECT does not name project %q; did you mean %q?", project, near)
	}
	return nil, fmt.Errorf("RIPPLEBAK_PROJECT does not name project %q; it names %s", project, strings.Join(s.Projects, ", "))
}

// theProject is the only project, as far as it is known.
func (a *App) theProject(ctx context.Context) string {
	if a.Settings.Project != "" {
		return a.Settings.Project
	}
	h, err := a.lookAround(ctx)
	if err != nil {
		return "" // on the bare host, or where there is no Engine
	}
	if err := h.engine.Close(); err != nil {
		a.Log.Debug().Msg(err.Error())
	}
	return h.project
}

// keyring is kept by the whole.
func (a *App) keyring() *repository.Keyring {
	if a.whole != nil {
		return a.whole.keyring()
	}
	return &a.keys
}

// ErrWhichProject means that there are several projects, and that a command is
// about one.
var ErrWhichProject = errors.New("there are several projects: say which by --project")

// oneProject refuses what is about one project where there are several.
func (a *App) oneProject(ctx context.Context) error {
	if !a.Settings.Several() {
		return nil
	}
	names := a.Settings.Projects
	if a.Settings.AllProjects {
		names = a.projectsBefore(state.At(a.Settings.StateDir))
		if h, err := a.lookAround(ctx); err == nil {
			if found, err := a.listed(ctx, h); err == nil {
				names = append(names, slices.Collect(maps.Keys(found.served))...)
			}
			if err := h.engine.Close(); err != nil {
				a.Log.Debug().Msg(err.Error())
			}
		}
		slices.Sort(names)
		names = slices.Compact(names)
	}
	if len(names) == 0 {
		return ErrWhichProject
	}
	return fmt.Errorf("%w (%s)", ErrWhichProject, strings.Join(names, ", "))
}

// projectsBefore are the projects as far as they are known without the Engine:
// those that are named, or of all those that were served last. An empty name
// stands for the only one.
func (a *App) projectsBefore(dir *state.Dir) []string {
	switch {
	case !a.Settings.Several():
		return []string{""}
	case !a.Settings.AllProjects:
		return slices.Clone(a.Settings.Projects)
	}
	h, err := dir.History()
	if err != nil {
		return nil
	}
	var out []string
	for name, r := range h.Projects {
		if !r.Gone {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// listing is what the Engine lists of the projects.
type listing struct {
	served  map[string][]string // to the schedules of their services
	skipped []string            // that have no labelled service
}

// listed are the projects that are to be backed up, by what the Engine lists now,
// so that those that come and go are seen. An empty name stands for the only one.
// Those that are named are listed whether they are there or not: what is missing
// is a problem of the run.
func (a *App) listed(ctx context.Context, h *host) (*listing, error) {
	all, err := h.engine.Listed(ctx)
	if err != nil {
		return nil, err
	}
	out := &listing{served: map[string][]string{}}
	for _, p := range a.Settings.Projects {
		out.served[p] = []string{}
	}
	if !a.Settings.Several() {
		out.served[""] = []string{}
	}
	for _, c := range all {
		if isOurs(c) {
			continue
		}
		project := c.Project()
		if !a.Settings.Several() && project == h.project {
			project = ""
		}
		_, known := out.served[project]
		switch {
		case known:
		case !a.Settings.AllProjects || project == "":
			continue
		case !labelled(c) && !a.Settings.Auto:
			out.skipped = append(out.skipped, project)
			continue
		}
		list := out.served[project]
		if expr := scheduleIn(c.Labels); expr != "" && labelled(c) && !slices.Contains(list, expr) {
			list = append(list, expr)
		}
		out.served[project] = list
	}
	for _, list := range out.served {
		slices.Sort(list)
	}
	slices.Sort(out.skipped)
	out.skipped = slices.DeleteFunc(slices.Compact(out.skipped), func(p string) bool { _, served := out.served[p]; return served })
	return out, nil
}

// isOurs reports whether a container is one of ours, or no service's.
func isOurs(c docker.Listed) bool {
	_, helper := c.Labels[compose.LabelHelper]
	return helper || c.Labels[compose.LabelSidecar] == "true" || strings.EqualFold(c.Labels[compose.LabelOneOff], "true")
}

// labelled reports whether a container carries a label of ours, and none that
// refuses.
func labelled(c docker.Listed) bool {
	if c.Labels[labels.Prefix+"enable"] == "false" {
		return false
	}
	for l := range c.Labels {
		if labels.Ours(l) {
			return true
		}
	}
	return false
}

// leftOut reports whether a project that nobody has named has nothing to save.
func (a *App) leftOut(d *discovery) bool {
	if a.whole == nil || !a.whole.Settings.AllProjects || len(d.problems) > 0 {
		return false
	}
	for _, s := range d.specs {
		if s.Enabled {
			return false
		}
	}
	return true
}

// notLabelled is why a project is left out.
const notLabelled = "no service of it is labelled"

// BackupAll backs up each of several projects, one after the other. One that
// fails keeps no other from its own. The error is a ProjectsError.
func (a *App) BackupAll(ctx context.Context, opt BackupOptions) ([]ProjectBackup, error) {
	out := []ProjectBackup{}
	err := a.each(ctx, func(project, skip string) error {
		r := ProjectBackup{Project: project, Skipped: skip}
		var err error
		if skip == "" {
			r.Backup, err = a.of(project).Backup(ctx, opt)
			if r.Backup == nil && err == nil {
				r.Skipped = notLabelled
			}
		}
		r.Error = a.errorText(err)
		out = append(out, r)
		return err
	})
	return out, err
}

// PlanAll says what backups of several projects would do.
func (a *App) PlanAll(ctx context.Context) ([]ProjectPlan, error) {
	out := []ProjectPlan{}
	err := a.each(ctx, func(project, skip string) error {
		r := ProjectPlan{Project: project, Skipped: skip}
		var err error
		if skip == "" {
			if r.Plan, err = a.of(project).Plan(ctx, nil); err == nil && len(r.Plan.Problems) > 0 {
				err = ErrProblems
			}
		}
		r.Error = a.errorText(err)
		out = append(out, r)
		return err
	})
	return out, err
}

func (a *App) errorText(err error) string {
	if err == nil {
		return ""
	}
	return a.Redactor().Redact(err.Error())
}

// each does something for each project, in the order of the settings or of the
// names, and for those that are skipped, with the reason.
func (a *App) each(ctx context.Context, do func(project, skip string) error) error {
	found, err := a.projectsNow(ctx)
	if err != nil {
		return err
	}
	names := a.Settings.Projects
	if a.Settings.AllProjects {
		names = slices.Sorted(maps.Keys(found.served))
	}
	all := &ProjectsError{}
	for _, p := range names {
		if ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), all.orNil())
		}
		if err := do(p, ""); err != nil {
			all.Failed = append(all.Failed, &ProjectError{Project: p, Err: err})
		}
	}
	for _, p := range found.skipped {
		_ = do(p, notLabelled) // which does nothing
	}
	if a.Settings.AllProjects && len(names) == 0 {
		return errNoProject
	}
	return all.orNil()
}

// errNoProject: all projects are meant, and none asks for it.
var errNoProject = errors.New("no project has a labelled service: put ripplebak.enable: \"true\" or ripplebak.dump on one")

func (e *ProjectsError) orNil() error {
	if len(e.Failed) == 0 {
		return nil
	}
	return e
}

func (a *App) projectsNow(ctx context.Context) (_ *listing, err error) {
	h, err := a.lookAround(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.engine.Close()) }()
	return a.listed(ctx, h)
}

// recoverAll recovers what runs of any of our projects left that died, also of
// those that are gone, or are named no more. The caller holds the run lock.
func (a *App) recoverAll(ctx context.Context, h *host, projects []string) error {
	if !a.Settings.Several() {
		return a.recover(ctx, h)
	}
	journals, _ := h.state.Journals() // a damaged one is said by each project's recovery
	for _, j := range journals {
		if !slices.Contains(projects, j.Project) {
			projects = append(projects, j.Project)
		}
	}
	var errs []error
	for _, p := range projects {
		if err := a.of(p).recover(ctx, h.of(p)); err != nil {
			errs = append(errs, &ProjectError{Project: p, Err: err})
		}
	}
	return errors.Join(errs...)
}

// noteGone records that a project is no longer there: health complains of it no
// more, and its snapshots stay.
func (a *App) noteGone(dir *state.Dir, project string) {
	a.Log.Warn().Str("project", project).Msg("project is gone, or no service of it is labelled any more: it is no longer backed up, and its snapshots stay")
	if err := a.updateHistory(dir.Of(project), func(h *state.History) { h.Gone = true }); err != nil {
		a.Log.Warn().Msg(a.Redactor().Redact(err.Error()))
	}
}
