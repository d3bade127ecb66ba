package repository

import (
	"fmt"
	"runtime/debug"
	"time"

	"golang.org/x/crypto/scrypt"
)

// KDF holds scrypt's parameters. One derivation takes 128*N*R bytes of memory
// and time in proportion to N*R*P.
type KDF struct{ N, R, P int }

// Bounds on what a key file may ask for: whoever can write to the storage
// could otherwise make every open take hours or all memory.
const (
	kdfMaxMemory = 256 << 20
	kdfMaxWork   = 1 << 25 // N*R*P, about ten seconds
	kdfSaltSize  = 64
	kdfMaxSalt   = 1024
)

// kdfTarget is how long one derivation shall take on the machine that makes
// the key.
const kdfTarget = 500 * time.Millisecond

// calibrateKDF returns parameters that take 32 MiB and about kdfTarget here.
func calibrateKDF(now func() time.Time) (KDF, error) {
	k := KDF{N: 32768, R: 8, P: 1}
	start := now()
	if _, err := k.derive("calibration", make([]byte, kdfSaltSize)); err != nil {
		return KDF{}, err
	}
	if took := now().Sub(start); took > 0 {
		k.P = int(min(max(kdfTarget/took, 1), 16))
	}
	return k, nil
}

// check refuses parameters that scrypt does not define and those past our
// bounds.
func (k KDF) check() error {
	if k.N < 2 || k.N&(k.N-1) != 0 || k.R < 1 || k.P < 1 {
		return fmt.Errorf("scrypt parameters N=%d r=%d p=%d are not valid", k.N, k.R, k.P)
	}
	if k.N > kdfMaxWork || k.R > kdfMaxWork || k.P > kdfMaxWork ||
		128*int64(k.N)*int64(k.R) > kdfMaxMemory ||
		int64(k.N)*int64(k.R) > kdfMaxWork/int64(k.P) {
		return fmt.Errorf("scrypt parameters N=%d r=%d p=%d ask for too much memory or time", k.N, k.R, k.P)
	}
	return nil
}

// derive makes a key of a password.
func (k KDF) derive(password string, salt []byte) (masterKey, error) {
	if err := k.check(); err != nil {
		return masterKey{}, err
	}
	if len(salt) == 0 || len(salt) > kdfMaxSalt {
		return masterKey{}, fmt.Errorf("salt has %d bytes", len(salt))
	}
	const size = encryptKeySize + 2*macKeySize
	raw, err := scrypt.Key([]byte(password), salt, k.N, k.R, k.P, size)
	if err != nil {
		return masterKey{}, fmt.Errorf("derive the key: %w", err)
	}
	// Else the 32 MiB and more would stay for as long as the process lives.
	debug.FreeOSMemory()
	return splitKey([size]byte(raw)), nil
}
