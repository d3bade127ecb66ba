package repository

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Config is the content of the file config.
type Config struct {
	Version           uint   `json:"version"`
	ID                string `json:"id"`                 // 32 random bytes in hex
	ChunkerPolynomial string `json:"chunker_polynomial"` // in hex, irreducible, of degree 53
}

const (
	minVersion = 1
	maxVersion = 2
	maxConfig  = 64 << 10
)

// newConfig draws a repository's identity. poly is a polynomial in hex, or
// empty for a fresh one.
func newConfig(version uint, poly string) (Config, error) {
	var id [32]byte
	if _, err := rand.Read(id[:]); err != nil {
		return Config{}, fmt.Errorf("draw a repository ID: %w", err)
	}
	p, err := newPolynomial()
	if poly != "" {
		p, err = parsePolynomial(poly)
	}
	if err != nil {
		return Config{}, err
	}
	return Config{Version: version, ID: hex.EncodeToString(id[:]), ChunkerPolynomial: p.String()}, nil
}

// sealConfig returns the bytes of the file. It is never compressed.
func sealConfig(c Config, s *sealer) ([]byte, error) {
	plain, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode config: %w", err)
	}
	return s.sealed(plain)
}

// openConfig reads the bytes of the file, which it overwrites.
func openConfig(file []byte, s *sealer) (Config, error) {
	plain, err := s.open(file)
	if err != nil {
		return Config{}, damaged("config: %w", err)
	}
	return decodeConfig(plain)
}

func decodeConfig(plain []byte) (Config, error) {
	var c Config
	if err := json.Unmarshal(plain, &c); err != nil {
		return Config{}, damaged("config: %w", err)
	}
	if c.Version < minVersion || c.Version > maxVersion {
		return Config{}, fmt.Errorf("%w %d: this program knows %d and %d, use a newer one", ErrVersion, c.Version, minVersion, maxVersion)
	}
	if _, err := ParseID(c.ID); err != nil {
		return Config{}, damaged("config: repository %w", err)
	}
	if _, err := parsePolynomial(c.ChunkerPolynomial); err != nil {
		return Config{}, damaged("config: %w", err)
	}
	return c, nil
}
