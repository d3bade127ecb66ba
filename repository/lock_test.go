package repository

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

func locks(s *storagetest.Memory) int { return len(s.Handles(storage.LockFile)) }

// bubble runs a test under a clock of its own, with a repository and a store
// that may be told to fail.
func bubble(t *testing.T, fn func(t *testing.T, r *Repository, f *storagetest.Faulty, mem *storagetest.Memory)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		mem := storagetest.NewMemory()
		testInit(t, mem, InitOptions{})
		f := storagetest.NewFaulty(t, mem)
		fn(t, testOpen(t, f, Options{}), f, mem)
	})
}

func mustLock(t *testing.T, r *Repository, s storage.Store, opt LockOptions) *Lock {
	t.Helper()
	l, err := r.Lock(t.Context(), s.Locker(), opt)
	if err != nil {
		t.Fatalf("lock: %v", err)
	}
	return l
}

func mustUnlock(t *testing.T, l *Lock) {
	t.Helper()
	if err := l.Unlock(t.Context()); err != nil {
		t.Errorf("unlock: %v", err)
	}
}

func TestLockRules(t *testing.T) {
	bubble(t, func(t *testing.T, r *Repository, f *storagetest.Faulty, mem *storagetest.Memory) {
		a := mustLock(t, r, f, LockOptions{Host: "one/aaa"})
		b := mustLock(t, r, f, LockOptions{Host: "two/bbb"})
		_, err := r.Lock(t.Context(), f.Locker(), LockOptions{Exclusive: true})
		var locked *LockedError
		if !errors.Is(err, ErrLocked) || !errors.As(err, &locked) || locked.PID == 0 || locked.Exclusive ||
			(locked.Host != "one/aaa" && locked.Host != "two/bbb") || time.Since(locked.Since) > time.Minute {
			t.Errorf("exclusive beside shared: %v", err)
		}
		if locks(mem) != 2 {
			t.Errorf("%d locks", locks(mem))
		}
		mustUnlock(t, a)
		mustUnlock(t, b)
		mustUnlock(t, b)
		x := mustLock(t, r, f, LockOptions{Exclusive: true, Host: "three"})
		if _, err := r.Lock(t.Context(), f.Locker(), LockOptions{}); !errors.As(err, &locked) || !locked.Exclusive || locked.Host != "three" {
			t.Errorf("shared beside exclusive: %v", err)
		}
		mustUnlock(t, x)
		if locks(mem) != 0 {
			t.Errorf("%d locks are left", locks(mem))
		}
		if err := x.Context().Err(); err == nil {
			t.Error("the context outlived the lock")
		}
	})
}

// TestLockWait: who waits gets the lock when it is free, and is told once whom
// it waits for.
func TestLockWait(t *testing.T) {
	bubble(t, func(t *testing.T, r *Repository, f *storagetest.Faulty, mem *storagetest.Memory) {
		x := mustLock(t, r, f, LockOptions{Exclusive: true})
		var told []*LockedError
		got := make(chan error)
		go func() {
			l, err := r.Lock(t.Context(), f.Locker(), LockOptions{Wait: 3 * time.Minute, Waiting: func(e *LockedError) { told = append(told, e) }})
			if err == nil {
				err = l.Unlock(t.Context())
			}
			got <- err
		}()
		time.Sleep(2 * time.Minute)
		mustUnlock(t, x)
		if err := <-got; err != nil || len(told) != 1 {
			t.Errorf("waiting: %v, told %d times", err, len(told))
		}
		y := mustLock(t, r, f, LockOptions{Exclusive: true})
		defer mustUnlock(t, y)
		start := time.Now()
		if _, err := r.Lock(t.Context(), f.Locker(), LockOptions{Wait: 45 * time.Minute}); !errors.Is(err, ErrLocked) {
			t.Errorf("waited out: %v", err)
		}
		if took := time.Since(start); took < 45*time.Minute || took > 46*time.Minute {
			t.Errorf("it took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := r.Lock(ctx, f.Locker(), LockOptions{Wait: time.Hour}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cancelled: %v", err)
		}
		if locks(mem) != 1 {
			t.Errorf("%d locks", locks(mem))
		}
	})
}

// TestLockRace: of two that take an exclusive lock at once, at most one gets
// it, and whoever lost leaves nothing behind.
func TestLockRace(t *testing.T) {
	bubble(t, func(t *testing.T, r *Repository, f *storagetest.Faulty, mem *storagetest.Memory) {
		var mu sync.Mutex
		var won []*Lock
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				l, err := r.Lock(t.Context(), f.Locker(), LockOptions{Exclusive: true})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won = append(won, l)
				} else if !errors.Is(err, ErrLocked) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(won) > 1 || locks(mem) != len(won) {
			t.Errorf("%d won, %d lock files", len(won), locks(mem))
		}
		for _, l := range won {
			mustUnlock(t, l)
		}
	})
}

// TestLockRefresh: the file is renewed, and there is one at any time.
func TestLockRefresh(t *testing.T) {
	bubble(t, func(t *testing.T, r *Repository, f *storagetest.Faulty, mem *storagetest.Memory) {
		l := mustLock(t, r, f, LockOptions{})
		before := mem.Handles(storage.LockFile)[0]
		for range 30 {
			time.Sleep(4 * time.Minute)
			if locks(mem) != 1 {
				t.Fatalf("%d locks", locks(mem))
			}
		}
		if mem.Handles(storage.LockFile)[0] == before {
			t.Error("the lock was not renewed")
		}
		if _, err := r.Lock(t.Context(), f.Locker(), LockOptions{Exclusive: true}); !errors.Is(err, ErrLocked) {
			t.Errorf("after two hours: %v", err)
		}
		if l.Context().Err() != nil {
			t.Errorf("lost: %v", context.Cause(l.Context()))
		}
		mustUnlock(t, l)
	})
}

// TestLockLost: a storage that takes no refresh for too long ends the context
// before others may take the lock for stale.
func TestLockLost(t *testing.T) {
	bubble(t, func(t *testing.T, r *Repository, f *storagetest.Faulty, mem *storagetest.Memory) {
		l := mustLock(t, r, f, LockOptions{})
		outage := f.Arm(storagetest.Fault{Op: storagetest.OpSave, Kind: storage.LockFile, Times: 3})
		time.Sleep(20 * time.Minute)
		if outage.Hits() != 3 || l.Context().Err() != nil {
			t.Errorf("a short outage: %d hits, %v", outage.Hits(), context.Cause(l.Context()))
		}
		start := time.Now()
		f.Arm(storagetest.Fault{Op: storagetest.OpSave, Kind: storage.LockFile, Times: -1})
		<-l.Context().Done()
		if err := context.Cause(l.Context()); !errors.Is(err, ErrLockLost) || !errors.Is(err, storagetest.ErrInjected) {
			t.Errorf("cause: %v", err)
		}
		if took := time.Since(start); took > lockStale || took < lockRefresh {
			t.Errorf("lost after %v", took)
		}
		mustUnlock(t, l)
	})
}

// TestLockBroken: whoever removes our lock stops us.
func TestLockBroken(t *testing.T) {
	bubble(t, func(t *testing.T, r *Repository, f *storagetest.Faulty, mem *storagetest.Memory) {
		l := mustLock(t, r, f, LockOptions{})
		mem.Delete(mem.Handles(storage.LockFile)[0])
		<-l.Context().Done()
		if err := context.Cause(l.Context()); !errors.Is(err, ErrLockLost) {
			t.Errorf("cause: %v", err)
		}
		mustUnlock(t, l)
	})
}

// putLock plants a lock of somebody else.
func putLock(t *testing.T, r *Repository, mem *storagetest.Memory, f lockFile) {
	t.Helper()
	doc, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	file, id, err := encodeUnpacked(r.sealer, 2, doc)
	if err != nil {
		t.Fatal(err)
	}
	mem.Put(storage.Handle{Kind: storage.LockFile, Name: id.String()}, file)
}

func TestLockOfTheDead(t *testing.T) {
	bubble(t, func(t *testing.T, r *Repository, f *storagetest.Faulty, mem *storagetest.Memory) {
		putLock(t, r, mem, lockFile{Time: time.Now().Add(-31 * time.Minute), Exclusive: true, Hostname: "old"})
		mustUnlock(t, mustLock(t, r, f, LockOptions{}))

		putLock(t, r, mem, lockFile{Time: time.Now().Add(-29 * time.Minute), Exclusive: true, Hostname: "h/dead"})
		for _, alive := range []func(string) (bool, bool){
			nil, func(string) (bool, bool) { return true, true }, func(string) (bool, bool) { return false, false },
		} {
			if _, err := r.Lock(t.Context(), f.Locker(), LockOptions{Alive: alive}); !errors.Is(err, ErrLocked) {
				t.Errorf("not known to be dead: %v", err)
			}
		}
		mustUnlock(t, mustLock(t, r, f, LockOptions{Alive: func(host string) (bool, bool) { return false, host == "h/dead" }}))
		if locks(mem) != 0 {
			t.Errorf("%d locks are left", locks(mem))
		}
		// A clock that is a year ahead, and a lock that nobody can read: they
		// hold only until they were seen unchanged for longer than the living
		// leave theirs.
		putLock(t, r, mem, lockFile{Time: time.Now().AddDate(1, 0, 0), Exclusive: true, Hostname: "future"})
		mem.Put(storage.Handle{Kind: storage.LockFile, Name: ID{1}.String()}, []byte("no lock"))
		if _, err := r.Lock(t.Context(), f.Locker(), LockOptions{Wait: 20 * time.Minute}); !errors.Is(err, ErrLocked) {
			t.Errorf("too early: %v", err)
		}
		mustUnlock(t, mustLock(t, r, f, LockOptions{Wait: 45 * time.Minute}))
	})
}

// TestF34_LockDenied: where no lock can be written, the error says so, and a
// restore goes on without.
func TestF34_LockDenied(t *testing.T) {
	bubble(t, func(t *testing.T, r *Repository, f *storagetest.Faulty, _ *storagetest.Memory) {
		f.Arm(storagetest.Fault{Op: storagetest.OpSave, Kind: storage.LockFile, Err: storage.ErrDenied})
		if _, err := r.Lock(t.Context(), f.Locker(), LockOptions{}); !errors.Is(err, storage.ErrDenied) {
			t.Errorf("lock: %v", err)
		}
	})
}

// TestLockWithRestic: stock restic respects our locks.
func TestLockWithRestic(t *testing.T) {
	restic := tryRestic(t)
	s, dir := testLocal(t)
	testInit(t, s, InitOptions{})
	r := testOpen(t, s, Options{})
	backup(t, r, s.Writer(), map[string][]byte{"a": []byte("a")})
	l := mustLock(t, r, s, LockOptions{Exclusive: true, Host: "host/container"})
	if out, err := restic(dir, "check"); err == nil {
		t.Errorf("restic went on beside an exclusive lock:\n%s", out)
	}
	mustUnlock(t, l)
	if out, err := restic(dir, "check"); err != nil {
		t.Errorf("restic: %v\n%s", err, out)
	}
}
