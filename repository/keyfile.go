package repository

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ripplebak/ripplebak/storage"
)

const (
	// maxKeyFile bounds a key file; real ones have some 450 bytes.
	maxKeyFile = 64 << 10
	// maxKeyTries bounds how many key files are tried with a password, for
	// each costs a derivation.
	maxKeyTries = 32
)

// keyFile is the JSON of a file below keys/. It is the only file that is not
// encrypted as a whole; data holds the master key, sealed with a key derived
// from a password.
type keyFile struct {
	Created  time.Time `json:"created"`
	Username string    `json:"username"`
	Hostname string    `json:"hostname"`
	KDF      string    `json:"kdf"`
	N        int       `json:"N"`
	R        int       `json:"r"`
	P        int       `json:"p"`
	Salt     []byte    `json:"salt"`
	Data     []byte    `json:"data"`
}

// keyData is the sealed part.
type keyData struct {
	MAC struct {
		K []byte `json:"k"`
		R []byte `json:"r"`
	} `json:"mac"`
	Encrypt []byte `json:"encrypt"`
}

// newKeyFile returns the bytes of a key file that yields m for password.
func newKeyFile(m masterKey, password string, kdf KDF, created time.Time, username, hostname string) ([]byte, error) {
	salt := make([]byte, kdfSaltSize)
	if _, err := rand.Read(salt); err != nil {
		return nil, fmt.Errorf("draw a salt: %w", err)
	}
	user, err := kdf.derive(password, salt)
	if err != nil {
		return nil, err
	}
	s, err := newSealer(user)
	if err != nil {
		return nil, err
	}
	var d keyData
	d.MAC.K, d.MAC.R, d.Encrypt = m.K[:], m.R[:], m.Encrypt[:]
	plain, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encode the master key: %w", err)
	}
	sealed, err := s.sealed(plain)
	if err != nil {
		return nil, err
	}
	return json.Marshal(keyFile{
		Created: created, Username: username, Hostname: hostname,
		KDF: "scrypt", N: kdf.N, R: kdf.R, P: kdf.P, Salt: salt, Data: sealed,
	})
}

// openKeyFile returns the master key, ErrWrongPassword, or ErrDamaged.
func openKeyFile(file []byte, password string) (masterKey, error) {
	var k keyFile
	if err := json.Unmarshal(file, &k); err != nil {
		return masterKey{}, damaged("not a key file: %w", err)
	}
	if k.KDF != "scrypt" {
		return masterKey{}, damaged("key derivation %.20q is not known", k.KDF)
	}
	user, err := KDF{N: k.N, R: k.R, P: k.P}.derive(password, k.Salt)
	if err != nil {
		return masterKey{}, damaged("%w", err)
	}
	s, err := newSealer(user)
	if err != nil {
		return masterKey{}, err
	}
	plain, err := s.open(k.Data)
	if err != nil {
		return masterKey{}, ErrWrongPassword
	}
	return decodeMasterKey(plain)
}

func decodeMasterKey(plain []byte) (masterKey, error) {
	var d keyData
	if err := json.Unmarshal(plain, &d); err != nil {
		return masterKey{}, damaged("not a master key: %w", err)
	}
	if len(d.Encrypt) != encryptKeySize || len(d.MAC.K) != macKeySize || len(d.MAC.R) != macKeySize {
		return masterKey{}, damaged("master key has parts of wrong size")
	}
	m := masterKey{Encrypt: [32]byte(d.Encrypt), K: [16]byte(d.MAC.K), R: [16]byte(d.MAC.R)}
	maskR(&m.R)
	return m, nil
}

// findKey tries the key files in turn. accept says whether a key that the
// password opens belongs to the repository: where two first runs raced, the
// key file of the one that lost stays behind.
func findKey(ctx context.Context, r storage.Reader, password string, accept func(name string, m masterKey) error) error {
	names, err := listKeys(ctx, r)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return damaged("the repository has no key file, nobody can open it: bring back the files below keys/")
	}
	names = names[:min(len(names), maxKeyTries)]
	var damage, misfit error
	for _, name := range names {
		m, err := tryKey(ctx, r, name, password)
		if err == nil {
			if misfit = accept(name, m); misfit == nil {
				return nil
			}
			err = misfit
		}
		switch {
		case errors.Is(err, storage.ErrNotExist): // removed since it was listed
		case errors.Is(err, ErrDamaged):
			damage = fmt.Errorf("key %s: %w", name[:8], err)
		case !errors.Is(err, ErrWrongPassword):
			return err
		}
	}
	switch {
	case misfit != nil:
		return misfit
	case damage != nil && len(names) == 1:
		return damage
	case damage != nil:
		return fmt.Errorf("%w (and %w)", ErrWrongPassword, damage)
	}
	return ErrWrongPassword
}

// listKeys returns the names of all key files, in no particular order.
func listKeys(ctx context.Context, r storage.Reader) ([]string, error) {
	var names []string
	err := r.List(ctx, storage.KeyFile, func(i storage.Info) error {
		names = append(names, i.Name)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return names, nil
}

func tryKey(ctx context.Context, r storage.Reader, name, password string) (masterKey, error) {
	file, err := readKeyFile(ctx, r, name)
	if err != nil {
		return masterKey{}, err
	}
	return openKeyFile(file, password)
}

func readKeyFile(ctx context.Context, r storage.Reader, name string) ([]byte, error) {
	file, err := readFile(ctx, r, storage.Handle{Kind: storage.KeyFile, Name: name}, maxKeyFile)
	if err != nil {
		return nil, err
	}
	if id := ID(sha256.Sum256(file)); id.String() != name {
		return nil, damaged("its content is not what its name says")
	}
	return file, nil
}
