package repository

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"

	//lint:ignore SA1019 the repository's format asks for Poly1305-AES, and every message has a key of its own
	"golang.org/x/crypto/poly1305"
)

const (
	nonceSize = 16
	macSize   = 16
	// sealOverhead is what sealing adds: IV || ciphertext || MAC.
	sealOverhead = nonceSize + macSize

	encryptKeySize = 32
	macKeySize     = 16
)

// errMAC: the bytes were not sealed with this key, or were altered since.
var errMAC = errors.New("authentication failed")

// masterKey is the key material as it is stored in key files.
type masterKey struct {
	Encrypt [encryptKeySize]byte // AES-256
	K       [macKeySize]byte     // AES key of Poly1305-AES
	R       [macKeySize]byte     // Poly1305 key of Poly1305-AES, masked
}

// newMasterKey draws a key.
func newMasterKey() (masterKey, error) {
	var raw [encryptKeySize + 2*macKeySize]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return masterKey{}, fmt.Errorf("draw a key: %w", err)
	}
	return splitKey(raw), nil
}

// splitKey takes 64 bytes apart: 32 for AES-256, 16 of k, 16 of r.
func splitKey(raw [encryptKeySize + 2*macKeySize]byte) masterKey {
	var m masterKey
	copy(m.Encrypt[:], raw[:])
	copy(m.K[:], raw[encryptKeySize:])
	copy(m.R[:], raw[encryptKeySize+macKeySize:])
	maskR(&m.R)
	return m
}

// maskR clears the bits that Poly1305 demands to be zero: the top four of
// every fourth byte, the bottom two of the bytes after those.
func maskR(r *[macKeySize]byte) {
	for i := 3; i < macKeySize; i += 4 {
		r[i] &= 15
	}
	for i := 4; i < macKeySize; i += 4 {
		r[i] &= 252
	}
}

// sealer seals and opens with one key. It has no state that changes and may be
// used by several goroutines.
type sealer struct {
	data cipher.Block
	mac  cipher.Block
	r    [macKeySize]byte
}

func newSealer(m masterKey) (*sealer, error) {
	data, err := aes.NewCipher(m.Encrypt[:])
	if err != nil {
		return nil, fmt.Errorf("set up AES-256: %w", err)
	}
	mac, err := aes.NewCipher(m.K[:])
	if err != nil {
		return nil, fmt.Errorf("set up Poly1305-AES: %w", err)
	}
	s := &sealer{data: data, mac: mac, r: m.R}
	maskR(&s.r)
	return s, nil
}

// oneTimeKey returns Poly1305's key for a nonce: r || AES_k(nonce).
func (s *sealer) oneTimeKey(nonce []byte) (key [32]byte) {
	copy(key[:macKeySize], s.r[:])
	s.mac.Encrypt(key[macKeySize:], nonce)
	return key
}

// seal writes IV || ciphertext || MAC of plain into dst, which has exactly
// len(plain)+sealOverhead bytes and does not overlap plain, unless plain is
// dst[nonceSize:len(dst)-macSize].
func (s *sealer) seal(dst, plain []byte) error {
	nonce := dst[:nonceSize]
	if _, err := rand.Read(nonce); err != nil {
		return fmt.Errorf("draw a nonce: %w", err)
	}
	body := dst[nonceSize : nonceSize+len(plain)]
	cipher.NewCTR(s.data, nonce).XORKeyStream(body, plain)
	key := s.oneTimeKey(nonce)
	var mac [macSize]byte
	poly1305.Sum(&mac, body, &key)
	copy(dst[nonceSize+len(plain):], mac[:])
	return nil
}

// sealed returns plain sealed in a slice of its own.
func (s *sealer) sealed(plain []byte) ([]byte, error) {
	dst := make([]byte, len(plain)+sealOverhead)
	return dst, s.seal(dst, plain)
}

// open authenticates sealed and only then decrypts it in place. The result is
// a part of sealed.
func (s *sealer) open(sealed []byte) ([]byte, error) {
	if len(sealed) < sealOverhead {
		return nil, errMAC
	}
	nonce := sealed[:nonceSize]
	body := sealed[nonceSize : len(sealed)-macSize]
	key := s.oneTimeKey(nonce)
	var mac [macSize]byte
	poly1305.Sum(&mac, body, &key)
	if subtle.ConstantTimeCompare(mac[:], sealed[len(sealed)-macSize:]) != 1 {
		return nil, errMAC
	}
	cipher.NewCTR(s.data, nonce).XORKeyStream(body, body)
	return body, nil
}
