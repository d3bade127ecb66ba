package sidecar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// copying is one copy while it is brought up to date.
type copying struct {
	app     *App
	host    *host
	dir     *state.Dir
	from    *vault
	target  target
	opt     CopyOptions
	wanted  []repository.StoredSnapshot // newest first
	project string
	info    CopyInfo
	// compared says that it is known what the copy lacks.
	compared bool
}

// run opens the copy, decides, and copies.
func (c *copying) run(ctx context.Context) (err error) {
	c.target.polynomial = c.from.repo.Config().ChunkerPolynomial
	v, err := c.open(ctx)
	if err != nil {
		return err
	}
	if v == nil { // a dry run, and there is nothing yet
		c.info.Create = true
		if err := c.leaveOut(ctx, nil, nil, nil); err != nil {
			return err
		}
		c.decide(nil)
		return nil
	}
	unlocked := ctx
	defer func() { err = errors.Join(err, v.close(unlocked)) }()
	c.info.Repository = v.store.Reader().Location()
	if v.repo.Config().ID == c.from.repo.Config().ID {
		return errSameRepository
	}
	if !c.opt.DryRun {
		if err := canLock(ctx, v); err != nil {
			return err
		}
		if err := c.app.takeLock(ctx, v, c.host, repository.LockOptions{Wait: c.opt.Wait}); err != nil {
			return err
		}
		ctx = v.lock.Context()
	}
	there, damaged, err := v.repo.Snapshots(ctx)
	if err != nil {
		return err
	}
	for _, d := range damaged {
		c.app.Log.Warn().Str("copy", c.info.Name).Msg(c.app.Redactor().Redact(d.Error()))
	}
	in := repository.FindCopies(there)
	if err := c.leaveOut(ctx, v, there, in); err != nil {
		return err
	}
	c.decide(in)
	if c.opt.DryRun {
		return nil
	}
	if len(c.info.Snapshots) > 0 {
		if err := v.repo.LoadIndex(ctx); err != nil {
			return err
		}
		if err := c.carryOut(ctx, v, in); err != nil {
			return err
		}
	}
	if !c.opt.retain {
		return nil
	}
	return c.retain(unlocked, v)
}

// open opens the copy's repository, and makes it where there is none; in a dry
// run it is then nil.
func (c *copying) open(ctx context.Context) (*vault, error) {
	v, err := c.app.openTarget(ctx, c.target, c.dir, !c.opt.DryRun)
	if c.opt.DryRun && errors.Is(err, repository.ErrNoRepository) {
		return nil, nil
	}
	if errors.Is(err, repository.ErrWrongPassword) {
		err = fmt.Errorf("%w: put the copy's own into %s", err, c.target.secret)
	}
	return v, err
}

// decide plans which snapshots are to be copied: those that are missing, the
// newest first, for they matter most if the copying is interrupted.
func (c *copying) decide(in repository.CopiesIn) {
	for i := range c.wanted {
		s := &c.wanted[i]
		if _, ok := in.Of(s); ok {
			c.info.Present++
			continue
		}
		cause := "the copy does not have it"
		if len(c.opt.Snapshots) > 0 {
			cause = "it was named, and the copy does not have it"
		}
		c.info.Snapshots = append(c.info.Snapshots, CopyStep{Snapshot: s.ID.String(), Time: s.Time, Cause: cause})
	}
	c.compared = true
	c.info.BehindSince = behindSince(c.wanted, func(s *repository.StoredSnapshot) bool { _, ok := in.Of(s); return ok })
}

// behindSince is the time of the oldest snapshot that is newer than all that a
// copy has, zero where it has the newest. The snapshots are newest first.
func behindSince(wanted []repository.StoredSnapshot, has func(*repository.StoredSnapshot) bool) (since time.Time) {
	for i := range wanted {
		if has(&wanted[i]) {
			return since
		}
		since = wanted[i].Time
	}
	return since
}

// carryOut copies what was decided. A snapshot that is damaged in the
// repository does not keep the others from being copied.
func (c *copying) carryOut(ctx context.Context, v *vault, in repository.CopiesIn) (err error) {
	stop, end := c.stopAt()
	defer end()
	var key string
	copier, err := repository.NewSnapshotCopier(ctx, c.from.repo, v.repo, v.store.Writer(), repository.CopyOptions{
		Writer: repository.WriterOptions{CrashPoint: c.app.Crash},
		Stop:   stop,
		Progress: func(done, _ uint64) {
			c.app.progress().Advance(key, 0, int64(done))
		},
	})
	if err != nil {
		return err
	}
	defer func() {
		stats := copier.Stats()
		c.info.Bytes, c.info.BytesStored = int64(stats.Bytes), int64(stats.BytesStored)
		err = errors.Join(err, copier.Close(context.WithoutCancel(ctx)))
	}()
	copied := map[repository.ID]bool{}
	var errs []error
	base := c.base(in)
	step := 0
	for i := range c.wanted {
		s := &c.wanted[i]
		if step == len(c.info.Snapshots) || c.info.Snapshots[step].Snapshot != s.ID.String() {
			continue
		}
		key = "copy of " + s.ID.Short() + " to " + c.info.Name
		c.app.progress().Begin(key, 0)
		id, err := copier.Copy(ctx, s, base)
		if err != nil {
			c.app.progress().End(key, "failed")
			errs = append(errs, fmt.Errorf("snapshot %s: %w", s.ID.Short(), err))
			if ctx.Err() != nil || !errors.Is(err, repository.ErrDamaged) && !errors.Is(err, repository.ErrNoBlob) {
				break
			}
			step++
			continue
		}
		c.app.progress().End(key, "copied")
		c.info.Snapshots[step].Copy = id.String()
		copied[s.ID] = true
		if c.opt.changes {
			base = s.Tree
		}
		step++
	}
	c.info.BehindSince = behindSince(c.wanted, func(s *repository.StoredSnapshot) bool {
		_, ok := in.Of(s)
		return ok || copied[s.ID]
	})
	return errors.Join(errs...)
}

// base is the tree of the newest snapshot that the copy has, from which only
// the changes are looked at after each run. Who asks for a copy by hand has
// every folder looked at, so that what a copy has lost comes back.
func (c *copying) base(in repository.CopiesIn) *repository.ID {
	if !c.opt.changes {
		return nil
	}
	for i := range c.wanted {
		if _, ok := in.Of(&c.wanted[i]); ok {
			return c.wanted[i].Tree
		}
	}
	return nil
}

// stopAt returns a channel that is closed when the time is up.
func (c *copying) stopAt() (stop <-chan struct{}, end func()) {
	if c.opt.until.IsZero() {
		return nil, func() {}
	}
	ch := make(chan struct{})
	left := c.opt.until.Sub(c.app.Now())
	if left <= 0 {
		close(ch)
		return ch, func() {}
	}
	t := time.AfterFunc(left, func() { close(ch) })
	return ch, func() { t.Stop() }
}

// remember notes how far the copy is, and says so where it is behind.
func (c *copying) remember(ctx context.Context) {
	log := c.app.Log.With().Str("copy", c.info.Name).Logger()
	for _, s := range c.info.Snapshots {
		if s.Copy != "" {
			log.Info().Str("snapshot", s.Snapshot[:8]).Str("as", s.Copy[:8]).Msg("snapshot copied")
		}
	}
	if c.opt.DryRun || c.target.name == "" || ctx.Err() != nil {
		return
	}
	// Of snapshots that were named it cannot be told whether the copy is behind.
	all := len(c.opt.Snapshots) == 0
	c.app.recordCopy(c.dir, state.CopyOf(c.target.name, c.app.oneOf), func(h *state.CopyHistory) {
		h.LastError = c.info.Error
		switch {
		case !all:
		case c.compared:
			h.Looked, h.BehindSince = c.app.Now(), c.info.BehindSince
		default: // it could not be asked
			if h.BehindSince.IsZero() {
				h.BehindSince = sinceLooked(c.wanted, h.Looked)
			}
			c.info.BehindSince = h.BehindSince
		}
	})
}

// sinceLooked is the time of the oldest snapshot that was made after a copy was
// last found to have everything.
func sinceLooked(wanted []repository.StoredSnapshot, looked time.Time) time.Time {
	return behindSince(wanted, func(s *repository.StoredSnapshot) bool { return !s.Time.After(looked) })
}

// recordCopy changes what is remembered of a copy. Without a state volume
// nothing is.
func (a *App) recordCopy(dir *state.Dir, name string, change func(*state.CopyHistory)) {
	if dir == nil {
		return
	}
	err := dir.UpdateHistory(func(h *state.History) {
		if h.Copies == nil {
			h.Copies = map[string]state.CopyHistory{}
		}
		c := h.Copies[name]
		if c.Since.IsZero() {
			c.Since = a.Now()
		}
		change(&c)
		h.Copies[name] = c
	})
	if err != nil {
		a.Log.Warn().Msg(a.Redactor().Redact(err.Error()))
	}
}

// forgetCopies forgets how far a copy was for each of several projects, because
// it is another one now.
func (a *App) forgetCopies(dir *state.Dir, name string) {
	if dir == nil || a.oneOf == "" {
		return
	}
	if err := dir.UpdateHistory(func(h *state.History) { h.ForgetCopy(name) }); err != nil {
		a.Log.Warn().Msg(a.Redactor().Redact(err.Error()))
	}
}
