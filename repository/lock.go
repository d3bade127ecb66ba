package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/ripplebak/ripplebak/delay"
	"github.com/ripplebak/ripplebak/storage"
)

// Times of the lock protocol. Stale and refresh are restic's.
const (
	lockStale   = 30 * time.Minute
	lockRefresh = 5 * time.Minute
	// lockLost is the age of our lock file at which we must stop: others may
	// remove it from lockStale on, and clocks differ.
	lockLost = lockStale - 5*time.Minute
	// lockRetry is the pause after a refresh that failed.
	lockRetry = 30 * time.Second
	// lockSettle is the wait between creating a lock and looking for others
	// again, for one who did the same at the same moment.
	lockSettle = 200 * time.Millisecond
	// lockPoll is the pause between tries while another lock is in the way.
	lockPoll = 10 * time.Second
	// unlockTimeout bounds the removal of a lock whose owner was cancelled.
	unlockTimeout = time.Minute
)

// lockFile is the JSON of a file below locks/.
type lockFile struct {
	Time      time.Time `json:"time"`
	Exclusive bool      `json:"exclusive"`
	Hostname  string    `json:"hostname"`
	Username  string    `json:"username"`
	PID       int       `json:"pid"`
	UID       uint32    `json:"uid,omitempty"`
	GID       uint32    `json:"gid,omitempty"`
}

// LockOptions says what lock is wanted.
type LockOptions struct {
	Exclusive bool
	// Wait is how long to wait while another lock is in the way; 0 fails at
	// once.
	Wait time.Duration
	// Host is recorded in the lock: HOST/CONTAINERID, so that nobody else
	// takes our process ID for one of theirs. Empty: the machine's name.
	Host string
	// Alive tells whether the owner of a lock still runs, by the lock's host
	// name; known is false where it cannot tell. A lock whose owner is known
	// to be dead is removed at once. Nil: nobody knows.
	Alive func(host string) (alive, known bool)
	// Waiting is told once for each lock that is waited for. Nil: nobody.
	Waiting func(*LockedError)
	// Now tells the time; nil means the Repository's clock.
	Now func() time.Time
}

// Lock is a lock that we hold. It is refreshed by a goroutine that Unlock
// ends.
type Lock struct {
	r      *Repository
	locker storage.Locker
	opt    LockOptions
	ctx    context.Context
	cancel context.CancelCauseFunc
	ended  sync.WaitGroup
	// seen is when each lock of others was first seen, while we wait. Whoever
	// lives replaces its lock every few minutes; one that stays past the
	// stale limit is dead, whatever its clock says or though it is unreadable.
	seen map[ID]time.Time

	mu      sync.Mutex
	id      ID
	written time.Time // by our clock, when the present file was made
}

// Lock takes a lock. Errors: *LockedError (ErrLocked) when another is in the
// way for longer than opt.Wait; storage.ErrDenied where locks cannot be
// written, so that a restore can say so and go on without.
func (r *Repository) Lock(ctx context.Context, locker storage.Locker, opt LockOptions) (*Lock, error) {
	if opt.Now == nil {
		opt.Now = r.opt.Now
	}
	if opt.Host == "" {
		_, opt.Host = identity("-", "")
	}
	l := &Lock{r: r, locker: locker, opt: opt, seen: make(map[ID]time.Time)}
	deadline := opt.Now().Add(opt.Wait)
	told := make(map[ID]bool)
	for {
		err := l.try(ctx)
		if err == nil {
			break
		}
		var locked *LockedError
		if !errors.As(err, &locked) || !opt.Now().Before(deadline) {
			return nil, err
		}
		if opt.Waiting != nil && !told[locked.ID] {
			told[locked.ID] = true
			opt.Waiting(locked)
		}
		if err := delay.For(ctx, min(lockPoll, deadline.Sub(opt.Now()))); err != nil {
			return nil, errors.Join(err, locked)
		}
	}
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	l.ended.Go(l.refresh)
	return l, nil
}

// try looks for others, creates the lock, and after a moment looks again.
func (l *Lock) try(ctx context.Context) error {
	if err := l.conflict(ctx, ID{}); err != nil {
		return err
	}
	id, err := l.write(ctx)
	if err != nil {
		return fmt.Errorf("create lock: %w", err)
	}
	err = delay.For(ctx, lockSettle)
	if err == nil {
		err = l.conflict(ctx, id)
	}
	if err != nil {
		return errors.Join(err, l.remove(ctx, id))
	}
	l.id = id
	return nil
}

// conflict returns a *LockedError where a lock other than own excludes ours.
// Stale locks and those of the dead are removed.
func (l *Lock) conflict(ctx context.Context, own ID) error {
	var others []storage.Info
	err := l.r.store.List(ctx, storage.LockFile, func(i storage.Info) error {
		if i.Name != own.String() {
			others = append(others, i)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list locks: %w", err)
	}
	for _, i := range others {
		if err := l.examine(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// examine looks at one lock of somebody else.
func (l *Lock) examine(ctx context.Context, i storage.Info) error {
	id, err := ParseID(i.Name)
	if err != nil {
		return nil
	}
	first, ok := l.seen[id]
	if !ok {
		first = l.opt.Now()
		l.seen[id] = first
	}
	f, err := l.r.loadLock(ctx, id, i.Size)
	switch {
	case errors.Is(err, storage.ErrNotExist):
		return nil // released meanwhile
	case l.opt.Now().Sub(first) > lockStale && (err == nil || errors.Is(err, ErrDamaged)):
		return l.removeStale(ctx, id)
	case errors.Is(err, ErrDamaged):
		return fmt.Errorf("lock %s cannot be read (%w): %w", id.Short(), err, &LockedError{Host: "an unknown host", Since: first, ID: id})
	case err != nil:
		return fmt.Errorf("load lock %s: %w", id.Short(), err)
	}
	if l.dead(f) {
		return l.removeStale(ctx, id)
	}
	if f.Exclusive || l.opt.Exclusive {
		return &LockedError{Host: f.Hostname, PID: f.PID, Since: f.Time, Exclusive: f.Exclusive, ID: id}
	}
	return nil
}

func (l *Lock) removeStale(ctx context.Context, id ID) error {
	if err := l.locker.RemoveLock(ctx, id.String()); err != nil {
		return fmt.Errorf("remove the stale lock %s: %w", id.Short(), err)
	}
	return nil
}

// dead says whether a lock's owner is known to be gone, or has not refreshed
// it for so long that it must be.
func (l *Lock) dead(f *lockFile) bool {
	if l.opt.Now().Sub(f.Time) > lockStale {
		return true
	}
	if l.opt.Alive == nil {
		return false
	}
	alive, known := l.opt.Alive(f.Hostname)
	return known && !alive
}

func (r *Repository) loadLock(ctx context.Context, id ID, size int64) (*lockFile, error) {
	h := storage.Handle{Kind: storage.LockFile, Name: id.String()}
	file, err := readSized(ctx, r.store, h, size, maxLockFile)
	if err != nil {
		return nil, err
	}
	doc, err := openUnpacked(r.sealer, id, file)
	if err != nil {
		return nil, err
	}
	return decodeLock(doc)
}

func decodeLock(doc []byte) (*lockFile, error) {
	var f lockFile
	if err := json.Unmarshal(doc, &f); err != nil {
		return nil, damaged("not a lock: %w", err)
	}
	return &f, nil
}

// write stores a fresh lock file.
func (l *Lock) write(ctx context.Context) (ID, error) {
	now := l.opt.Now()
	username, _ := identity("", "-")
	doc, err := json.Marshal(lockFile{
		Time: now, Exclusive: l.opt.Exclusive, Hostname: l.opt.Host, Username: username,
		PID: os.Getpid(), UID: uint32(max(os.Getuid(), 0)), GID: uint32(max(os.Getgid(), 0)),
	})
	if err != nil {
		return ID{}, fmt.Errorf("encode lock: %w", err)
	}
	file, id, err := encodeUnpacked(l.r.sealer, l.r.config.Version, doc)
	if err != nil {
		return ID{}, err
	}
	if err := l.locker.SaveLock(ctx, id.String(), storage.NewPayload(file)); err != nil {
		return ID{}, err
	}
	l.written = wall(now)
	return id, nil
}

// remove removes one of our files, also where ctx has ended.
func (l *Lock) remove(ctx context.Context, id ID) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
	defer cancel()
	if err := l.locker.RemoveLock(ctx, id.String()); err != nil {
		return fmt.Errorf("remove our lock %s: %w", id.Short(), err)
	}
	return nil
}

// refresh renews the lock until its context ends: a new file is written, then
// the old one removed, so that there is one at any time.
func (l *Lock) refresh() {
	pause := lockRefresh
	for {
		if delay.For(l.ctx, pause) != nil {
			return
		}
		pause = lockRefresh
		if err := l.renew(); err != nil {
			if l.ctx.Err() != nil {
				return
			}
			pause = lockRetry
			if l.age() >= lockLost {
				l.cancel(fmt.Errorf("%w: it could not be refreshed since %s: %w",
					ErrLockLost, l.writtenAt().Format(time.RFC3339), err))
				return
			}
		}
	}
}

// renew is one refresh. A machine that slept past the stale limit has lost its
// lock: another may have worked under an exclusive one since.
func (l *Lock) renew() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if age := wall(l.opt.Now()).Sub(l.written); age > lockStale {
		l.cancel(fmt.Errorf("%w: this machine stood still for %s", ErrLockLost, age.Round(time.Second)))
		return ErrLockLost
	}
	// A refresh that takes longer than this is as good as failed.
	ctx, cancel := context.WithTimeout(l.ctx, lockRefresh)
	defer cancel()
	old := l.id
	_, err := l.r.store.Stat(ctx, storage.Handle{Kind: storage.LockFile, Name: old.String()})
	if errors.Is(err, storage.ErrNotExist) {
		// Somebody broke it, and may be deleting what we rely on.
		l.cancel(fmt.Errorf("%w: somebody removed its file %s", ErrLockLost, old.Short()))
		return ErrLockLost
	}
	if err != nil {
		return err
	}
	id, err := l.write(ctx)
	if err != nil {
		return err
	}
	l.id = id
	// The new file holds the lock; an old one that stays gets stale.
	if err := l.locker.RemoveLock(ctx, old.String()); err != nil && l.r.opt.Warn != nil {
		l.r.opt.Warn(fmt.Errorf("remove the lock %s that was replaced: %w", old.Short(), err))
	}
	return nil
}

// wall is a time by the clock on the wall only. The other clock, by which times
// of one process are subtracted, stands still while a machine sleeps; and the
// locks that others look at do not.
func wall(t time.Time) time.Time { return t.Round(0) }

// age is how old our lock file is, as others see it.
func (l *Lock) age() time.Duration { return wall(l.opt.Now()).Sub(l.writtenAt()) }

func (l *Lock) writtenAt() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.written
}

// Context ends with the one given to Lock, when the lock is released, or with
// ErrLockLost as its cause when it could not be refreshed.
func (l *Lock) Context() context.Context { return l.ctx }

// Unlock releases the lock, also when ctx has ended. It may be called twice.
func (l *Lock) Unlock(ctx context.Context) error {
	l.cancel(context.Canceled)
	l.ended.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.id.IsZero() {
		return nil
	}
	err := l.remove(ctx, l.id)
	if err == nil {
		l.id = ID{}
	}
	return err
}
