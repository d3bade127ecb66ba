package repository

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"

	"github.com/ripplebak/ripplebak/storage"
)

// Keyring keeps master keys in memory, so that a process that opens a
// repository again and again derives the key from the password once: each time
// costs half a second and 32 MiB. It holds nothing on disk. The zero value is
// ready; a nil one keeps nothing. Its methods may be called at the same time.
//
// A key is given out only for the password that it was derived from, and only
// after its key file was seen to be there still: a password that was changed or
// removed stops working at once.
type Keyring struct {
	mu   sync.Mutex
	keys map[keyringPlace]keyringKey
}

type keyringPlace struct {
	location string
	password [sha256.Size]byte
}

type keyringKey struct {
	name   string // of the key file
	master masterKey
}

func placeOf(location, password string) keyringPlace {
	return keyringPlace{location, sha256.Sum256([]byte(password))}
}

func (k *Keyring) get(location, password string) (keyringKey, bool) {
	if k == nil {
		return keyringKey{}, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok := k.keys[placeOf(location, password)]
	return key, ok
}

func (k *Keyring) put(location, password string, key keyringKey) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		k.keys = make(map[keyringPlace]keyringKey)
	}
	k.keys[placeOf(location, password)] = key
}

func (k *Keyring) drop(location, password string) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.keys, placeOf(location, password))
}

// unlock finds the key that the password opens and that accept takes: the one
// in the keyring, then the one whose file opened last from here, then any. The
// first two spare the listing of all, the first one the derivation too. In all
// cases the key file is read, and its content is what its name says.
func unlock(ctx context.Context, r storage.Reader, password string, keys *Keyring, c *cache, accept func(name string, m masterKey) error) error {
	place := r.Location()
	taken := func(name string, m masterKey) error {
		err := accept(name, m)
		if err == nil {
			keys.put(place, password, keyringKey{name, m})
		}
		return err
	}
	if key, ok := keys.get(place, password); ok {
		_, err := readKeyFile(ctx, r, key.name)
		if err == nil {
			err = taken(key.name, key.master)
		}
		if err == nil || !isOtherKey(err) {
			return err
		}
		keys.drop(place, password)
	}
	if name, ok := c.hint(place); ok {
		m, err := tryKey(ctx, r, name, password)
		if err == nil {
			err = taken(name, m)
		}
		if err == nil || !isOtherKey(err) {
			return err
		}
	}
	return findKey(ctx, r, password, taken)
}

// isOtherKey says whether an error means that another key may do.
func isOtherKey(err error) bool {
	return errors.Is(err, storage.ErrNotExist) || errors.Is(err, ErrWrongPassword) || errors.Is(err, ErrDamaged)
}
