package sidecar

import (
	"context"
	"errors"
	"testing"

	"github.com/ripplebak/ripplebak/repository"
)

// TestF26_LockOfTheDeadKeepsNobodyOut: a prune that was killed leaves its lock.
// What comes next gets rid of it, also what needs no Docker.
func TestF26_LockOfTheDeadKeepsNobodyOut(t *testing.T) {
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true"}, "data")
	s.mustBackup()
	h := s.host()
	lockedBy := func(holder string) {
		t.Helper()
		v, err := s.app.openVault(t.Context(), nil, false)
		if err != nil {
			t.Fatal(err)
		}
		if v.lock, err = v.repo.Lock(t.Context(), v.store.Locker(), repository.LockOptions{Host: holder, Exclusive: true}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = v.close(context.WithoutCancel(t.Context())) }) // others may have removed it
	}
	for name, next := range map[string]func() error{
		"check":    func() error { _, err := s.app.Check(t.Context(), CheckOptions{}); return err },
		"ls":       func() error { return s.app.List(t.Context(), "latest", "", func(ListEntry) error { return nil }) },
		"key list": func() error { _, err := s.app.Keys(t.Context()); return err },
		"key add":  func() error { _, err := s.changeKeys(KeyOptions{Do: AddKey, NewPassword: "another"}); return err },
		"repair": func() error {
			_, err := s.app.Repair(t.Context(), RepairOptions{What: RepairIndex})
			return err
		},
		"prune": func() error { _, err := s.app.Prune(t.Context(), PruneOptions{}); return err },
	} {
		lockedBy(h.lockPrefix() + "deadbeef")
		if err := next(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n := s.count("repo", "locks"); n != 0 {
			t.Errorf("%s: %d locks are left", name, n)
		}
	}
	lockedBy("another/deadbeef") // of which our Engine knows nothing
	if _, err := s.app.Check(t.Context(), CheckOptions{}); !errors.Is(err, repository.ErrLocked) {
		t.Errorf("a lock of another host: %v, want ErrLocked", err)
	}
}

// What deletes excludes everybody else for as long as it is open.
func TestDeletingExcludesOthers(t *testing.T) {
	s := newShop(t)
	if _, err := s.app.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := s.host()
	d, err := s.app.openDeleting(t.Context(), h, h.state, 0)
	if err != nil {
		t.Fatal(err)
	}
	if d.deleter == nil {
		t.Error("it cannot delete")
	}
	v, err := s.app.openVault(t.Context(), h.state, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.app.lockShared(t.Context(), v, h, 0); !errors.Is(err, repository.ErrLocked) {
		t.Errorf("another one's lock: %v, want ErrLocked", err)
	}
	if err := d.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.app.lockShared(t.Context(), v, h, 0); err != nil {
		t.Errorf("after it was closed: %v", err)
	}
	if err := v.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.wantQuiet()
}
