package sidecar

import (
	"errors"
	"testing"

	"github.com/ripplebak/ripplebak/repository"
)

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
