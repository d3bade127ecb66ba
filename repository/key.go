package repository

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/storage"
)

// What callers switch on when keys are changed.
var (
	// ErrTooManyKeys: as many key files as are tried at most with a password.
	ErrTooManyKeys = errors.New("the repository has too many keys")
	// ErrNoKeyLeft: without the key, none is known to open the repository.
	ErrNoKeyLeft = errors.New("no other key is known to open the repository")
	// ErrNoKey: the repository has no such key.
	ErrNoKey = errors.New("no such key")
)

// KeyOptions says what a new key file looks like. The zero value is right but
// for tests.
type KeyOptions struct {
	KDF      KDF    // its cost; zero: calibrated to half a second
	Hostname string // recorded in the file; empty: the machine's
	Username string // recorded in the file; empty: the process's
}

// StoredKey is what a key file tells without a password.
type StoredKey struct {
	ID       ID
	Created  time.Time
	Username string
	Hostname string
	// Current says that it is the one that this Repository was opened with.
	Current bool
	// Damage is why the file cannot be used; the other fields but ID are
	// then empty.
	Damage error
}

// Keys returns all key files, the oldest first.
func (r *Repository) Keys(ctx context.Context) ([]StoredKey, error) {
	names, err := listKeys(ctx, r.store)
	if err != nil {
		return nil, err
	}
	var out []StoredKey
	for _, name := range names {
		id, err := ParseID(name)
		if err != nil {
			continue
		}
		k := StoredKey{ID: id, Current: id == r.key}
		file, err := readKeyFile(ctx, r.store, name)
		var f keyFile
		if err == nil {
			if jerr := json.Unmarshal(file, &f); jerr != nil {
				err = damaged("not a key file: %w", jerr)
			}
		}
		switch {
		case err == nil:
			k.Created, k.Username, k.Hostname = f.Created, f.Username, f.Hostname
		case errors.Is(err, ErrDamaged):
			k.Damage = err
		case errors.Is(err, storage.ErrNotExist): // removed since it was listed
			continue
		default:
			return nil, fmt.Errorf("load key %s: %w", id.Short(), err)
		}
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b StoredKey) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID.String(), b.ID.String())
	})
	return out, nil
}

// CurrentKey is the key file that the repository was opened with.
func (r *Repository) CurrentKey() ID { return r.key }

// KeysOf returns the key files that open this repository with a password. There
// may be none.
func (r *Repository) KeysOf(ctx context.Context, password string) ([]ID, error) {
	names, err := listKeys(ctx, r.store)
	if err != nil {
		return nil, err
	}
	var out []ID
	for _, name := range names {
		id, err := ParseID(name)
		if err != nil {
			continue
		}
		opens, err := r.keyOpens(ctx, id, password)
		if err != nil {
			return nil, err
		}
		if opens {
			out = append(out, id)
		}
	}
	return out, nil
}

// keyOpens says whether a key file yields our master key for the password. One
// that is damaged or gone does not.
func (r *Repository) keyOpens(ctx context.Context, id ID, password string) (bool, error) {
	m, err := tryKey(ctx, r.store, id.String(), password)
	switch {
	case err == nil:
		return m == r.master, nil
	case errors.Is(err, ErrWrongPassword), errors.Is(err, ErrDamaged), errors.Is(err, storage.ErrNotExist):
		return false, nil
	}
	return false, fmt.Errorf("try key %s: %w", id.Short(), err)
}

// AddKey stores a key file for a further password, and returns once it has
// been read back and opens the repository. No data is written anew: all keys
// hold the same master key.
func (r *Repository) AddKey(ctx context.Context, w storage.Writer, password string, opt KeyOptions) (ID, error) {
	names, err := listKeys(ctx, r.store)
	if err != nil {
		return ID{}, err
	}
	if len(names) >= maxKeyTries {
		return ID{}, fmt.Errorf("%w: %d, and no more than %d are tried with a password; remove one first", ErrTooManyKeys, len(names), maxKeyTries)
	}
	id, err := saveKey(ctx, w, r.master, password, opt, r.opt.Now)
	if err != nil {
		return ID{}, err
	}
	opens, err := r.keyOpens(ctx, id, password)
	if err == nil && !opens {
		err = damaged("it was stored, but what came back does not open the repository")
	}
	if err != nil {
		return ID{}, fmt.Errorf("prove the new key %s: %w", id.Short(), err)
	}
	return id, nil
}

// saveKey stores a key file that yields m for the password.
func saveKey(ctx context.Context, w storage.Writer, m masterKey, password string, opt KeyOptions, now func() time.Time) (ID, error) {
	file, id, err := makeKey(m, password, opt, now)
	if err != nil {
		return ID{}, err
	}
	h := storage.Handle{Kind: storage.KeyFile, Name: id.String()}
	if err := w.Save(ctx, h, storage.NewPayload(file)); err != nil {
		return ID{}, fmt.Errorf("store key %s: %w", id.Short(), err)
	}
	return id, nil
}

// makeKey returns the bytes of a key file that yields m for the password, and
// their ID.
func makeKey(m masterKey, password string, opt KeyOptions, now func() time.Time) ([]byte, ID, error) {
	if password == "" {
		return nil, ID{}, errors.New("the new password is empty: choose one")
	}
	kdf := opt.KDF
	if kdf == (KDF{}) {
		var err error
		if kdf, err = calibrateKDF(now); err != nil {
			return nil, ID{}, err
		}
	}
	username, hostname := identity(opt.Username, opt.Hostname)
	file, err := newKeyFile(m, password, kdf, now(), username, hostname)
	return file, sha256.Sum256(file), err
}

// ProveOtherKey returns nil where a key file other than the one given opens the
// repository with the password, else [ErrNoKeyLeft]. A key that is not there is
// [ErrNoKey].
func (r *Repository) ProveOtherKey(ctx context.Context, id ID, password string) error {
	names, err := listKeys(ctx, r.store)
	if err != nil {
		return err
	}
	if !slices.Contains(names, id.String()) {
		return ErrNoKey
	}
	for _, name := range names {
		other, err := ParseID(name)
		if err != nil || other == id {
			continue
		}
		opens, err := r.keyOpens(ctx, other, password)
		if err != nil {
			return err
		}
		if opens {
			return nil
		}
	}
	return fmt.Errorf("%w: add one first", ErrNoKeyLeft)
}
