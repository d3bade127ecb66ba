package repository

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

const newPassword = "battery staple"

// keyDeleter is a Deleter under a lock that is held by nobody else.
func keyDeleter(t testing.TB, r *Repository, rm storage.Remover) *Deleter {
	t.Helper()
	d, err := NewDeleter(r, rm, &Lock{r: r, opt: LockOptions{Exclusive: true, Now: time.Now}, written: time.Now(), ctx: t.Context()})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// opens says whether a password opens the repository.
func opens(t testing.TB, s storage.Store, password string) bool {
	t.Helper()
	_, err := Open(context.Background(), s.Reader(), password, Options{})
	if err != nil && !errors.Is(err, ErrWrongPassword) {
		t.Fatalf("open: %v", err)
	}
	return err == nil
}

func mustAddKey(t testing.TB, r *Repository, s storage.Store, password string) ID {
	t.Helper()
	id, err := r.AddKey(t.Context(), s.Writer(), password, KeyOptions{KDF: cheapKDF(), Username: "u", Hostname: "h"})
	if err != nil {
		t.Fatalf("add key: %v", err)
	}
	return id
}

func TestKeysAreAddedAndRemoved(t *testing.T) {
	r, s := testRepository(t)
	id := backup(t, r, s.Writer(), map[string][]byte{"a": testData(1, 100_000)})
	data := packsOf(s)
	first := r.CurrentKey()
	d := keyDeleter(t, r, s.Remover())
	if err := d.RemoveKey(t.Context(), first, testPassword); !errors.Is(err, ErrNoKeyLeft) {
		t.Errorf("the last key: %v", err)
	}
	second := mustAddKey(t, r, s, newPassword)
	if !opens(t, s, testPassword) || !opens(t, s, newPassword) {
		t.Error("not both passwords open it")
	}
	if err := d.RemoveKey(t.Context(), first, testPassword); !errors.Is(err, ErrNoKeyLeft) {
		t.Errorf("the only key whose password is known: %v", err)
	}
	if err := d.RemoveKey(t.Context(), ID{1}, testPassword); !errors.Is(err, ErrNoKey) {
		t.Errorf("a key that is not there: %v", err)
	}
	keys, err := r.Keys(t.Context())
	if err != nil || len(keys) != 2 || keys[0].ID != first || !keys[0].Current || keys[1].ID != second || keys[1].Current || keys[1].Username != "u" || keys[1].Hostname != "h" {
		t.Fatalf("keys: %+v, %v", keys, err)
	}
	if err := d.RemoveKey(t.Context(), first, newPassword); err != nil {
		t.Fatal(err)
	}
	if opens(t, s, testPassword) || !opens(t, s, newPassword) {
		t.Error("the old password opens it, or the new does not")
	}
	if !bytes.Equal(data, packsOf(s)) {
		t.Error("packs were touched")
	}
	again, err := Open(t.Context(), s.Reader(), newPassword, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	verifySnapshot(t, again, id, map[string][]byte{"a": testData(1, 100_000)})
}

// packsOf is the content of all packs, in the order of their names.
func packsOf(s *storagetest.Memory) []byte {
	files := map[string][]byte{}
	for _, h := range s.Handles(storage.PackFile) {
		files[h.Name], _ = s.Bytes(h)
	}
	var out []byte
	for _, name := range sortedKeys(files) {
		out = append(append(out, name...), files[name]...)
	}
	return out
}

func TestKeysThatCannotOpenDoNotCount(t *testing.T) {
	r, s := testRepository(t)
	d := keyDeleter(t, r, s.Remover())
	// One of another repository, as two first runs leave behind, and a damaged one.
	m, err := newMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := saveKey(t.Context(), s.Writer(), m, testPassword, KeyOptions{KDF: cheapKDF()}, r.opt.Now); err != nil {
		t.Fatal(err)
	}
	bad := storagetest.Put(t, s, storage.KeyFile, []byte("{"))
	if err := d.RemoveKey(t.Context(), r.CurrentKey(), testPassword); !errors.Is(err, ErrNoKeyLeft) {
		t.Errorf("removed for a key that opens nothing: %v", err)
	}
	keys, err := r.Keys(t.Context())
	if err != nil || len(keys) != 3 || keys[0].ID.String() != bad.Name || !errors.Is(keys[0].Damage, ErrDamaged) {
		t.Errorf("keys: %+v, %v", keys, err)
	}
	of, err := r.KeysOf(t.Context(), testPassword)
	if err != nil || len(of) != 1 || of[0] != r.CurrentKey() {
		t.Errorf("keys of the password: %v, %v", of, err)
	}
}

func TestKeysAreLimited(t *testing.T) {
	r, s := testRepository(t)
	for i := range uint64(maxKeyTries - 1) {
		storagetest.Put(t, s, storage.KeyFile, randomData(i, 100))
	}
	if _, err := r.AddKey(t.Context(), s.Writer(), newPassword, KeyOptions{KDF: cheapKDF()}); !errors.Is(err, ErrTooManyKeys) {
		t.Errorf("%v", err)
	}
	if _, err := r.AddKey(t.Context(), s.Writer(), "", KeyOptions{KDF: cheapKDF()}); err == nil {
		t.Error("an empty password was taken")
	}
}

func TestRemovingAKeyNeedsTheExclusiveLock(t *testing.T) {
	r, s := testRepository(t)
	mustAddKey(t, r, s, newPassword)
	ctx, cancel := context.WithCancel(t.Context())
	lock := &Lock{r: r, opt: LockOptions{Exclusive: true, Now: time.Now}, written: time.Now(), ctx: ctx}
	d, err := NewDeleter(r, s.Remover(), lock)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := d.RemoveKey(t.Context(), r.CurrentKey(), newPassword); !errors.Is(err, ErrNotExclusive) {
		t.Errorf("%v", err)
	}
}

// leastKDF is for tests that open hundreds of times.
func leastKDF() KDF { return KDF{N: 2, R: 1, P: 1} }

// changePassword is what "key passwd" does to a repository.
func changePassword(ctx context.Context, s storage.Store) error {
	r, err := Open(ctx, s.Reader(), testPassword, Options{})
	if err != nil {
		return err
	}
	if _, err := r.AddKey(ctx, s.Writer(), newPassword, KeyOptions{KDF: leastKDF()}); err != nil {
		return err
	}
	d, err := NewDeleter(r, s.Remover(), &Lock{r: r, opt: LockOptions{Exclusive: true, Now: time.Now}, written: time.Now(), ctx: ctx})
	if err != nil {
		return err
	}
	return d.RemoveKey(ctx, r.CurrentKey(), newPassword)
}

// TestPasswordChangeKilledAnywhere: whichever call to the storage is the last,
// or comes back wrong, a password opens the repository.
func TestPasswordChangeKilledAnywhere(t *testing.T) {
	clean := storagetest.NewMemory()
	if err := Init(t.Context(), clean.Reader(), clean.Writer(), testPassword, InitOptions{KDF: leastKDF()}); err != nil {
		t.Fatal(err)
	}
	calls := 0
	counted := storagetest.NewFaulty(t, clean.Copy())
	counted.Arm(storagetest.Fault{Act: storagetest.Call, Times: -1, Do: func() { calls++ }})
	if err := changePassword(t.Context(), counted); err != nil || calls < 8 {
		t.Fatalf("%v after %d calls", err, calls)
	}
	for _, act := range []storagetest.Action{storagetest.Fail, storagetest.Lose} {
		for n := 1; n <= calls; n++ {
			m := clean.Copy()
			f := storagetest.NewFaulty(t, m)
			f.Arm(storagetest.Fault{Act: act, Nth: n, Times: -1})
			if err := changePassword(t.Context(), f); err == nil {
				t.Errorf("call %d failed and nobody noticed", n)
			}
			old, fresh := opens(t, m, testPassword), opens(t, m, newPassword)
			if !old && !fresh {
				t.Fatalf("killed at call %d: nothing opens it", n)
			}
			if !old && n < calls {
				t.Errorf("killed at call %d: the old key is gone too early", n)
			}
		}
	}
	for _, act := range []storagetest.Action{storagetest.Cut, storagetest.Corrupt} {
		m := clean.Copy()
		f := storagetest.NewFaulty(t, m)
		f.Arm(storagetest.Fault{Op: storagetest.OpSave, Kind: storage.KeyFile, Act: act, At: 200})
		if err := changePassword(t.Context(), f); err == nil || !opens(t, m, testPassword) {
			t.Errorf("a new key that was stored wrong: %v", err)
		}
	}
}

// TestResticKnowsOurKeys: stock restic and we use each other's keys, and change
// each other's passwords.
func TestResticKnowsOurKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("restic's own derivations take seconds")
	}
	try := tryRestic(t)
	s, dir := testLocal(t)
	testInit(t, s, InitOptions{})
	file := func(password string) string {
		name := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(name, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	restic := func(password string, args ...string) string {
		t.Helper()
		out, err := try(dir, append([]string{"--password-file", file(password)}, args...)...)
		if err != nil {
			t.Fatalf("restic %q: %v", args, err)
		}
		return out
	}
	r := testOpen(t, s, Options{})
	id := mustAddKey(t, r, s, newPassword)
	if out := restic(newPassword, "key", "list"); !strings.Contains(out, "*"+id.String()[:8]) || strings.Count(out, "\n") < 4 {
		t.Errorf("restic lists:\n%s", out)
	}
	if err := keyDeleter(t, r, s.Remover()).RemoveKey(t.Context(), r.CurrentKey(), newPassword); err != nil {
		t.Fatal(err)
	}
	if _, err := try(dir, "snapshots"); err == nil {
		t.Error("restic still opens it with the old password")
	}
	restic(newPassword, "key", "add", "--new-password-file", file("third horse"))
	restic(newPassword, "key", "passwd", "--new-password-file", file("fourth horse"))
	if opens(t, s, newPassword) || !opens(t, s, "third horse") || !opens(t, s, "fourth horse") {
		t.Error("what restic changed is not what we find")
	}
	keys, err := testOpenWith(t, s, "third horse").Keys(t.Context())
	if err != nil || len(keys) != 2 {
		t.Fatalf("keys: %+v, %v", keys, err)
	}
	for _, k := range keys {
		if !k.Current {
			restic("third horse", "key", "remove", k.ID.String())
		}
	}
	if opens(t, s, "fourth horse") || !opens(t, s, "third horse") {
		t.Error("restic removed a key, and we find another state")
	}
}

func testOpenWith(t testing.TB, s storage.Store, password string) *Repository {
	t.Helper()
	r, err := Open(t.Context(), s.Reader(), password, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
