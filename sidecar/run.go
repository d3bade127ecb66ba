package sidecar

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/state"
	"github.com/ripplebak/ripplebak/volume"
)

// run is one execution of a plan. It carries out the plan's operations in
// their order and decides nothing.
type run struct {
	app     *App
	host    *host
	found   *discovery
	plan    *plan.Plan
	vault   *vault
	writer  *repository.Writer
	id      string
	started time.Time
	safety  bool
	// overwrites is what a safety snapshot is made for.
	overwrites *manifest.Overwritten
	parents    *parents

	listener *volume.Listener
	early    *early         // the first window's helper, or nil
	reader   *early         // the helper that reads the project's own files, or nil
	copier   *copier        // of databases in volumes, or nil
	removing sync.WaitGroup // of helpers that have ended, while the run goes on
	windows  map[string]*windowRun

	mu       sync.Mutex
	results  map[string]*result // by item key
	warnings []string
	changed  []string // keys of items that have changed suddenly
	journal  state.Journal
	downtime map[string]time.Duration // by service

	due  []state.Quiesced // of the journal's: what should be back by now
	down error            // why services are still down at the end
}

// result is what became of one item so far.
type result struct {
	item  manifest.Item
	nodes []*repository.Node // the dump's files, or the volume's directory
	// folder is that of the project's own files.
	folder *directory
	done   bool
}

// newRunID makes the name of a run.
func newRunID() string {
	b := make([]byte, 8)
	rand.Read(b) // never fails: it ends the program instead
	return hex.EncodeToString(b)
}

// execute carries out the operations. What was quiesced is brought back on
// every way out; what could not be is in r.down. The error is one of the run
// as a whole; items that failed are in the results.
func (r *run) execute(ctx context.Context) (err error) {
	defer func() {
		// Bringing services back does not depend on why we leave.
		r.down = r.resumeAll(context.WithoutCancel(ctx))
		r.postDue(context.WithoutCancel(ctx))
		r.endCopier(ctx)
		err = errors.Join(err, r.reader.end(ctx))
		err = errors.Join(err, r.closeWindows(context.WithoutCancel(ctx)))
	}()
	r.notePostRun()
	for i, op := range r.plan.Operations {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		r.prepareConfig(ctx, r.plan.Operations[i:])
		if err := r.resumeDue(ctx); err != nil {
			r.app.Log.Error().Str("error", r.app.Redactor().Redact(err.Error())).Msg("services do not come back, it is tried again")
		}
		if err := r.do(ctx, op); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) do(ctx context.Context, op plan.Operation) error {
	switch op.Do {
	case plan.RunPre:
		return r.pre(ctx, op)
	case plan.RunPost:
		return r.post(ctx, op)
	case plan.DoDump:
		if it, _ := r.plan.Item(op.Items[0]); it.Dump.Offline {
			return r.dumpOffline(ctx, op)
		}
		return r.dump(ctx, op)
	case plan.Double:
		return r.startDouble(ctx, op)
	case plan.Helper:
		r.endCopier(ctx) // dumps come first
		return r.startHelpers(ctx, op)
	case plan.Walk:
		return r.walk(ctx, op)
	case plan.Quiesce:
		return r.quiesce(ctx, op)
	case plan.Rewalk:
		return r.rewalk(ctx, op)
	case plan.Resume:
		return r.resume(ctx, op)
	case plan.Config:
		return r.saveConfig(ctx, op)
	case plan.Commit:
		return r.settleAll(ctx)
	case plan.PreRun:
		return r.preRun(ctx, op)
	case plan.PostRun:
		return nil // it comes when the snapshot is there, or will not be
	}
	return fmt.Errorf("the plan has the unknown operation %q", op.Do)
}

// item returns the plan's item and its result. The executor works on an item
// only while it has not failed.
func (r *run) item(key string) (plan.Item, *result) {
	it, _ := r.plan.Item(key)
	r.mu.Lock()
	defer r.mu.Unlock()
	return it, r.results[key]
}

func (r *run) failed(key string) bool {
	_, res := r.item(key)
	r.mu.Lock()
	defer r.mu.Unlock()
	return res.item.State == manifest.Failed
}

// fail records that an item is lost to this run. The first reason stays.
func (r *run) fail(key string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	res := r.results[key]
	if res.item.State == manifest.Failed {
		return
	}
	res.item.State = manifest.Failed
	res.item.Error = r.app.Redactor().Redact(err.Error())
	res.item.Finished = r.app.Now()
	res.nodes, res.done = nil, true
	r.app.Log.Error().Str("item", key).Str("error", res.item.Error).Msg("item failed")
	r.app.progress().End(key, string(manifest.Failed))
}

func (r *run) warn(format string, args ...any) {
	text := r.app.Redactor().Redact(fmt.Sprintf(format, args...))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.warnings = append(r.warnings, text)
	r.app.Log.Warn().Msg(text)
}

// prepare makes a result for each item of the plan.
func (r *run) prepare() {
	r.makeWindows()
	r.results = map[string]*result{}
	for _, it := range r.plan.Items {
		m := manifest.Item{Kind: it.Kind, Service: it.Service, Name: it.Name, Keep: it.Keep, Schedules: it.Schedules}
		if it.Dump != nil {
			for _, c := range it.Dump.Commands { // read one day where the secrets are not known
				m.Commands = append(m.Commands, r.app.Redactor().Redact(c))
			}
			m.DumpInfo = dumpInfo(it)
		}
		if it.Volume != nil {
			m.During = string(it.Volume.During)
			m.Inconsistent = it.Volume.Inconsistent
			m.VolumeInfo = volumeInfo(it)
		}
		if it.Config != nil {
			m.ConfigInfo = configInfo(it.Config)
		}
		res := &result{item: m}
		r.results[it.Key] = res
		switch {
		case it.Skip != "":
			res.item.State, res.done = manifest.Skipped, true
		case it.Broken != "":
			r.fail(it.Key, errors.New(it.Broken))
		}
	}
}

func configInfo(c *plan.ConfigItem) *manifest.ConfigInfo {
	info := &manifest.ConfigInfo{WorkingDir: c.WorkingDir, Files: []manifest.ConfigFile{}}
	for _, f := range c.Sources {
		switch {
		case f.Role == compose.RoleCompose, f.Role == compose.RoleOverride:
			info.Compose = append(info.Compose, f.Path)
		case f.Role == compose.RoleEnv && !f.Optional:
			info.Env = append(info.Env, f.Path)
		}
	}
	return info
}

func volumeInfo(it plan.Item) *manifest.VolumeInfo {
	v := it.Volume
	options, withheld := publicOptions(v.Volume.Options)
	if it.Kind == manifest.Bind {
		return &manifest.VolumeInfo{HostPath: v.Docker, DeviceID: v.DeviceID, Exclude: v.Exclude, UsedBy: v.UsedBy}
	}
	return &manifest.VolumeInfo{
		DockerName: v.Docker, Driver: v.Volume.Driver, Options: options, Withheld: withheld, Labels: v.Volume.Labels,
		External: v.Volume.External, DeviceID: v.DeviceID, Exclude: v.Exclude, UsedBy: v.UsedBy,
	}
}
