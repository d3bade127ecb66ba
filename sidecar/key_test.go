package sidecar

import (
	"errors"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/repository"
)

func (s *shop) changeKeys(opt KeyOptions) (*KeyReport, error) {
	s.t.Helper()
	return s.app.ChangeKeys(s.t.Context(), opt)
}

func (s *shop) keys() []KeyInfo {
	s.t.Helper()
	list, err := s.app.Keys(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

func TestPasswordIsChanged(t *testing.T) {
	s := newShop(t)
	if _, err := s.app.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	packs := s.files(s.path("repo", "data"))
	opt := KeyOptions{Do: ChangePassword, NewPassword: "battery staple", DryRun: true}
	report, err := s.changeKeys(opt)
	if err != nil || len(report.Steps) != 2 || report.Steps[0].Do != AddKey || report.Steps[1].Do != RemoveKey || report.Steps[1].Done {
		t.Fatalf("dry run: %+v, %v", report, err)
	}
	if len(s.keys()) != 1 {
		t.Error("a dry run changed keys")
	}
	// What a change that was killed leaves behind, and a second key of the old password.
	for _, password := range []string{"battery staple", "correct horse", "third"} {
		if _, err := s.changeKeys(KeyOptions{Do: AddKey, NewPassword: password}); err != nil {
			t.Fatal(err)
		}
	}
	opt.DryRun = false
	report, err = s.changeKeys(opt)
	if err != nil || len(report.Steps) != 2 || report.Steps[0].Do != RemoveKey || !report.Steps[0].Done || !report.Steps[1].Done {
		t.Fatalf("%+v, %v", report, err)
	}
	if _, err := s.app.Keys(t.Context()); !errors.Is(err, repository.ErrWrongPassword) {
		t.Errorf("the old password: %v", err)
	}
	s.app.Settings.Password = "battery staple"
	if list := s.keys(); len(list) != 2 {
		t.Errorf("keys: %+v", list)
	}
	if got := s.files(s.path("repo", "data")); len(got) != len(packs) {
		t.Error("data was written")
	}
	if _, err := s.changeKeys(opt); err == nil || !strings.Contains(err.Error(), "is the old one") {
		t.Errorf("the same password again: %v", err)
	}
	s.wantQuiet()
}

func TestKeyIsRemovedUnlessItIsNeeded(t *testing.T) {
	s := newShop(t)
	if _, err := s.app.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	own := s.keys()[0].ID
	if _, err := s.changeKeys(KeyOptions{Do: AddKey, NewPassword: "battery staple", User: "me", Host: "here"}); err != nil {
		t.Fatal(err)
	}
	for _, dry := range []bool{true, false} {
		if _, err := s.changeKeys(KeyOptions{Do: RemoveKey, Key: own[:10], DryRun: dry}); !errors.Is(err, repository.ErrNoKeyLeft) {
			t.Errorf("the key in use: %v", err)
		}
	}
	if _, err := s.changeKeys(KeyOptions{Do: RemoveKey, Key: "zz"}); !errors.Is(err, repository.ErrNoKey) {
		t.Errorf("no such key: %v", err)
	}
	other := s.keys()[1]
	if other.User != "me" || other.Host != "here" || other.Current {
		t.Errorf("the new key: %+v", other)
	}
	no := func(*KeyReport) error { return ErrDeclined }
	if _, err := s.changeKeys(KeyOptions{Do: RemoveKey, Key: other.ID, Confirm: no}); !errors.Is(err, ErrDeclined) || len(s.keys()) != 2 {
		t.Errorf("not confirmed: %v", err)
	}
	if _, err := s.changeKeys(KeyOptions{Do: RemoveKey, Key: other.ID}); err != nil || len(s.keys()) != 1 {
		t.Errorf("removed: %v", err)
	}
	s.wantQuiet()
}

// TestKeysWaitForLocks: adding goes on beside a backup, removing does not.
func TestKeysWaitForLocks(t *testing.T) {
	s := newShop(t)
	if _, err := s.app.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	v, err := s.app.openVault(t.Context(), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.app.lockShared(t.Context(), v, nil, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.changeKeys(KeyOptions{Do: AddKey, NewPassword: "battery staple"}); err != nil {
		t.Errorf("add: %v", err)
	}
	if _, err := s.changeKeys(KeyOptions{Do: ChangePassword, NewPassword: "other"}); !errors.Is(err, repository.ErrLocked) {
		t.Errorf("passwd: %v", err)
	}
	if err := v.close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
