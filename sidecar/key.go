package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/repository"
)

// KeyInfo is one key of the repository as it is listed.
type KeyInfo struct {
	ID      string    `json:"id"`
	ShortID string    `json:"short_id"`
	Created time.Time `json:"created,omitzero"`
	User    string    `json:"user"`
	Host    string    `json:"host"`
	// Current says that RIPPLEBAK_PASSWORD opened this one.
	Current bool `json:"current"`
	// Damage is why the key cannot be used.
	Damage string `json:"damage,omitempty"`
}

// KeyAction is what is done to a key.
type KeyAction string

// What can be done to a key.
const (
	AddKey    KeyAction = "add"
	RemoveKey KeyAction = "remove"
	// ChangePassword adds a key and removes those of the old password.
	ChangePassword KeyAction = "passwd"
)

// KeyOptions say how the repository's keys are to be changed.
type KeyOptions struct {
	Do KeyAction
	// Key is the beginning of the ID of the key to remove.
	Key string
	// NewPassword is that of the key to add.
	NewPassword string
	// User and Host are recorded in the key; empty: the process's own.
	User, Host string
	// DryRun prints what would be done and ends.
	DryRun bool
	// Wait is how long to wait for the repository's lock.
	Wait time.Duration
	// Confirm is shown what will be done, and asked, before it is.
	Confirm func(*KeyReport) error
}

// KeyStep is one step of a change of keys.
type KeyStep struct {
	Do KeyAction `json:"do"`
	// Key is the key's ID; empty for one that is yet to be made.
	Key   string `json:"key,omitempty"`
	Cause string `json:"cause"`
	Done  bool   `json:"done"`
}

// KeyReport says what was done, or would be, in this order.
type KeyReport struct {
	Repository string    `json:"repository"`
	DryRun     bool      `json:"dry_run"`
	Steps      []KeyStep `json:"steps"`
}

// Keys lists the keys, the oldest first. It needs no Docker.
func (a *App) Keys(ctx context.Context) (out []KeyInfo, err error) {
	v, err := a.openVault(ctx, nil, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.close(ctx)) }()
	if ctx, err = a.lockForRestore(ctx, v, nil, 0); err != nil {
		return nil, err
	}
	keys, err := v.repo.Keys(ctx)
	if err != nil {
		return nil, err
	}
	out = []KeyInfo{}
	for _, k := range keys {
		info := KeyInfo{ID: k.ID.String(), ShortID: k.ID.Short(), Created: k.Created, User: k.Username, Host: k.Hostname, Current: k.Current}
		if k.Damage != nil {
			info.Damage = k.Damage.Error()
		}
		out = append(out, info)
	}
	return out, nil
}

// ChangeKeys adds or removes a key, or changes the password. The data is not
// written anew. At each moment a key that is proven opens the repository: a new
// one is read back before an old one goes. Errors: repository.ErrNoKeyLeft,
// ErrNoKey and ErrAmbiguous, ErrDeclined. It needs no Docker.
func (a *App) ChangeKeys(ctx context.Context, opt KeyOptions) (report *KeyReport, err error) {
	a.Redactor().Add(opt.NewPassword)
	if opt.Do == AddKey {
		v, err := a.openVault(ctx, nil, false)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, v.close(ctx)) }()
		if err := a.lockShared(ctx, v, nil, opt.Wait); err != nil {
			return nil, err
		}
		return a.changeKeys(v.lock.Context(), v, nil, opt)
	}
	d, err := a.openDeleting(ctx, nil, nil, opt.Wait)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.close(ctx)) }()
	return a.changeKeys(d.lock.Context(), d.vault, d.deleter, opt)
}

// changeKeys decides, asks, and acts. Without a deleter keys can only be added.
func (a *App) changeKeys(ctx context.Context, v *vault, del *repository.Deleter, opt KeyOptions) (*KeyReport, error) {
	steps, err := a.keySteps(ctx, v, opt)
	if err != nil {
		return nil, err
	}
	report := &KeyReport{Repository: v.store.Reader().Location(), DryRun: opt.DryRun, Steps: steps}
	if opt.DryRun {
		return report, nil
	}
	if opt.Confirm != nil {
		if err := opt.Confirm(report); err != nil {
			return nil, err
		}
	}
	// What a removal has to leave behind.
	password := v.target.password
	if opt.Do == ChangePassword {
		password = opt.NewPassword
	}
	for i := range report.Steps {
		s := &report.Steps[i]
		switch s.Do {
		case AddKey:
			id, err := v.repo.AddKey(ctx, v.store.Writer(), opt.NewPassword, repository.KeyOptions{KDF: a.kdf, Username: opt.User, Hostname: opt.Host})
			if err != nil {
				return report, err
			}
			s.Key = id.String()
		case RemoveKey:
			id, err := repository.ParseID(s.Key)
			if err != nil {
				return report, err
			}
			if err := del.RemoveKey(ctx, id, password); err != nil {
				return report, err
			}
		}
		s.Done = true
		a.Log.Info().Str("do", string(s.Do)).Str("key", s.Key[:8]).Msg("keys changed")
	}
	return report, nil
}

// keySteps decides what is to be done. It changes nothing.
func (a *App) keySteps(ctx context.Context, v *vault, opt KeyOptions) ([]KeyStep, error) {
	repo, password := v.repo, v.target.password
	switch opt.Do {
	case AddKey:
		return []KeyStep{{Do: AddKey, Cause: "for the new password"}}, nil
	case RemoveKey:
		keys, err := repo.Keys(ctx)
		if err != nil {
			return nil, err
		}
		k, err := findKey(keys, opt.Key)
		if err != nil {
			return nil, err
		}
		if err := repo.ProveOtherKey(ctx, k.ID, password); err != nil {
			return nil, fmt.Errorf("remove key %s: %w", k.ID.Short(), err)
		}
		return []KeyStep{{Do: RemoveKey, Key: k.ID.String(), Cause: "it was named; its password stops working"}}, nil
	case ChangePassword:
		if opt.NewPassword == password {
			return nil, errors.New("the new password is the old one: choose another")
		}
		old, err := repo.KeysOf(ctx, password)
		if err != nil {
			return nil, err
		}
		// One that was added before a kill need not be added again.
		have, err := repo.KeysOf(ctx, opt.NewPassword)
		if err != nil {
			return nil, err
		}
		return passwordSteps(old, have), nil
	}
	return nil, fmt.Errorf("%q cannot be done to a key", opt.Do)
}

// passwordSteps replaces every key of the old password by one of the new.
func passwordSteps(old, have []repository.ID) []KeyStep {
	var steps []KeyStep
	if len(have) == 0 {
		steps = append(steps, KeyStep{Do: AddKey, Cause: "for the new password"})
	}
	for _, id := range old {
		steps = append(steps, KeyStep{Do: RemoveKey, Key: id.String(), Cause: "the old password opens it"})
	}
	return steps
}

// findKey finds the one key whose ID begins with prefix.
func findKey(keys []repository.StoredKey, prefix string) (repository.StoredKey, error) {
	found := slices.DeleteFunc(slices.Clone(keys), func(k repository.StoredKey) bool {
		return prefix == "" || !strings.HasPrefix(k.ID.String(), strings.ToLower(prefix))
	})
	switch len(found) {
	case 0:
		return repository.StoredKey{}, fmt.Errorf("%.80q: %w: see \"key list\"", prefix, repository.ErrNoKey)
	case 1:
		return found[0], nil
	}
	return repository.StoredKey{}, fmt.Errorf("%q fits %d keys: give more digits", prefix, len(found))
}
