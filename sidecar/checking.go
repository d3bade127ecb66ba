package sidecar

import (
	"context"
	"errors"
	"fmt"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/storage"
)

// ErrDamaged means that check found damage.
var ErrDamaged = errors.New("the repository is damaged")

// CheckOptions say how far a check goes.
type CheckOptions struct {
	// ReadData reads, decrypts and hashes every pack.
	ReadData bool
}

// CheckReport is what a check found.
type CheckReport struct {
	Repository string `json:"repository"`
	ReadData   bool   `json:"read_data"`
	OK         bool   `json:"ok"`
	repository.CheckReport
}

// Check proves that the repository is whole. Damage is ErrDamaged, with the
// report. It needs no Docker.
func (a *App) Check(ctx context.Context, opt CheckOptions) (report *CheckReport, err error) {
	v, err := a.openVault(ctx, nil, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.close(ctx)) }()
	err = a.lockShared(ctx, v, nil, 0)
	switch {
	case errors.Is(err, storage.ErrDenied):
		a.Log.Warn().Msg("the repository cannot be locked with these credentials: checking without a lock")
	case err != nil:
		return nil, err
	default:
		ctx = v.lock.Context()
	}
	found, err := v.repo.Check(ctx, repository.CheckOptions{ReadData: opt.ReadData})
	if err != nil {
		return nil, err
	}
	report = &CheckReport{Repository: v.store.Reader().Location(), ReadData: opt.ReadData, OK: found.OK(), CheckReport: found}
	if !report.OK {
		return report, fmt.Errorf("%w: %d findings", ErrDamaged, len(found.Findings))
	}
	return report, nil
}

// InitReport says what init did.
type InitReport struct {
	Repository string `json:"repository"`
	ID         string `json:"id"`
	Version    uint   `json:"version"`
}

// Init creates the repository. One that exists is repository.ErrExist.
func (a *App) Init(ctx context.Context) (report *InitReport, err error) {
	store, err := a.openStore(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := store.Probe(ctx); err != nil && !errors.Is(err, storage.ErrNoBucket) {
		return nil, err
	}
	if err := repository.Init(ctx, store.Reader(), store.Writer(), a.Settings.Password, repository.InitOptions{}); err != nil {
		return nil, err
	}
	repo, err := repository.Open(ctx, store.Reader(), a.Settings.Password, repository.Options{})
	if err != nil {
		return nil, err
	}
	return &InitReport{Repository: store.Reader().Location(), ID: repo.Config().ID, Version: repo.Config().Version}, nil
}
