package sidecar

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/state"
	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/volume"
)

// BackupOptions say what a backup is to do.
type BackupOptions struct {
	// Services leaves out every item of other services; empty: all.
	Services []string
	// Wait is how long to wait for another run, and for the repository's lock.
	Wait time.Duration
	// CopyUntil ends copying to other repositories early; zero: when it is done.
	CopyUntil time.Time

	// due leaves out what follows none of these schedules (plan.Input.Due).
	due []string
	// later gets the copying that follows the run, to be done when nothing is due.
	later func(copyUntil)
}

// BackupReport says what a backup did.
type BackupReport struct {
	// Snapshot is the ID of what was committed; empty if nothing was.
	Snapshot string          `json:"snapshot,omitempty"`
	Project  string          `json:"project"`
	Started  time.Time       `json:"started"`
	Seconds  float64         `json:"seconds"`
	Complete bool            `json:"complete"`
	Items    []manifest.Item `json:"items"`
	Warnings []string        `json:"warnings"`
	// BytesRead is what items hold; BytesStored what was added to the repository.
	BytesRead   int64 `json:"bytes_read"`
	BytesStored int64 `json:"bytes_stored"`
	// Downtime is how long each service was not running, in seconds.
	Downtime map[string]float64 `json:"downtime_seconds"`
	// Requests is how often the storage was asked, from opening the repository
	// to releasing its lock.
	Requests storage.RequestCounts `json:"requests"`
	// Retention is nil where there is no policy, or a part of the project was
	// saved.
	Retention *RetentionReport `json:"retention,omitempty"`
	// Copies is what was copied after the run.
	Copies []CopyInfo `json:"copies,omitempty"`

	part    bool     // it was limited to services that somebody named
	due     []string // the schedules that it was for, where it left out others
	changed []string // keys of items that have changed suddenly
	held    []string // why nothing must be removed after it, by what items and schedules say
}

// Backup saves the project and commits a snapshot. Errors: ErrProblems before
// anything was touched; ErrIncomplete with a report of what was committed;
// ErrNothingSaved; state.ErrBusy; and what stopped the run.
func (a *App) Backup(ctx context.Context, opt BackupOptions) (report *BackupReport, err error) {
	h, err := a.lookAround(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.engine.Close()) }()
	report, err = a.backUp(ctx, h, opt)
	switch {
	case report == nil || report.Snapshot == "" || ctx.Err() != nil:
	case opt.later == nil:
		a.copyAfterRun(ctx, h, opt, report, err) // nothing is held any more
	case len(a.Settings.Copies) > 0:
		opt.later(a.copyingAfter(opt, report, err))
	}
	return report, err
}

// backUp is the run itself: its locks are released when it returns.
func (a *App) backUp(ctx context.Context, h *host, opt BackupOptions) (report *BackupReport, err error) {
	id := newRunID()
	release, err := a.begin(ctx, h, id, max(opt.Wait, lockPatience))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, release()) }()
	if len(opt.Services) == 0 { // a part of the project is no backup of it
		a.recordBegin(h)
		defer func() { a.recordEnd(h, opt.due, report, err, ctx.Err() != nil) }()
	}
	p, d, v, e, err := a.prepareBackup(ctx, h, opt, id)
	if errors.Is(err, errNothingDue) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, v.close(ctx))
		a.countRequests(report, v)
	}()
	defer func() { err = errors.Join(err, e.end(ctx)) }()
	report, err = a.carryOutWith(v.lock.Context(), h, p, d, v, id, nil, e)
	return report, errors.Join(err, a.afterBackup(ctx, h, v, report, err))
}

// countRequests puts what the storage was asked by a run that has ended into
// its report and into the log.
func (a *App) countRequests(report *BackupReport, v *vault) {
	n := v.requests.Counts()
	if report != nil {
		report.Requests = n
	}
	a.Log.Info().Int64("put", n.Put).Int64("get", n.Get).Int64("head", n.Head).Int64("list", n.List).
		Int64("delete", n.Delete).Int64("other", n.Other).Msg("requests to the storage")
}

// lockPatience is how long every command waits for the run lock: serve takes it
// for a moment each minute.
const lockPatience = 3 * time.Second

// begin takes the run lock and clears up after runs that died.
func (a *App) begin(ctx context.Context, h *host, id string, wait time.Duration) (release func() error, err error) {
	return a.beginTo(ctx, h, id, wait, a.recover)
}

// beginTo is begin with another way to clear up.
func (a *App) beginTo(ctx context.Context, h *host, id string, wait time.Duration, clear func(context.Context, *host) error) (release func() error, err error) {
	release, err = a.lockRun(ctx, h, h.state, id, wait)
	if err != nil || h.state == nil {
		return release, err
	}
	if err := clear(ctx, h); err != nil {
		return nil, errors.Join(err, release())
	}
	return release, nil
}

// prepareBackup reads the project and opens the repository at the same time,
// because both take a while and neither changes a thing. A repository is made
// only for a plan that is sound. It returns only when the repository is there,
// open and locked. Once the plan is sound its first helper starts, which
// changes nothing either.
func (a *App) prepareBackup(ctx context.Context, h *host, opt BackupOptions, id string) (p *plan.Plan, d *discovery, v *vault, e *early, err error) {
	g, gctx := errgroup.WithContext(ctx)
	var problems error
	g.Go(func() (err error) {
		p, d, err = a.makePlan(gctx, h, opt.Services, opt.due)
		if err == nil && len(p.Problems) > 0 {
			problems = &ProblemsError{Problems: p.Problems}
		}
		if err == nil && (a.leftOut(d) || problems == nil && p.Nothing()) {
			problems = errNothingDue
		}
		if err == nil && problems == nil {
			e = a.startEarly(ctx, h, id, firstWindow(p), false)
		}
		return err
	})
	g.Go(func() (err error) {
		v, err = a.openVault(gctx, h.state, false)
		if errors.Is(err, repository.ErrNoRepository) {
			return nil
		}
		if err == nil {
			err = canLock(gctx, v)
		}
		return err
	})
	err = g.Wait()
	if err == nil || errors.Is(problems, errNothingDue) {
		err = problems
	}
	if err == nil && v == nil {
		v, err = a.openVault(ctx, h.state, true)
	}
	if err == nil {
		for _, w := range p.Warnings {
			a.Log.Warn().Msg(a.Redactor().Redact(w))
		}
		err = a.lockShared(ctx, v, h, opt.Wait)
	}
	if err == nil {
		err = v.repo.LoadIndex(ctx)
	}
	if err != nil {
		err = errors.Join(err, e.end(ctx))
	}
	if err != nil && v != nil {
		err = errors.Join(err, v.close(ctx))
	}
	return p, d, v, e, err
}

// carryOut executes a plan and commits. safety is what a safety snapshot is made
// for; nil: it is none.
func (a *App) carryOut(ctx context.Context, h *host, p *plan.Plan, d *discovery, v *vault, id string, safety *manifest.Overwritten) (*BackupReport, error) {
	return a.carryOutWith(ctx, h, p, d, v, id, safety, nil)
}

// carryOutWith is carryOut with a helper that has been started already, or nil.
func (a *App) carryOutWith(ctx context.Context, h *host, p *plan.Plan, d *discovery, v *vault, id string, safety *manifest.Overwritten, e *early) (*BackupReport, error) {
	r := &run{
		app: a, host: h, found: d, plan: p, vault: v, id: id, started: a.Now(), safety: safety != nil, overwrites: safety, early: e,
		windows: map[string]*windowRun{}, downtime: map[string]time.Duration{},
		journal: state.Journal{Run: id, Container: h.selfID(), Project: h.project, Command: a.Command, Started: a.Now()},
	}
	r.prepare()
	var err error
	if r.parents, err = a.findParents(ctx, v.repo, h.project, savedKeys(p)); err != nil {
		return nil, err
	}
	if e != nil {
		r.listener = e.listener // whose owner closes it
	} else if h.hasSocket() {
		if r.listener, err = volume.Listen(a.Settings.RunDir); err != nil {
			return nil, err
		}
		defer r.listener.Close()
	}
	if r.writer, err = v.repo.NewWriter(ctx, v.store.Writer(), repository.WriterOptions{CrashPoint: a.Crash, Uploads: a.uploads()}); err != nil {
		return nil, err
	}
	report, err := r.finish(ctx, r.execute(ctx))
	r.removing.Wait()
	r.postRun(ctx, report, err)
	if safety != nil && r.down != nil {
		report = nil // nothing may be overwritten while that is not put right
	}
	if r.down != nil && errors.Is(err, ErrIncomplete) {
		err = errors.New(err.Error()) // what weighs more decides on the exit code
	}
	return report, errors.Join(err, r.down, r.writer.Close(context.WithoutCancel(ctx)))
}

// savedKeys are the items that a run is to save.
func savedKeys(p *plan.Plan) []string {
	var keys []string
	for _, it := range p.Items {
		if it.Skip == "" {
			keys = append(keys, it.Key)
		}
	}
	return keys
}

// finish commits what is good, and reports.
func (r *run) finish(ctx context.Context, err error) (*BackupReport, error) {
	if err != nil {
		return nil, err
	}
	if !r.anythingStored() {
		return r.report("", r.manifest()), r.nothingSaved()
	}
	id, m, err := r.commit(ctx)
	if err != nil {
		return nil, err
	}
	report := r.report(id.String(), m)
	r.app.Log.Info().Str("snapshot", id.Short()).Bool("complete", report.Complete).Int64("bytes_read", report.BytesRead).
		Int64("bytes_stored", report.BytesStored).Float64("seconds", report.Seconds).Msg("snapshot committed")
	if !report.Complete {
		return report, ErrIncomplete
	}
	return report, nil
}

func (r *run) anythingStored() bool {
	for _, res := range r.results {
		if len(res.nodes) > 0 {
			return true
		}
	}
	return false
}

func (r *run) nothingSaved() error {
	var errs []error
	for _, it := range r.plan.Items {
		if e := r.results[it.Key].item.Error; e != "" {
			errs = append(errs, errors.New(it.Key+": "+e))
		}
	}
	return errors.Join(append([]error{ErrNothingSaved}, errs...)...)
}

func (r *run) report(id string, m *manifest.Manifest) *BackupReport {
	stats := r.writer.Stats()
	out := &BackupReport{
		Snapshot: id, Project: m.Project, Started: m.Started, Seconds: r.app.Now().Sub(r.started).Seconds(),
		Complete: m.Complete(), Items: m.Items, Warnings: append([]string{}, m.Warnings...),
		BytesStored: int64(stats.BytesStored), Downtime: map[string]float64{}, part: m.Part() && len(m.Schedules) == 0, due: m.Schedules, changed: r.changed,
	}
	for _, i := range m.Items {
		out.BytesRead += i.Bytes
	}
	for s, d := range r.downtime {
		out.Downtime[s] = d.Seconds()
	}
	return out
}

// downtimeOf is the longest time for which a service was down for an item.
// The caller holds the lock.
func (r *run) downtimeOf(key string) time.Duration {
	var longest time.Duration
	for _, op := range r.plan.Operations {
		if op.Do != plan.Quiesce {
			continue
		}
		w := r.windows[op.Window]
		if w == nil {
			continue
		}
		if slices.Contains(w.items(), key) {
			longest = max(longest, r.downtime[op.Service])
		}
	}
	return longest
}

// uploads is how many packs are stored at a time. A disk is kept busy by one,
// and each takes memory; a network has latencies to be filled.
func (a *App) uploads() int {
	if a.localRepository() != "" {
		return 1
	}
	return 2
}
