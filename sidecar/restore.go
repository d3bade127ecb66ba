package sidecar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/sidecar/state"
	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/volume"
)

// restore is one execution of a restore plan.
type restore struct {
	app      *App
	host     *host
	found    *discovery
	plan     *plan.Restore
	opt      RestoreOptions
	vault    *vault
	id       string
	listener *volume.Listener
	early    *early // the helper of the volume that comes next
	journal  state.Journal
	sources  map[string]*sourceItem // by item key
	missing  []error                // items that were wanted and are good nowhere
	probes   map[string]plan.Probe
	report   *RestoreReport
	downAt   map[string]time.Time
	dead     map[string]error      // services whose database did not come up
	targets  map[string]dump.Facts // what databases said of themselves, by service
	// placements are where dumps go that come back as files, placed those that
	// are there and may not stay, proofs what their verification has seen; all
	// by item key.
	placements map[string]dump.Placement
	placed     map[string]*placedDump
	proofs     map[string]dump.Proof
	// last is what is noted of this restore, so that it can be undone; noted says
	// that it was.
	last  state.LastRestore
	noted bool
	// undoing is the restore that this one undoes, or nil; interrupted what was
	// found of that before.
	undoing     *state.LastRestore
	interrupted interrupted
	// inPlace are the commands that change data where it lies, by item key.
	inPlace map[string]plan.InPlace
	// unsettled says of items that are not known to be as they were what they
	// are now, and what to do.
	unsettled map[string]string
	// own are the project's own files, as paths of the host, which a bootstrap has
	// put there before.
	own []string
	// restored is told of each item that is restored, at once; it may be nil.
	restored func(RestoredItem)
}

// errUnsettled means that a restore was broken off and nobody can tell yet what
// it came to. It is one of the two as a whole, and the journal keeps the item.
var errUnsettled = errors.New("it is not known yet whether its old data or the new is in place: the next command, or serve, finds out")

// Restore brings items of a snapshot back. Errors: ErrProblems before anything
// was touched, ErrDeclined, ErrRestoreFailed with a report, repository.ErrNoSnapshot
// and whatever stopped it.
func (a *App) Restore(ctx context.Context, opt RestoreOptions) (report *RestoreReport, err error) {
	if opt.ToDir != "" {
		return a.restoreToDir(ctx, opt)
	}
	if err := a.oneProject(ctx); err != nil {
		return nil, err
	}
	h, err := a.lookAround(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.engine.Close()) }()
	if opt.Rollback && a.From != "" {
		return nil, fmt.Errorf("safety snapshots are in the repository, not in copy %q: roll back without --from", a.From)
	}
	id := newRunID()
	var found interrupted
	if !opt.DryRun {
		var release func() error
		if opt.Rollback {
			release, found, err = a.beginRollback(ctx, h, id, max(opt.Wait, lockPatience))
		} else {
			release, err = a.begin(ctx, h, id, max(opt.Wait, lockPatience))
		}
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, release()) }()
	}
	d, v, err := a.prepareRestore(ctx, h)
	if opt.Bootstrap != "" {
		err = a.mountAdvice(h, err)
	}
	if v != nil {
		defer func() {
			err = errors.Join(err, v.close(ctx))
			a.countRequests(nil, v)
		}()
	}
	if err != nil {
		return nil, err
	}
	ctx, err = a.lockForRestore(ctx, v, h, opt.Wait)
	if err != nil {
		return nil, err
	}
	if err := v.repo.LoadIndex(ctx); err != nil {
		return nil, err
	}
	r := a.newRestore(id, h, d, v, opt)
	r.interrupted = found
	if opt.Bootstrap != "" {
		return r.report, (&bootstrap{restore: r}).do(ctx)
	}
	return r.report, r.do(ctx)
}

func (a *App) newRestore(id string, h *host, d *discovery, v *vault, opt RestoreOptions) *restore {
	return &restore{
		app: a, host: h, found: d, opt: opt, vault: v, id: id,
		sources: map[string]*sourceItem{}, downAt: map[string]time.Time{}, dead: map[string]error{}, targets: map[string]dump.Facts{}, unsettled: map[string]string{}, inPlace: map[string]plan.InPlace{},
		placements: map[string]dump.Placement{}, placed: map[string]*placedDump{}, proofs: map[string]dump.Proof{},
		journal: state.Journal{Run: id, Container: h.selfID(), Project: h.project, Command: a.Command, Started: a.Now()},
		report:  &RestoreReport{ID: id, Started: a.Now(), Project: h.project, DryRun: opt.DryRun, Items: []RestoredItem{}, Notes: []string{}, LeftAlone: []string{}, Downtime: map[string]float64{}},
	}
}

// prepareRestore reads the project and opens the repository at the same time.
func (a *App) prepareRestore(ctx context.Context, h *host) (d *discovery, v *vault, err error) {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		d, err = a.discover(ctx, h)
		return err
	})
	g.Go(func() (err error) {
		v, err = a.openVault(ctx, h.state, false)
		return err
	})
	err = g.Wait()
	return d, v, err
}

// lockForRestore takes the shared lock. A key that may only read must not be
// in the way on the day of the restore: without a lock it goes on, and says so.
func (a *App) lockForRestore(ctx context.Context, v *vault, h *host, wait time.Duration) (context.Context, error) {
	err := a.lockShared(ctx, v, h, wait)
	switch {
	case err == nil:
		return v.lock.Context(), nil
	case errors.Is(err, storage.ErrDenied), errors.Is(err, storage.ErrNoSpace):
		a.Log.Warn().Str("error", a.Redactor().Redact(err.Error())).Msg("the repository cannot be locked: going on without; nothing else may prune it meanwhile")
		return ctx, nil
	}
	return nil, err
}

// do decides, asks, and acts.
func (r *restore) do(ctx context.Context) (err error) {
	started := r.app.Now()
	defer func() { r.report.Seconds = r.app.Now().Sub(started).Seconds() }()
	defer func() { err = errors.Join(err, r.early.end(ctx)) }()
	err = r.decide(ctx)
	if errors.Is(err, errOldInPlace) && r.interrupted.restore != "" {
		r.undone()
		return nil
	}
	if err != nil {
		return err
	}
	r.report.Plan = r.plan
	if len(r.plan.Problems) > 0 {
		return &ProblemsError{Problems: r.plan.Problems}
	}
	if r.opt.Sure && !r.opt.DryRun {
		r.prepareHelper(ctx, r.plan.Operations)
	}
	if err := r.verifyAll(ctx); err != nil {
		return err
	}
	if r.opt.DryRun {
		return nil
	}
	if r.opt.Confirm != nil {
		if err := r.opt.Confirm(r.plan); err != nil {
			return err
		}
	}
	return r.execute(ctx)
}

// decide reads the snapshots and has the plan made.
func (r *restore) decide(ctx context.Context) error {
	sources, warnings, problems, err := r.chooseSources(ctx)
	if err != nil {
		return err
	}
	return r.decideUpon(ctx, sources, warnings, problems)
}

// decideUpon has the plan made for these items.
func (r *restore) decideUpon(ctx context.Context, sources []plan.Source, warnings, problems []string) error {
	in := plan.RestoreInput{
		Project: r.found.project, Sources: sources, Undoes: r.undoesID(), At: r.opt.At, NoStop: r.opt.NoStop, Warnings: warnings, Safety: !r.opt.NoSafety, Fresh: r.opt.Bootstrap != "",
		ForeignUsers: map[string][]string{}, HasState: r.host.state != nil, HasSocket: r.host.hasSocket(),
		HostPaths: r.app.Settings.HostPaths, Own: r.app.ownPaths(r.host),
	}
	if err := r.lookAtVolumes(ctx, &in); err != nil {
		return err
	}
	faults, err := r.checkTargets(ctx, sources)
	if err != nil {
		return err
	}
	in.Problems = append(problems, faults...)
	in.Placements, in.InPlace = r.placements, r.inPlace
	r.plan = plan.MakeRestore(in)
	return nil
}

// lookAtVolumes finds out who uses the volumes, and whether volumes that would
// be made are there already, outside the project.
func (r *restore) lookAtVolumes(ctx context.Context, in *plan.RestoreInput) error {
	var names []string
	for _, v := range in.Project.Volumes {
		names = append(names, v.Name)
	}
	in.Found = map[string]compose.Volume{}
	for _, name := range plan.Targets(in.Project, in.Sources) {
		v, err := r.host.engine.Volume(ctx, name)
		if errors.Is(err, docker.ErrNoVolume) {
			continue
		}
		if err != nil {
			return err
		}
		in.Found[name] = compose.Volume{Name: v.Name, Driver: v.Driver, Options: v.Options, Labels: v.Labels, Exists: true}
		names = append(names, name)
	}
	in.Absent = map[string]bool{}
	for _, source := range plan.BindSources(in.Project, in.Sources) {
		there, err := r.host.hasPath(ctx, r.id, source)
		if err != nil {
			return err
		}
		in.Absent[source] = !there
		names = append(names, source)
	}
	for _, name := range names {
		users, err := r.host.foreignUsers(ctx, name, false)
		if err != nil {
			return err
		}
		in.ForeignUsers[name] = users
	}
	return nil
}
