package repository

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/local"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// raced initialises mem while do happens between the key and the config of our
// Init, and returns what that came to.
func raced(t *testing.T, mem storage.Store, password string, do func()) error {
	t.Helper()
	f := storagetest.NewFaulty(t, mem)
	f.Arm(storagetest.Fault{Op: storagetest.OpCreate, Kind: storage.ConfigFile, Act: storagetest.Call, Do: do})
	return Init(t.Context(), f.Reader(), f.Writer(), password, InitOptions{KDF: cheapKDF()})
}

// TestInitLoserTakesItsKeyBack: of two first runs one wins, and nothing is left
// of the other.
func TestInitLoserTakesItsKeyBack(t *testing.T) {
	mem := storagetest.NewMemory()
	var winner []storage.Handle
	err := raced(t, mem, testPassword, func() {
		// The other did not see our key: it had looked before.
		ours := mem.Handles(storage.KeyFile)
		data, _ := mem.Bytes(ours[0])
		mem.Delete(ours[0])
		testInit(t, mem, InitOptions{})
		winner = mem.Handles(storage.KeyFile)
		mem.Put(ours[0], data)
	})
	if !errors.Is(err, ErrExist) {
		t.Fatalf("the loser: %v, want ErrExist", err)
	}
	if got := mem.Handles(storage.KeyFile); !slices.Equal(got, winner) {
		t.Errorf("keys %v, want %v", got, winner)
	}
	testOpen(t, mem, Options{Warn: func(err error) { t.Errorf("warning: %v", err) }})
}

// TestInitKeyThatAnotherTookUp: a first run that finds a key of the same
// password makes the repository with it, and then it must stay.
func TestInitKeyThatAnotherTookUp(t *testing.T) {
	mem := storagetest.NewMemory()
	err := raced(t, mem, testPassword, func() { testInit(t, mem, InitOptions{}) })
	if !errors.Is(err, ErrExist) {
		t.Fatalf("the loser: %v, want ErrExist", err)
	}
	if n := len(mem.Handles(storage.KeyFile)); n != 1 {
		t.Errorf("%d keys", n)
	}
	testOpen(t, mem, Options{})
}

// TestInitLoserWithAnotherPassword: the key stays where it cannot be proven that
// it is of no use; the error says that it does.
func TestInitLoserWithAnotherPassword(t *testing.T) {
	mem := storagetest.NewMemory()
	err := raced(t, mem, "another password", func() { testInit(t, mem, InitOptions{}) })
	if !errors.Is(err, ErrExist) {
		t.Fatalf("the loser: %v, want ErrExist", err)
	}
	if n := len(mem.Handles(storage.KeyFile)); n != 2 {
		t.Errorf("%d keys", n)
	}
	testOpen(t, mem, Options{})
}

// TestOpenWarnsOfAForeignKey: what a killed first run left is skipped, and said.
func TestOpenWarnsOfAForeignKey(t *testing.T) {
	mem, other := storagetest.NewMemory(), storagetest.NewMemory()
	testInit(t, mem, InitOptions{})
	seen := 0
	for range 20 { // whether it is tried depends on the order of names
		testInit(t, other, InitOptions{})
		foreign := other.Handles(storage.KeyFile)[0]
		data, _ := other.Bytes(foreign)
		mem.Put(foreign, data)
		testOpen(t, mem, Options{Warn: func(error) { seen++ }})
		mem.Delete(foreign)
		other = storagetest.NewMemory()
	}
	if seen == 0 || seen > 20 {
		t.Errorf("%d warnings", seen)
	}
}

// TestInitManyAtOnce: of many first runs on one directory one wins, the rest
// say so, and stock restic opens what they leave.
func TestInitManyAtOnce(t *testing.T) {
	_, dir := testLocal(t)
	var wg sync.WaitGroup
	errs := make([]error, 6)
	for i := range errs {
		wg.Go(func() {
			s, err := local.Open(dir, local.Options{})
			if err != nil {
				errs[i] = err
				return
			}
			errs[i] = Init(context.Background(), s.Reader(), s.Writer(), testPassword, InitOptions{KDF: cheapKDF()})
			errs[i] = errors.Join(errs[i], s.Close())
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, ErrExist) {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d won", won)
	}
	s, err := local.Open(dir, local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	testOpen(t, s, Options{Warn: func(err error) { t.Errorf("warning: %v", err) }})
	if !testing.Short() {
		needRestic(t)(dir, "snapshots")
	}
}
