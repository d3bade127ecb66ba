package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// ErrCopyFailed means that a copy of the repository lacks something.
var ErrCopyFailed = errors.New("the copy is not complete")

// CopyOptions say what is to be copied.
type CopyOptions struct {
	// Snapshots are IDs, prefixes, or "latest"; empty: all of the project that
	// are missing, but for safety snapshots.
	Snapshots []string
	// To names copies; empty: all that are set up.
	To []string
	// Init makes a copy's repository anew though it is gone.
	Init bool
	// DryRun prints what would be copied and ends.
	DryRun bool
	// Wait is how long to wait for locks.
	Wait time.Duration
	// until ends the copying early; zero: never.
	until time.Time
	// changes looks only at what has changed since the last copied snapshot.
	changes bool
	// retain lets a copy's own policy remove this host's snapshots from it.
	// Only a run sets it, and only a good one: by hand nothing is removed.
	retain bool
}

// CopyReport says what was copied, or would be.
type CopyReport struct {
	Repository string     `json:"repository"`
	DryRun     bool       `json:"dry_run"`
	Copies     []CopyInfo `json:"copies"`
	Seconds    float64    `json:"seconds"`
}

// CopyInfo is what became of one copy.
type CopyInfo struct {
	Name       string `json:"name"`
	Repository string `json:"repository,omitempty"`
	// Create says that the repository is made first.
	Create bool `json:"create,omitempty"`
	// Present is how many of the snapshots were there already.
	Present int `json:"present"`
	// Snapshots are those that were not, in the order of copying.
	Snapshots []CopyStep `json:"snapshots"`
	// Bytes is what their new blobs hold, BytesStored what the copy grew by.
	Bytes       int64 `json:"bytes"`
	BytesStored int64 `json:"bytes_stored"`
	// Removed is how many snapshots the copy's own policy removed from it.
	Removed int `json:"removed,omitempty"`
	// BehindSince is the time of the oldest snapshot that is newer than all in
	// the copy; absent where the newest is there.
	BehindSince time.Time `json:"behind_since,omitzero"`
	// Error is why not all was copied.
	Error string `json:"error,omitempty"`
}

// CopyStep is one snapshot to copy.
type CopyStep struct {
	Snapshot string    `json:"snapshot"`
	Time     time.Time `json:"time"`
	Cause    string    `json:"cause"`
	// Copy is the copy's ID, once it is there.
	Copy string `json:"copy,omitempty"`
}

// Copy copies snapshots to the copies that the settings name. What is there is
// not copied again; one that was interrupted goes on where it was. It removes
// nothing: the retention of copies follows a backup. Errors:
// ErrCopyFailed with a report, repository.ErrNoSnapshot, and what stopped it. It
// needs no Docker.
func (a *App) Copy(ctx context.Context, opt CopyOptions) (report *CopyReport, err error) {
	targets, err := a.copyTargets(opt)
	if err != nil {
		return nil, err
	}
	return a.copyTo(ctx, nil, a.stateDir(), targets, opt)
}

// copyTargets are the copies that the options name. From a copy it goes back to
// the repository.
func (a *App) copyTargets(opt CopyOptions) ([]target, error) {
	if a.From != "" {
		if len(opt.To) > 0 || opt.Init {
			return nil, errors.New("from a copy, snapshots go back to the repository and nowhere else: --to and --init do not go with --from")
		}
		return []target{a.primary()}, nil
	}
	if len(a.Settings.Copies) == 0 {
		return nil, errors.New("there is no copy: " + a.knownCopies())
	}
	for _, name := range opt.To {
		if _, ok := a.Settings.Copy(name); !ok {
			return nil, fmt.Errorf("there is no copy %q: %s", name, a.knownCopies())
		}
	}
	var out []target
	for _, c := range a.Settings.Copies {
		if len(opt.To) == 0 || slices.Contains(opt.To, c.Name) {
			t := a.copyTarget(c)
			t.renew = opt.Init
			out = append(out, t)
		}
	}
	return out, nil
}

// copyTo copies to each target in turn. One that fails does not stop the others.
func (a *App) copyTo(ctx context.Context, h *host, dir *state.Dir, targets []target, opt CopyOptions) (report *CopyReport, err error) {
	started := a.Now()
	v, err := a.openVault(ctx, dir, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.close(ctx)) }()
	if ctx, err = a.lockForRestore(ctx, v, h, opt.Wait); err != nil {
		return nil, err
	}
	project := a.ownProject(ctx)
	wanted, err := a.wantedSnapshots(ctx, v.repo, project, opt.Snapshots)
	if err != nil {
		return nil, err
	}
	if err := v.repo.LoadIndex(ctx); err != nil {
		return nil, err
	}
	report = &CopyReport{Repository: v.store.Reader().Location(), DryRun: opt.DryRun, Copies: []CopyInfo{}}
	var errs []error
	for _, t := range targets {
		c := &copying{app: a, host: h, dir: dir, from: v, target: t, opt: opt, wanted: wanted, project: project, info: CopyInfo{Name: t.label(), Snapshots: []CopyStep{}}}
		if err := c.run(ctx); err != nil {
			c.info.Error = a.Redactor().Redact(err.Error())
			errs = append(errs, fmt.Errorf("%s: %w", t.label(), err))
		}
		c.remember(ctx)
		report.Copies = append(report.Copies, c.info)
	}
	report.Seconds = a.Now().Sub(started).Seconds()
	if len(errs) > 0 {
		return report, errors.Join(append([]error{ErrCopyFailed}, errs...)...)
	}
	return report, nil
}

// label names a target in reports.
func (t target) label() string {
	if t.name == "" {
		return "repository"
	}
	return t.name
}

// wantedSnapshots are the snapshots that a copy should have, newest first: those
// named, or the project's own but for safety snapshots, which are about one
// machine's past, and those that a repair has written anew.
func (a *App) wantedSnapshots(ctx context.Context, repo *repository.Repository, project string, named []string) ([]repository.StoredSnapshot, error) {
	list, err := a.snapshotsOf(ctx, repo, true)
	if err != nil {
		return nil, err
	}
	slices.Reverse(list)
	if len(named) == 0 {
		if err := a.oneProject(ctx); err != nil {
			return nil, err
		}
		if project == "" {
			return nil, errors.New("it is not known which project's snapshots to copy: set RIPPLEBAK_PROJECT, or name snapshots")
		}
		instead := replaced(list)
		return slices.DeleteFunc(list, func(s repository.StoredSnapshot) bool {
			_, damaged := instead[s.ID]
			return damaged || !ofProject(&s.Snapshot, project) || s.HasTag(TagSafety)
		}), nil
	}
	ids := map[repository.ID]bool{}
	for _, name := range named {
		s, err := a.findSnapshot(ctx, repo, name)
		if err != nil {
			return nil, err
		}
		ids[s.ID] = true
	}
	return slices.DeleteFunc(list, func(s repository.StoredSnapshot) bool { return !ids[s.ID] }), nil
}
