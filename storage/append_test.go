package storage_test

import (
	"errors"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// TestAppendOnlyHasNoRemover: the type says it, and no assertion gets round it.
func TestAppendOnlyHasNoRemover(t *testing.T) {
	full := storagetest.NewMemory()
	s := storage.AppendOnly(storage.Retry(full, storage.RetryOptions{}))
	if _, ok := s.(storage.Store); ok {
		t.Error("it is a Store")
	}
	if _, ok := s.(interface{ Remover() storage.Remover }); ok {
		t.Error("it hands out a Remover")
	}
	for _, side := range []any{s, s.Reader(), s.Writer(), s.Locker()} {
		if _, ok := side.(storage.Remover); ok {
			t.Errorf("%T removes", side)
		}
	}
	data := []byte("kept")
	h := storagetest.HandleFor(storage.SnapshotFile, data)
	if err := s.Writer().Save(t.Context(), h, storage.NewPayload(data)); err != nil {
		t.Fatal(err)
	}
	lock := storagetest.HandleFor(storage.LockFile, data)
	if err := errors.Join(s.Locker().SaveLock(t.Context(), lock.Name, storage.NewPayload(data)), s.Locker().RemoveLock(t.Context(), lock.Name)); err != nil {
		t.Error(err)
	}
	if len(full.Handles(storage.LockFile)) != 0 || len(full.Handles(storage.SnapshotFile)) != 1 {
		t.Error("a lock must go, and nothing else")
	}
}
