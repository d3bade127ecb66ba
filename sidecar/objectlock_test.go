package sidecar

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// lockedStore is a storage in memory whose files are locked when they are
// saved, until the time that a test sets.
type lockedStore struct {
	storage.Store
	mu    sync.Mutex
	until map[storage.Handle]time.Time
	fails error
}

func (s *lockedStore) Retainer() storage.Retainer { return s }
func (s *lockedStore) Days() int                  { return 30 }

func (s *lockedStore) Retained(_ context.Context, h storage.Handle) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	until, ok := s.until[h]
	if !ok {
		return until, storage.ErrNotExist
	}
	return until, nil
}

func (s *lockedStore) Extend(ctx context.Context, h storage.Handle, least, until time.Time) (bool, error) {
	now, err := s.Retained(ctx, h)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || s.fails != nil {
		return false, errors.Join(err, s.fails)
	}
	if h.Kind == storage.LockFile {
		return false, storage.ErrWrongKind
	}
	if !now.Before(least) {
		return false, nil
	}
	s.until[h] = until
	return true, nil
}

func TestLocksOfWhatIsInUseAreExtended(t *testing.T) {
	now := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	day := func(n int) time.Time { return now.Add(time.Duration(n) * 24 * time.Hour) }
	s := &lockedStore{Store: storagetest.NewMemory(), until: map[storage.Handle]time.Time{}}
	want := map[storage.Handle]time.Time{}
	put := func(k storage.Kind, text string, locked, after int) storage.Handle {
		h := storagetest.Put(t, s, k, []byte(text))
		s.until[h], want[h] = day(locked), day(after)
		return h
	}
	for _, k := range []storage.Kind{storage.KeyFile, storage.SnapshotFile, storage.IndexFile, storage.PackFile} {
		put(k, "about to end", 2, 30)
		put(k, "ended", -3, 30)
		put(k, "just under half", 14, 30)
		put(k, "half", 15, 15)
		put(k, "longer than ours", 99, 99)
	}
	put(storage.ConfigFile, "config", 1, 30)
	put(storage.LockFile, "lock", 0, 0)
	gone := storagetest.HandleFor(storage.PackFile, []byte("removed long ago"))
	s.until[gone], want[gone] = day(1), day(1)
	unknown := storagetest.Put(t, s, storage.PackFile, []byte("removed meanwhile"))

	a := &App{Now: func() time.Time { return now }}
	done, err := a.extendLocks(t.Context(), &vault{store: s})
	if err != nil || done.Extended != 13 || done.Files != 21 || !done.Until.Equal(day(30)) {
		t.Errorf("%+v, %v; want 13 of 21 until %s", done, err, day(30))
	}
	for h, until := range want {
		if !s.until[h].Equal(until) {
			t.Errorf("%s is locked until %s, want %s", h, s.until[h], until)
		}
	}
	if done, err = a.extendLocks(t.Context(), &vault{store: s}); err != nil || done.Extended != 0 {
		t.Errorf("a second time: %+v, %v", done, err)
	}

	files := map[storage.Handle]int64{gone: 5, unknown: 7, storagetest.HandleFor(storage.PackFile, []byte("half")): 11,
		storagetest.HandleFor(storage.LockFile, []byte("lock")): 13}
	found, err := stillLocked(t.Context(), s, now, files)
	if err != nil || found.files != 2 || found.bytes != 16 || !found.until.Equal(day(15)) {
		t.Errorf("still locked: %+v, %v", found, err)
	}

	s.fails = storage.ErrDenied
	if _, err := a.extendLocks(t.Context(), &vault{store: s}); !errors.Is(err, storage.ErrDenied) {
		t.Errorf("refused: %v", err)
	}
	if done, err := a.extendLocks(t.Context(), &vault{store: storagetest.NewMemory()}); err != nil || done.Files != 0 {
		t.Errorf("a storage without locks: %+v, %v", done, err)
	}
}

// With RIPPLEBAK_APPEND_ONLY nothing that deletes can be had, and nothing is
// locked by the attempt; a backup's own locks still go.
func TestAppendOnlyDeletesNothing(t *testing.T) {
	s := newShop(t)
	s.app.Settings.AppendOnly = true
	if _, err := s.app.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := s.host()
	before := len(s.files(s.path("repo", "locks")))
	if _, err := s.app.openDeleting(t.Context(), h, h.state, 0); !errors.Is(err, ErrAppendOnly) {
		t.Errorf("%v, want ErrAppendOnly", err)
	}
	v, err := s.app.openVault(t.Context(), h.state, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := v.store.(storage.Store); ok {
		t.Error("the vault's storage can remove")
	}
	if _, err := s.app.lockForDeleting(t.Context(), v, h, 0); !errors.Is(err, ErrAppendOnly) {
		t.Errorf("%v, want ErrAppendOnly", err)
	}
	if got := len(s.files(s.path("repo", "locks"))); got != before {
		t.Errorf("%d locks, %d before", got, before)
	}
	if err := s.app.lockShared(t.Context(), v, h, 0); err != nil {
		t.Fatal(err)
	}
	if err := v.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.files(s.path("repo", "locks")); len(got) != before {
		t.Errorf("locks left: %v", got)
	}
	s.wantQuiet()
}
