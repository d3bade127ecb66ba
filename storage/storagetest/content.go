package storagetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
)

// Content returns n reproducible bytes that do not compress.
func Content(seed uint64, n int) []byte {
	var key [32]byte
	key[0], key[1], key[2] = byte(seed), byte(seed>>8), byte(seed>>16)
	data := make([]byte, n)
	// It never fails.
	_, _ = rand.NewChaCha8(key).Read(data)
	return data
}

// HandleFor returns the handle of a kind whose name is the content's hash.
func HandleFor(k storage.Kind, data []byte) storage.Handle {
	if k == storage.ConfigFile {
		return storage.Handle{Kind: k}
	}
	sum := sha256.Sum256(data)
	return storage.Handle{Kind: k, Name: hex.EncodeToString(sum[:])}
}

// Put saves a file of any kind and fails the test if it cannot.
func Put(t testing.TB, s storage.Store, k storage.Kind, data []byte) storage.Handle {
	t.Helper()
	h, p := HandleFor(k, data), storage.NewPayload(data)
	var err error
	switch k {
	case storage.ConfigFile:
		err = s.Writer().Create(t.Context(), h, p)
	case storage.LockFile:
		err = s.Locker().SaveLock(t.Context(), h.Name, p)
	default:
		err = s.Writer().Save(t.Context(), h, p)
	}
	if err != nil {
		t.Fatalf("save %s: %v", h, err)
	}
	return h
}

// Get loads a whole file and fails the test if it cannot.
func Get(t testing.TB, s storage.Store, h storage.Handle) []byte {
	t.Helper()
	data, err := load(t.Context(), s, h, 0, 0)
	if err != nil {
		t.Fatalf("load %s: %v", h, err)
	}
	return data
}

// Names lists a kind, sorted, and fails the test if it cannot.
func Names(t testing.TB, s storage.Store, k storage.Kind) []string {
	t.Helper()
	var names []string
	if err := s.Reader().List(t.Context(), k, func(i storage.Info) error {
		names = append(names, i.Name)
		return nil
	}); err != nil {
		t.Fatalf("list %s: %v", k, err)
	}
	slices.Sort(names)
	return names
}

func load(ctx context.Context, s storage.Store, h storage.Handle, offset, length int64) ([]byte, error) {
	rc, err := s.Reader().Load(ctx, h, offset, length)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(rc)
	return data, errors.Join(err, rc.Close())
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}
