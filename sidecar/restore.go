package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// RestoreOptions say what a restore is to do.
type RestoreOptions struct {
	// Snapshot is an ID, a prefix of one, or "latest".
	Snapshot string
	// At takes, with "latest", what was made at that time or before it; zero:
	// no bound.
	At time.Time
	// Services, Volumes and Databases choose items; all empty: every item.
	// A database is named SERVICE/DATABASE.
	Services, Volumes, Databases []string
	// Paths choose files and folders of volumes, from their roots; of what they
	// lie beside nothing is touched.
	Paths []string
	// ToDatabase and ToVolume are new names: what is restored goes beside what
	// is there. The first is for exactly one database, the second, which is one
	// as the compose file has it, for exactly one volume.
	ToDatabase, ToVolume string
	// ToDir is a directory into which the items are written as files, in place
	// of the project. Confirm is then asked only where it holds something.
	ToDir string
	// NoStop leaves the services running that use the files of Paths.
	NoStop bool
	// Globals gives existing roles the stored password and attributes too.
	Globals bool
	// KeepExtra leaves files that are not in the snapshot.
	KeepExtra bool
	// NoSafety leaves out the safety snapshot.
	NoSafety bool
	// DryRun prints the plan and ends.
	DryRun bool
	// Wait is how long to wait for another run.
	Wait time.Duration
	// Confirm is shown the plan and asked before anything is touched.
	Confirm func(*plan.Restore) error
	// Sure says that Confirm asks nobody: the first helper starts while the
	// snapshot is verified, as it would sit idle where a person thinks.
	Sure bool
}

// RestoreReport says what a restore did.
type RestoreReport struct {
	Project string         `json:"project"`
	Plan    *plan.Restore  `json:"plan"`
	DryRun  bool           `json:"dry_run"`
	Safety  string         `json:"safety_snapshot,omitempty"`
	Items   []RestoredItem `json:"items"`
	Seconds float64        `json:"seconds"`
	Notes   []string       `json:"notes"`
	// Downtime is how long each service was not running, in seconds.
	Downtime map[string]float64 `json:"downtime_seconds"`
}

// RestoredItem is what became of one item.
type RestoredItem struct {
	Key      string  `json:"key"`
	Restored bool    `json:"restored"`
	Error    string  `json:"error,omitempty"`
	Seconds  float64 `json:"seconds"`
	// Bytes is what was written for it; Files how many files were created,
	// replaced, removed or changed in their metadata; Unchanged how many were
	// as they should be.
	Bytes     int64    `json:"bytes"`
	Files     int64    `json:"files"`
	Removed   int64    `json:"removed"`
	Unchanged int64    `json:"unchanged"`
	Notes     []string `json:"notes,omitempty"`
}

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
	// unsettled are items of which it could not be found out how far they came.
	unsettled map[string]bool
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
	h, err := a.lookAround(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.engine.Close()) }()
	id := newRunID()
	if !opt.DryRun {
		release, err := a.begin(ctx, h, id, max(opt.Wait, lockPatience))
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, release()) }()
	}
	d, v, err := a.prepareRestore(ctx, h)
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
	r := a.newRestore(h, d, v, opt)
	r.id = id
	r.journal = state.Journal{Run: id, Container: h.selfID(), Project: h.project, Command: a.Command, Started: a.Now()}
	return r.report, r.do(ctx)
}

func (a *App) newRestore(h *host, d *discovery, v *vault, opt RestoreOptions) *restore {
	return &restore{
		app: a, host: h, found: d, opt: opt, vault: v, id: newRunID(),
		sources: map[string]*sourceItem{}, downAt: map[string]time.Time{}, dead: map[string]error{}, targets: map[string]dump.Facts{}, unsettled: map[string]bool{},
		placements: map[string]dump.Placement{}, placed: map[string]*placedDump{}, proofs: map[string]dump.Proof{},
		report: &RestoreReport{Project: h.project, DryRun: opt.DryRun, Items: []RestoredItem{}, Notes: []string{}, Downtime: map[string]float64{}},
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
	if err := r.decide(ctx); err != nil {
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
	in := plan.RestoreInput{
		Project: r.found.project, Sources: sources, At: r.opt.At, NoStop: r.opt.NoStop, Warnings: warnings, Safety: !r.opt.NoSafety,
		ForeignUsers: map[string][]string{}, HasState: r.host.state != nil, HasSocket: r.host.hasSocket(),
	}
	if err := r.lookAtVolumes(ctx, &in); err != nil {
		return err
	}
	faults, err := r.checkTargets(ctx, sources)
	if err != nil {
		return err
	}
	in.Problems = append(problems, faults...)
	in.Placements = r.placements
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
	for _, name := range names {
		users, err := r.host.foreignUsers(ctx, name, false)
		if err != nil {
			return err
		}
		in.ForeignUsers[name] = users
	}
	return nil
}

// execute carries the plan out. What was stopped is started again on every way
// out; the first failure of an item ends that item only.
func (r *restore) execute(ctx context.Context) (err error) {
	if r.host.hasSocket() {
		if r.listener, err = volume.Listen(r.app.Settings.RunDir); err != nil {
			return err
		}
		defer r.listener.Close()
	}
	defer func() {
		err = errors.Join(err, r.takeAllBack(ctx), r.startAll(context.WithoutCancel(ctx)), r.stopEngines(context.WithoutCancel(ctx)))
	}()
	for i, op := range r.plan.Operations {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r.prepareHelper(ctx, r.plan.Operations[i:])
		if err := r.step(ctx, op); err != nil {
			return err
		}
	}
	r.remember()
	return r.verdict()
}

// prepareHelper begins to start the helper of the volume that is filled next,
// unless that was done.
func (r *restore) prepareHelper(ctx context.Context, ops []plan.RestoreOperation) {
	if r.early == nil {
		r.early = r.app.startEarly(ctx, r.host, r.id, nextFill(r.plan, ops), true)
	}
}

// takeHelper gives the helper for a volume, and what ends it.
func (r *restore) takeHelper(ctx context.Context, volume string) (c *helper, end func() error, err error) {
	e := r.early
	r.early = nil
	if c = e.take([]string{volume}); c == nil {
		if err := e.end(ctx); err != nil {
			r.app.Log.Warn().Msg(r.app.Redactor().Redact(err.Error()))
		}
		c, err = r.app.startHelper(ctx, r.host, r.listener, r.id, []string{volume}, true)
		return c, func() error { return c.close(ctx) }, err
	}
	return c, func() error { return errors.Join(c.close(ctx), e.end(ctx)) }, nil
}

func (r *restore) step(ctx context.Context, op plan.RestoreOperation) error {
	switch op.Do {
	case plan.Safety:
		return r.safety(ctx, op)
	case plan.StopService:
		return r.stop(ctx, op)
	case plan.CreateVolume:
		return r.createVolume(ctx, op)
	case plan.FillVolume:
		return r.fillVolume(ctx, op)
	case plan.StartEngine:
		return r.startEngine(ctx, op)
	case plan.LoadDump:
		return r.loadDump(ctx, op)
	case plan.PlaceDump:
		return r.placeDump(ctx, op)
	case plan.ConfirmDump:
		return r.confirmDump(ctx, op)
	case plan.StartService:
		return r.start(ctx, op.Service)
	case plan.StopEngine:
		return r.stopEngine(ctx, op.Service)
	}
	return fmt.Errorf("the plan has the unknown step %q", op.Do)
}

// verdict is nil only when every item of the plan was restored.
func (r *restore) verdict() error {
	done := map[string]bool{}
	for _, i := range r.report.Items {
		done[i.Key] = i.Restored
	}
	errs := slices.Clone(r.missing)
	for _, it := range r.plan.Items {
		switch {
		case r.unsettled[it.Key]:
			errs = append(errs, fmt.Errorf("%s: %w", it.Key, errUnsettled))
		case !done[it.Key]:
			errs = append(errs, fmt.Errorf("%s: %s", it.Key, r.left()))
		}
	}
	if len(errs) > 0 {
		return errors.Join(append([]error{ErrRestoreFailed}, errs...)...)
	}
	return nil
}

// left says what is there of an item that was not restored.
func (r *restore) left() string {
	if r.plan.Dir != "" {
		return "what there is of it in the directory is not whole"
	}
	return "the old data is in place"
}

// item begins the report of an item; the returned function ends it.
func (r *restore) item(key string) (*RestoredItem, func(error)) {
	started := r.app.Now()
	it, _ := r.plan.Item(key)
	r.app.progress().Begin(key, it.Bytes)
	out := &RestoredItem{Key: key}
	return out, func(err error) {
		out.Seconds = r.app.Now().Sub(started).Seconds()
		out.Restored = err == nil
		state := "restored"
		if err != nil {
			state, out.Error = "failed", r.app.Redactor().Redact(err.Error())
			what := r.left()
			if errors.Is(err, errUnsettled) {
				r.unsettled[key], what = true, errUnsettled.Error()
			}
			r.app.Log.Error().Str("item", key).Str("error", out.Error).Msg("item was not restored, " + what)
		} else {
			r.app.Log.Info().Str("item", key).Int64("bytes", out.Bytes).Int64("files", out.Files).Float64("seconds", out.Seconds).Msg("item restored")
		}
		r.app.progress().End(key, state)
		r.report.Items = append(r.report.Items, *out)
	}
}
