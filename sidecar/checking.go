package sidecar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/state"
	"github.com/ripplebak/ripplebak/storage"
)

// ErrDamaged means that check found damage.
var ErrDamaged = errors.New("the repository is damaged")

// CheckOptions say how far a check goes.
type CheckOptions struct {
	// ReadData reads, decrypts and hashes every pack.
	ReadData bool
	// Subset reads a part of the packs: n/t, a percentage, or a size.
	Subset string
	// Wait is how long to wait for another's lock.
	Wait time.Duration

	// part is what a scheduled check reads.
	part func(packs []repository.PackInfo, times *state.PackTimes, suspects []string) []repository.PackInfo
}

// CheckReport is what a check found.
type CheckReport struct {
	Repository string `json:"repository"`
	ReadData   bool   `json:"read_data"`
	Subset     string `json:"read_data_subset,omitempty"`
	OK         bool   `json:"ok"`
	// Findings are the first thousand; Errors and Notes count all.
	Findings []CheckFinding `json:"findings"`
	Errors   uint64         `json:"errors"`
	Notes    uint64         `json:"notes"`
	// Lost is what can no longer be restored, as far as was looked: the first
	// thousand items; LostMore counts the others.
	Lost      []LostItem `json:"lost"`
	LostMore  uint64     `json:"lost_more"`
	Snapshots uint64     `json:"snapshots"`
	Packs     uint64     `json:"packs"`
	PacksRead uint64     `json:"packs_read"`
	Blobs     uint64     `json:"blobs"`
	BytesRead uint64     `json:"bytes_read"`
	// BadPacks are the first thousand packs that are gone or damaged.
	BadPacks []string `json:"bad_packs"`

	stopped bool // before its end
}

// CheckFinding is one thing that a check found.
type CheckFinding struct {
	Kind   string `json:"kind"`
	Note   bool   `json:"note"` // nothing is lost by it
	File   string `json:"file,omitempty"`
	Detail string `json:"detail"`
}

// Check proves that the repository is whole. Damage is ErrDamaged, with the
// report. It needs no Docker.
func (a *App) Check(ctx context.Context, opt CheckOptions) (*CheckReport, error) {
	var subset repository.Subset
	if opt.Subset != "" {
		var err error
		if subset, err = repository.ParseSubset(opt.Subset); err != nil {
			return nil, fmt.Errorf("the subset %q: %w", opt.Subset, err)
		}
		opt.part = func(packs []repository.PackInfo, times *state.PackTimes, suspects []string) []repository.PackInfo {
			return subset.Choose(turns(packs, times, suspects))
		}
	}
	report, err := a.check(ctx, nil, opt)
	if report != nil && report.stopped {
		report = nil
	}
	return report, err
}

// check is Check for any part. h may be nil. One that was stopped before its end
// has a report of what it found until then.
func (a *App) check(ctx context.Context, h *host, opt CheckOptions) (report *CheckReport, err error) {
	v, err := a.openVault(ctx, nil, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.close(ctx)) }()
	err = a.lockShared(ctx, v, h, opt.Wait)
	switch {
	case errors.Is(err, storage.ErrDenied):
		a.Log.Warn().Msg("the repository cannot be locked with these credentials: checking without a lock")
	case err != nil:
		return nil, err
	default:
		ctx = v.lock.Context()
	}
	return a.checkVault(ctx, v, opt)
}

// checkVault checks an opened repository and remembers what it found.
func (a *App) checkVault(ctx context.Context, v *vault, opt CheckOptions) (*CheckReport, error) {
	m := a.checkMemory(v)
	found, err := v.repo.Check(ctx, m.options(opt))
	if err != nil {
		report := reportOf(found)
		report.stopped = true
		a.recordStopped(m, report, err, ctx.Err() != nil)
		return report, err
	}
	report := reportOf(found)
	report.Repository, report.ReadData, report.Subset = v.store.Reader().Location(), opt.ReadData, opt.Subset
	a.recordCheck(m, report, opt.ReadData)
	if !report.OK {
		return report, fmt.Errorf("%w: %d errors", ErrDamaged, report.Errors)
	}
	return report, nil
}

// maxBadPacks is how many damaged packs a report lists.
const maxBadPacks = 1000

func reportOf(c repository.CheckReport) *CheckReport {
	out := &CheckReport{
		OK: c.OK(), Findings: []CheckFinding{}, Errors: c.Errors, Notes: c.Notes,
		Snapshots: c.Snapshots, Packs: c.Packs, PacksRead: c.PacksRead, Blobs: c.Blobs, BytesRead: c.BytesRead, BadPacks: []string{},
	}
	for _, f := range c.Findings {
		out.Findings = append(out.Findings, CheckFinding{Kind: string(f.Kind), Note: f.Note, File: f.File, Detail: f.Detail})
	}
	for _, id := range c.BadPacks[:min(len(c.BadPacks), maxBadPacks)] {
		out.BadPacks = append(out.BadPacks, id.String())
	}
	out.Lost, out.LostMore = lostItems(c.Lost)
	return out
}

// InitReport says what init did.
type InitReport struct {
	Repository string `json:"repository"`
	ID         string `json:"id"`
	Version    uint   `json:"version"`
}

// Init creates the repository. One that exists is repository.ErrExist.
func (a *App) Init(ctx context.Context) (report *InitReport, err error) {
	store, err := a.openStore(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := store.Probe(ctx); err != nil && !errors.Is(err, storage.ErrNoBucket) {
		return nil, err
	}
	if err := repository.Init(ctx, store.Reader(), store.Writer(), a.Settings.Password, repository.InitOptions{KDF: a.kdf}); err != nil {
		return nil, err
	}
	repo, err := repository.Open(ctx, store.Reader(), a.Settings.Password, repository.Options{})
	if err != nil {
		return nil, err
	}
	if err := a.remember(a.stateDir(), &vault{store: store, repo: repo}); err != nil {
		return nil, err
	}
	return &InitReport{Repository: store.Reader().Location(), ID: repo.Config().ID, Version: repo.Config().Version}, nil
}
