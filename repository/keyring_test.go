package repository

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// addKey stores a key file for a further password and returns its handle.
func addKey(t testing.TB, mem *storagetest.Memory, password string, kdf KDF) storage.Handle {
	t.Helper()
	var master masterKey
	err := findKey(t.Context(), mem.Reader(), testPassword, func(_ string, m masterKey) error { master = m; return nil })
	if err != nil {
		t.Fatal(err)
	}
	file, err := newKeyFile(master, password, kdf, testTime(), "u", "h")
	if err != nil {
		t.Fatal(err)
	}
	return storagetest.Put(t, mem, storage.KeyFile, file)
}

// TestKeyringSparesTheDerivation: the second time a key file is read, but
// nothing is derived: one whose parameters were altered could not be.
func TestKeyringSparesTheDerivation(t *testing.T) {
	mem := storagetest.NewMemory()
	testInit(t, mem, InitOptions{})
	var ring Keyring
	opt := Options{Keys: &ring}
	testOpen(t, mem, opt)
	key, ok := ring.get("memory", testPassword)
	if !ok {
		t.Fatal("the key was not kept")
	}
	if _, ok := ring.get("memory", "another"); ok {
		t.Error("the key is given out for another password")
	}
	if _, ok := ring.get("elsewhere", testPassword); ok {
		t.Error("the key is given out for another place")
	}
	counted, n := storage.Count(mem)
	testOpen(t, counted, opt)
	if got := n.Counts(); got.Loads != 2 || got.Lists != 1 || got.Stats != 0 {
		t.Errorf("asked for %+v, want the config and the key file, and one list of indexes", got)
	}
	if again, _ := ring.get("memory", testPassword); again != key {
		t.Error("the key was derived again")
	}
	if _, err := Open(t.Context(), mem.Reader(), "wrong", opt); !errors.Is(err, ErrWrongPassword) {
		t.Errorf("a wrong password: %v", err)
	}
}

// TestKeyringSparesMemory: with the parameters that new keys have, the first
// opening takes 32 MiB, the second one next to nothing.
func TestKeyringSparesMemory(t *testing.T) {
	mem := storagetest.NewMemory()
	testInit(t, mem, InitOptions{})
	first := mem.Handles(storage.KeyFile)[0]
	addKey(t, mem, testPassword, KDF{N: 32768, R: 8, P: 1})
	mem.Delete(first)
	opt := Options{Keys: &Keyring{}}
	allocated := func() uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := Open(t.Context(), mem.Reader(), testPassword, opt); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	if first, second := allocated(), allocated(); first < 32<<20 || second > 4<<20 {
		t.Errorf("%d bytes, then %d", first, second)
	}
}

// TestKeyringFollowsKeys: a password whose key file is gone stops working at
// once, in the keyring and by the hint too; one with two files goes on.
func TestKeyringFollowsKeys(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		mem := storagetest.NewMemory()
		testInit(t, mem, InitOptions{})
		old := mem.Handles(storage.KeyFile)[0]
		ring := &Keyring{}
		if dir != "" {
			ring = nil // only the hint
		}
		opt := Options{Keys: ring, CacheDir: dir}
		testOpen(t, mem, opt)
		second := addKey(t, mem, testPassword, cheapKDF())
		mem.Delete(old)
		testOpen(t, mem, opt)
		testOpen(t, mem, opt)
		addKey(t, mem, "new password", cheapKDF())
		mem.Delete(second)
		if _, err := Open(t.Context(), mem.Reader(), testPassword, opt); !errors.Is(err, ErrWrongPassword) {
			t.Errorf("the old password: %v, want ErrWrongPassword", err)
		}
		if _, err := Open(t.Context(), mem.Reader(), "new password", opt); err != nil {
			t.Errorf("the new password: %v", err)
		}
	}
}

// TestKeyringOfAnotherRepository: where a repository was replaced by another
// one, what is kept of the first is of no use, and of no harm.
func TestKeyringOfAnotherRepository(t *testing.T) {
	first, second := storagetest.NewMemory(), storagetest.NewMemory()
	testInit(t, first, InitOptions{})
	testInit(t, second, InitOptions{})
	opt := Options{Keys: &Keyring{}, CacheDir: t.TempDir()}
	a := testOpen(t, first, opt)
	// The old key file still lies there, which it does after a bad copy.
	data, _ := first.Bytes(first.Handles(storage.KeyFile)[0])
	second.Put(first.Handles(storage.KeyFile)[0], data)
	b := testOpen(t, second, opt)
	if a.Config().ID == b.Config().ID {
		t.Error("the old repository was opened")
	}
	if c := testOpen(t, second, opt); c.Config().ID != b.Config().ID {
		t.Error("the second time the old repository was opened")
	}
}

// TestKeyHint: with a cache, keys are listed once; a hint that is wrong,
// damaged or gone costs a listing.
func TestKeyHint(t *testing.T) {
	mem := storagetest.NewMemory()
	testInit(t, mem, InitOptions{})
	name := mem.Handles(storage.KeyFile)[0].Name
	dir := t.TempDir()
	opt := Options{CacheDir: dir, Warn: func(err error) { t.Errorf("warning: %v", err) }}
	lists := func() int64 {
		t.Helper()
		counted, n := storage.Count(mem)
		if _, err := Open(t.Context(), counted.Reader(), testPassword, opt); err != nil {
			t.Fatal(err)
		}
		return n.Counts().Lists
	}
	if first, second := lists(), lists(); first != 1 || second != 0 {
		t.Errorf("%d and %d listings, want 1 and 0", first, second)
	}
	hints, err := filepath.Glob(filepath.Join(dir, "keys", "*"))
	if err != nil || len(hints) != 1 {
		t.Fatalf("%q, %v", hints, err)
	}
	other := addKey(t, mem, "another password", cheapKDF())
	for _, text := range []string{other.Name, "", "../../config", name + name, randomID(t).String()} {
		if err := os.WriteFile(hints[0], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if wrong, right := lists(), lists(); wrong != 1 || right != 0 {
			t.Errorf("hint %q: %d and %d listings, want 1 and 0", text, wrong, right)
		}
	}
}

// TestOpenAsksOnce: without a cache, opening takes one request each for config,
// list of keys and key.
func TestOpenAsksOnce(t *testing.T) {
	mem := storagetest.NewMemory()
	testInit(t, mem, InitOptions{})
	counted, n := storage.Count(mem)
	if _, err := Open(t.Context(), counted.Reader(), testPassword, Options{}); err != nil {
		t.Fatal(err)
	}
	if got := n.Counts(); got.Requests() != 3 || got.Loads != 2 || got.Lists != 1 {
		t.Errorf("%+v", got)
	}
}
