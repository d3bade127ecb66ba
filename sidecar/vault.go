package sidecar

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/state"
	"github.com/ripplebak/ripplebak/storage"
)

// vault is the opened repository with the storage that it lies in. It hands
// out what can read, write and lock; what can delete is never asked for.
type vault struct {
	target target
	store  storage.AppendStore
	repo   *repository.Repository
	lock   *repository.Lock
	// requests counts what is asked of the storage.
	requests *storage.Requests
}

func (v *vault) close(ctx context.Context) error {
	var err error
	if v.lock != nil {
		err = v.lock.Unlock(context.WithoutCancel(ctx))
	}
	return errors.Join(err, v.store.Close())
}

// openStore reaches the storage of the repository that backups go to. What it
// is asked is counted, unless requests is nil.
func (a *App) openStore(ctx context.Context, requests *storage.Requests) (storage.AppendStore, error) {
	return a.openStorage(ctx, a.primary(), requests)
}

// transferLimits are the process's own, over all storages that it opens.
func (a *App) transferLimits() *storage.Limits {
	if a.whole != nil {
		return a.whole.transferLimits()
	}
	a.limitsOnce.Do(func() { a.limits = storage.NewLimits(a.Settings.UploadLimit, a.Settings.DownloadLimit) })
	return a.limits
}

// openVault opens the repository, or the copy that From names. With create it
// is made where there is none, unless this sidecar has seen one at this place
// before.
func (a *App) openVault(ctx context.Context, dir *state.Dir, create bool) (*vault, error) {
	t, err := a.source()
	if err != nil {
		return nil, err
	}
	return a.openTarget(ctx, t, dir, create)
}

// openTarget is openVault for any target.
func (a *App) openTarget(ctx context.Context, t target, dir *state.Dir, create bool) (*vault, error) {
	v := &vault{target: t, requests: &storage.Requests{}}
	store, err := a.openStorage(ctx, t, v.requests)
	if err != nil {
		return nil, err
	}
	v.store = store
	if err := a.openRepository(ctx, v, dir, create); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return v, nil
}

func (a *App) openRepository(ctx context.Context, v *vault, dir *state.Dir, create bool) error {
	opt := repository.Options{
		Now:  a.Now,
		Keys: a.keyring(),
		Warn: func(err error) { a.Log.Warn().Msg(a.Redactor().Redact(err.Error())) },
	}
	if dir != nil && a.Settings.CacheSize > 0 {
		opt.CacheDir, opt.CacheSize = dir.CacheDir(), a.Settings.CacheSize
	}
	err := a.unlockRepository(ctx, v, opt)
	absent := errors.Is(err, storage.ErrNoBucket) || errors.Is(err, repository.ErrNoRepository)
	switch {
	case err != nil && !absent:
		return err
	case err == nil:
		return a.remember(dir, v)
	case !create:
		if errors.Is(err, repository.ErrNoRepository) {
			return err
		}
		return fmt.Errorf("%w: %w", repository.ErrNoRepository, err)
	}
	if err := errors.Join(a.mayCreate(dir, v), lockHasMeaning(v)); err != nil {
		return err
	}
	if err := v.store.Writer().Provision(ctx); err != nil {
		return err
	}
	err = repository.Init(ctx, v.store.Reader(), v.store.Writer(), v.target.password, repository.InitOptions{KDF: a.kdf, Polynomial: v.target.polynomial})
	if err != nil && !errors.Is(err, repository.ErrExist) {
		return err
	}
	if v.repo, err = repository.Open(ctx, v.store.Reader(), v.target.password, opt); err != nil {
		return err
	}
	a.Log.Info().Str("repository", v.store.Reader().Location()).Str("id", v.repo.Config().ID).Msg("repository created")
	return a.remember(dir, v)
}

// unlockRepository opens a repository that is there. What is wrong with the
// storage is found out by that: a probe before would be one request more in
// each run. Once something is wrong the probe says it better, or that it has
// passed; then it is tried again, and as often as it takes.
func (a *App) unlockRepository(ctx context.Context, v *vault, opt repository.Options) (err error) {
	v.repo, err = repository.Open(storage.Impatient(ctx), v.store.Reader(), v.target.password, opt)
	if err == nil || errors.Is(err, repository.ErrWrongPassword) || errors.Is(err, repository.ErrDamaged) {
		return err
	}
	if perr := v.store.Probe(ctx); perr != nil {
		return perr
	}
	if storage.Retryable(err) {
		v.repo, err = repository.Open(ctx, v.store.Reader(), v.target.password, opt)
	}
	return err
}

// mayCreate refuses to make a new repository where one has been before.
func (a *App) mayCreate(dir *state.Dir, v *vault) error {
	if dir == nil || v.target.renew {
		return nil
	}
	h, err := dir.History()
	place := v.store.Reader().Location()
	seen, anew := state.Seen{Repository: h.Repository, Location: h.Location}, "init"
	if v.target.name != "" {
		seen, anew = h.Copies[v.target.name].Seen, "copy --init"
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w at %s, and whether there was one is not known (%w): bring it back, or if there never was one, run %q", repository.ErrNoRepository, place, err, anew)
	case h.Lost:
		return fmt.Errorf("%w at %s, and whether there was one is not known, because the record of it was damaged (it is kept as %s in the state volume): bring it back, or if there never was one, run %q",
			repository.ErrNoRepository, place, state.DamagedHistory, anew)
	case seen.Repository != "" && seen.Location == place:
		return fmt.Errorf("%w: %s held repository %.8s when this sidecar last used it; bring it back, or if it is to be abandoned, run %q", ErrRepositoryGone, place, seen.Repository, anew)
	}
	return nil
}

// at is the state directory for who only reads what past runs left.
func (a *App) at() *state.Dir { return state.At(a.Settings.StateDir).Of(a.oneOf) }

// stateDir is the state directory where there is one already, for commands
// that can do without.
func (a *App) stateDir() *state.Dir {
	if info, err := os.Stat(a.Settings.StateDir); err != nil || !info.IsDir() {
		return nil
	}
	dir, err := state.Open(a.Settings.StateDir)
	if err != nil {
		a.Log.Debug().Msg(err.Error())
		return nil
	}
	return dir.Of(a.oneOf)
}

func (a *App) remember(dir *state.Dir, v *vault) error {
	if dir == nil {
		return nil
	}
	id, place := v.repo.Config().ID, v.store.Reader().Location()
	h, err := dir.History()
	if name := v.target.name; name != "" {
		if seen := (state.Seen{Repository: id, Location: place}); err != nil || h.Copies[name].Seen != seen {
			a.recordCopy(dir, name, func(c *state.CopyHistory) { *c = state.CopyHistory{Seen: seen} })
			a.forgetCopies(dir, name)
		}
		return nil
	}
	if err == nil && h.Repository == id && h.Location == place {
		return nil
	}
	err = a.updateHistory(dir, func(h *state.History) { h.Repository, h.Location, h.Lost = id, place, false })
	if err != nil {
		a.Log.Warn().Err(err).Msg("state volume cannot be written")
	}
	return nil
}

// lockShared takes the shared lock, waiting for an exclusive one at most as
// long as given.
func (a *App) lockShared(ctx context.Context, v *vault, h *host, wait time.Duration) error {
	return a.takeLock(ctx, v, h, repository.LockOptions{Wait: wait})
}

// takeLock takes a lock in our name. What needs no Docker, and has no h, asks an
// Engine all the same whether the owner of a lock in its way is dead.
func (a *App) takeLock(ctx context.Context, v *vault, h *host, opt repository.LockOptions) error {
	opt.Host, opt.Now = a.lockHost(h), a.Now
	if h != nil {
		opt.Alive = a.lockAlive(ctx, h)
	} else {
		alive, done := a.knownAlive(ctx)
		defer done()
		opt.Alive = alive
	}
	lock, err := v.repo.Lock(ctx, v.store.Locker(), opt)
	if err != nil {
		return err
	}
	v.lock = lock
	return nil
}

// lockHost names us in a lock so that nobody on another host, or in another
// container, takes our process ID for one of its own.
func (a *App) lockHost(h *host) string {
	if h == nil {
		name, err := os.Hostname()
		if err != nil {
			name = "unknown"
		}
		return name + "/bare"
	}
	if h.self == nil {
		return h.name + "/bare"
	}
	return h.lockPrefix() + h.self.ID
}

// lockPrefix is what locks of this Engine's containers begin with. Hosts share
// names, and on another one of the same name our containers do not exist: so
// the Engine's own identity is part of it.
func (h *host) lockPrefix() string {
	sum := sha256.Sum256([]byte(h.info.ID))
	return h.info.Name + "~" + hex.EncodeToString(sum[:4]) + "/"
}

// lockAlive says whether the container that a lock names still runs, where our
// Engine can know.
func (a *App) lockAlive(ctx context.Context, h *host) func(string) (alive, known bool) {
	return func(holder string) (alive, known bool) {
		id, ours := strings.CutPrefix(holder, h.lockPrefix())
		if !ours || id == "" {
			return false, false
		}
		return h.containerRuns(ctx, id)
	}
}
