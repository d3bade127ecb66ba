package storagetest_test

import (
	"testing"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

func TestContract(t *testing.T) {
	for name, open := range map[string]func(*testing.T) storage.Store{
		"Memory": func(*testing.T) storage.Store { return storagetest.NewMemory() },
		"Retry":  func(*testing.T) storage.Store { return storage.Retry(storagetest.NewMemory(), storage.RetryOptions{}) },
		"Faulty": func(t *testing.T) storage.Store { return storagetest.NewFaulty(t, storagetest.NewMemory()) },
		"Count": func(*testing.T) storage.Store {
			s, _ := storage.Count(storagetest.NewMemory())
			return s
		},
	} {
		t.Run(name, func(t *testing.T) { storagetest.Contract(t, open) })
	}
}
