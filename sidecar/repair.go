package sidecar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// RepairKind says what is repaired.
type RepairKind string

// The kinds, in the order in which they are best run.
const (
	RepairIndex     RepairKind = "index"
	RepairPacks     RepairKind = "packs"
	RepairSnapshots RepairKind = "snapshots"
)

// RepairOptions say what a repair is to do.
type RepairOptions struct {
	What RepairKind
	// ReadAllPacks reads the headers of all packs, for the index.
	ReadAllPacks bool
	// Packs are the IDs of packs to repair; none: all that are damaged, which
	// takes reading all.
	Packs []string
	// Forget removes the snapshots that were written anew, and those of which
	// nothing can be read.
	Forget bool
	// DryRun plans only.
	DryRun bool
	// Confirm is asked before anything is changed. Nil: nobody.
	Confirm func(*RepairReport) error
	// Wait is how long to wait for others' locks.
	Wait time.Duration
}

// RepairReport is what a repair will do, or did.
type RepairReport struct {
	Repository string     `json:"repository"`
	What       RepairKind `json:"what"`
	DryRun     bool       `json:"dry_run"`
	// Done says that the steps were carried out.
	Done bool `json:"done"`
	// Steps are the first thousand; StepsMore counts the others.
	Steps     []RepairStep `json:"steps"`
	StepsMore uint64       `json:"steps_more"`
	// Written are the snapshots that were written anew.
	Written []RewrittenSnapshot `json:"written"`
	// Lost is what the snapshots lack: of a repair of snapshots those that
	// are written anew, of others what a check of the structure found after
	// it was done. LostMore counts what was left out.
	Lost     []LostItem `json:"lost"`
	LostMore uint64     `json:"lost_more"`
}

// RepairStep is what happens to one file of the repository, and why.
type RepairStep struct {
	Do    string `json:"do"`
	File  string `json:"file"`
	Cause string `json:"cause"`
	Blobs int    `json:"blobs"` // of a pack: that can be read
	Lost  int    `json:"lost"`  // of a pack: that cannot, anywhere
}

// RewrittenSnapshot is a snapshot that was written anew.
type RewrittenSnapshot struct {
	Old string `json:"old"`
	New string `json:"new"`
}

const maxRepairSteps = 1000

// Repair puts right what can be, under an exclusive lock. It needs no Docker.
// Nothing that can be read is lost by it, whenever it is interrupted.
func (a *App) Repair(ctx context.Context, opt RepairOptions) (report *RepairReport, err error) {
	packs, err := parsePacks(opt.Packs)
	if err != nil {
		return nil, err
	}
	d, err := a.openDeleting(ctx, nil, nil, opt.Wait)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.close(ctx)) }()
	ctx = d.lock.Context()
	p, err := d.planRepair(ctx, opt, packs)
	if err != nil {
		return nil, err
	}
	report = &RepairReport{Repository: d.store.Reader().Location(), What: opt.What, DryRun: opt.DryRun, Steps: []RepairStep{}, Written: []RewrittenSnapshot{}}
	report.Lost, report.LostMore = lostItems(p.lost)
	for _, s := range p.steps {
		if len(report.Steps) == maxRepairSteps {
			report.StepsMore++
			continue
		}
		report.Steps = append(report.Steps, RepairStep{Do: string(s.Do), File: s.File.String(), Cause: s.Cause, Blobs: s.Blobs, Lost: s.Lost})
	}
	if opt.DryRun {
		return report, nil
	}
	if opt.Confirm != nil && p.changes() {
		if err := opt.Confirm(report); err != nil {
			return nil, err
		}
	}
	made, err := p.execute(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w; what was readable still is: run it again", err)
	}
	report.Done = true
	for before, after := range made {
		report.Written = append(report.Written, RewrittenSnapshot{Old: before.String(), New: after.String()})
	}
	a.Log.Info().Str("what", string(opt.What)).Int("steps", len(p.steps)).Msg("repaired")
	return report, a.lookAfterRepair(ctx, d.vault, report)
}

func parsePacks(names []string) (ids []repository.ID, err error) {
	for _, name := range names {
		id, err := repository.ParseID(name)
		if err != nil {
			return nil, fmt.Errorf("the pack %w: \"check --read-data\" shows the whole IDs of damaged packs", err)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// plannedRepair is a plan of any kind.
type plannedRepair struct {
	steps   []repository.RepairStep
	lost    []repository.Loss
	execute func(ctx context.Context) (map[repository.ID]repository.ID, error)
}

// changes reports whether the plan changes anything.
func (p *plannedRepair) changes() bool {
	for _, s := range p.steps {
		if s.Do != repository.RepairKeep {
			return true
		}
	}
	return false
}

func (d *deleting) planRepair(ctx context.Context, opt RepairOptions, packs []repository.ID) (*plannedRepair, error) {
	w := d.store.Writer()
	switch opt.What {
	case RepairIndex:
		p, err := d.deleter.PlanIndexRepair(ctx, opt.ReadAllPacks)
		if err != nil {
			return nil, err
		}
		return &plannedRepair{steps: p.Steps, execute: func(ctx context.Context) (map[repository.ID]repository.ID, error) {
			return nil, d.deleter.RepairIndex(ctx, w, p, repository.RepairOptions{})
		}}, nil
	case RepairPacks:
		p, err := d.deleter.PlanPackRepair(ctx, packs)
		if err != nil {
			return nil, err
		}
		return &plannedRepair{steps: p.Steps, execute: func(ctx context.Context) (map[repository.ID]repository.ID, error) {
			return nil, d.deleter.RepairPacks(ctx, w, p, repository.RepairOptions{})
		}}, nil
	case RepairSnapshots:
		p, err := d.deleter.PlanSnapshotRepair(ctx, opt.Forget)
		if err != nil {
			return nil, err
		}
		return &plannedRepair{steps: p.Steps, lost: p.Lost, execute: func(ctx context.Context) (map[repository.ID]repository.ID, error) {
			return d.deleter.RepairSnapshots(ctx, w, p, restateManifest(d.repo), repository.RepairOptions{})
		}}, nil
	}
	return nil, fmt.Errorf("there is no repair of %q", opt.What)
}

// lookAfterRepair checks the structure again, so that what is still lost is
// named and health knows.
func (a *App) lookAfterRepair(ctx context.Context, v *vault, report *RepairReport) error {
	found, err := a.checkVault(ctx, v, CheckOptions{
		part: func(packs []repository.PackInfo, times *state.PackTimes, suspects []string) []repository.PackInfo {
			return suspected(packs, suspects)
		},
	})
	if err != nil && !errors.Is(err, ErrDamaged) {
		return fmt.Errorf("the repair is done, and the check after it failed: %w", err)
	}
	if report.What != RepairSnapshots {
		report.Lost, report.LostMore = found.Lost, found.LostMore
	}
	return nil
}
