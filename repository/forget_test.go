package repository

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// testDeleter takes an exclusive lock and makes a Deleter.
func testDeleter(t testing.TB, r *Repository, s storage.Store) *Deleter {
	t.Helper()
	lock, err := r.Lock(t.Context(), s.Locker(), LockOptions{Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lock.Unlock(context.Background()); err != nil {
			t.Error(err)
		}
	})
	d, err := NewDeleter(r, s.Remover(), lock)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func snapshotIDs(t testing.TB, r *Repository) string {
	t.Helper()
	list, bad, err := r.Snapshots(t.Context())
	if err != nil || len(bad) > 0 {
		t.Fatal(err, bad)
	}
	var out []string
	for _, s := range list {
		out = append(out, s.ID.String())
	}
	return strings.Join(out, " ")
}

// TestDeleterStopsAfterTheMachineSlept: others may have taken the lock for dead
// before whoever refreshes it wakes up.
func TestDeleterStopsAfterTheMachineSlept(t *testing.T) {
	r, s := testRepository(t)
	slept := time.Duration(0)
	lock, err := r.Lock(t.Context(), s.Locker(), LockOptions{Exclusive: true, Now: func() time.Time { return wall(time.Now()).Add(slept) }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := lock.Unlock(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	d, err := NewDeleter(r, s.Remover(), lock)
	if err != nil {
		t.Fatal(err)
	}
	slept = 2 * time.Hour
	if err := d.RemoveSnapshot(t.Context(), ID{1}); !errors.Is(err, ErrNotExclusive) || !errors.Is(err, ErrLockLost) {
		t.Errorf("removed under a lock of two hours ago: %v", err)
	}
}

func TestDeleterNeedsAnExclusiveLock(t *testing.T) {
	r, s := testRepository(t)
	if _, err := NewDeleter(r, s.Remover(), nil); !errors.Is(err, ErrNotExclusive) {
		t.Errorf("without a lock: %v", err)
	}
	shared, err := r.Lock(t.Context(), s.Locker(), LockOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewDeleter(r, s.Remover(), shared); !errors.Is(err, ErrNotExclusive) {
		t.Errorf("with a shared lock: %v", err)
	}
	if err := shared.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	other, so := testRepository(t)
	lock, err := other.Lock(t.Context(), so.Locker(), LockOptions{Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewDeleter(r, s.Remover(), lock); !errors.Is(err, ErrNotExclusive) {
		t.Errorf("with another repository's lock: %v", err)
	}
	if err := lock.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A lock that was given back deletes nothing more.
	id := backup(t, r, s.Writer(), map[string][]byte{"a": []byte("x")})
	mine, err := r.Lock(t.Context(), s.Locker(), LockOptions{Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDeleter(r, s.Remover(), mine)
	if err != nil {
		t.Fatal(err)
	}
	if err := mine.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.RemoveSnapshot(t.Context(), id); !errors.Is(err, ErrNotExclusive) || snapshotIDs(t, r) != id.String() {
		t.Errorf("after the lock was given back: %v", err)
	}
	if _, err := d.Retag(t.Context(), s.Writer(), id, nil); !errors.Is(err, ErrNotExclusive) {
		t.Errorf("after the lock was given back: %v", err)
	}
}

func TestRemovedSnapshotLeavesItsData(t *testing.T) {
	r, s := testRepository(t)
	files := map[string][]byte{"a": testData(1, 5000)}
	first, second := backup(t, r, s.Writer(), files), backup(t, r, s.Writer(), files)
	d := testDeleter(t, r, s)
	for range 2 { // one that is gone is no error
		if err := d.RemoveSnapshot(t.Context(), first); err != nil {
			t.Fatal(err)
		}
	}
	if got := snapshotIDs(t, r); got != second.String() {
		t.Errorf("left: %s", got)
	}
	verifySnapshot(t, testOpen(t, s, Options{}), second, files)
}

// TestRetagKeepsAllButTheTags, also fields that this version does not know, and
// notes the first ID.
func TestRetagKeepsAllButTheTags(t *testing.T) {
	r, s := testRepository(t)
	files := map[string][]byte{"a": []byte("x")}
	plain := backup(t, r, s.Writer(), files)
	was, err := r.LoadSnapshot(t.Context(), plain)
	if err != nil {
		t.Fatal(err)
	}
	doc := []byte(`{"time":"2026-11-22T03:04:05.6789+02:00","tree":"` + was.Tree.String() + `","paths":["/p"],"hostname":"h","tags":["a"],"original":null,"of_the_future":{"x":[1]}}`)
	first, err := r.saveUnpacked(t.Context(), s.Writer(), storage.SnapshotFile, doc)
	if err != nil {
		t.Fatal(err)
	}
	d := testDeleter(t, r, s)
	second, err := d.Retag(t.Context(), s.Writer(), first, []string{"a", "pinned"})
	if err != nil {
		t.Fatal(err)
	}
	third, err := d.Retag(t.Context(), s.Writer(), second, []string{"b"})
	if err != nil {
		t.Fatal(err)
	}
	for id, tags := range map[ID]string{second: "a pinned", third: "b"} {
		sn, err := r.LoadSnapshot(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Join(sn.Tags, " ") != tags || sn.Original == nil || *sn.Original != first || sn.Time.Format("15:04:05.0000Z07:00") != "03:04:05.6789+02:00" || sn.Hostname != "h" {
			t.Errorf("%+v", sn)
		}
		raw, err := r.loadUnpacked(t.Context(), storage.SnapshotFile, id, 0, maxSnapshotFile)
		if err != nil || !strings.Contains(string(raw), `"of_the_future":{"x":[1]}`) {
			t.Errorf("%v: %s", err, raw)
		}
		verifySnapshot(t, r, id, files)
	}
	// The first ID names it, also when only it and its like are left.
	for _, gone := range []ID{first, second} {
		if err := d.RemoveSnapshot(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{first.String(), first.Short(), third.Short()} {
		if id, err := r.FindSnapshot(t.Context(), name); err != nil || id != third {
			t.Errorf("%s names %s, %v", name, id.Short(), err)
		}
	}
	if _, err := r.FindSnapshot(t.Context(), second.String()); !errors.Is(err, ErrNoSnapshot) {
		t.Errorf("an ID in between: %v", err)
	}
}

// TestF39_KilledWhileTagsChange: whatever operation fails, a snapshot with the
// data is there, under the ID that it had.
func TestF39_KilledWhileTagsChange(t *testing.T) {
	for _, fault := range []storagetest.Fault{
		{Op: storagetest.OpSave, Kind: storage.SnapshotFile, Act: storagetest.Fail},
		{Op: storagetest.OpSave, Kind: storage.SnapshotFile, Act: storagetest.Lose},
		{Op: storagetest.OpRemove, Kind: storage.SnapshotFile, Act: storagetest.Fail},
		{Op: storagetest.OpRemove, Kind: storage.SnapshotFile, Act: storagetest.Lose},
		{Op: storagetest.OpLoad, Kind: storage.SnapshotFile, Act: storagetest.Fail},
	} {
		mem := storagetest.NewMemory()
		testInit(t, mem, InitOptions{})
		files := map[string][]byte{"a": []byte("x")}
		id := backup(t, testOpen(t, mem, Options{}), mem.Writer(), files)
		faulty := storagetest.NewFaulty(t, mem)
		r := testOpen(t, faulty, Options{})
		d := testDeleter(t, r, faulty)
		armed := faulty.Arm(fault)
		_, err := d.Retag(t.Context(), faulty.Writer(), id, []string{"pinned"})
		if err == nil {
			err = d.RemoveSnapshot(t.Context(), id)
		}
		if err == nil || armed.Hits() == 0 {
			t.Errorf("%v: no error", fault)
		}
		after := testOpen(t, mem, Options{})
		found, err := after.FindSnapshot(t.Context(), id.String())
		if err != nil {
			t.Errorf("%v: %v", fault, err)
			continue
		}
		verifySnapshot(t, after, found, files)
	}
}

// TestResticSeesTagsThatWeChanged, and we those that it changed.
func TestResticSeesTagsThatWeChanged(t *testing.T) {
	if testing.Short() {
		t.Skip("runs stock restic")
	}
	restic := needRestic(t)
	s, dir := testLocal(t)
	testInit(t, s, InitOptions{})
	files := map[string][]byte{"a": []byte("x")}
	r := testOpen(t, s, Options{})
	first := backup(t, r, s.Writer(), files)
	lock, err := r.Lock(t.Context(), s.Locker(), LockOptions{Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDeleter(r, s.Remover(), lock)
	if err != nil {
		t.Fatal(err)
	}
	second, err := d.Retag(t.Context(), s.Writer(), first, []string{"pinned"})
	if err == nil {
		err = d.RemoveSnapshot(t.Context(), first)
	}
	if err != nil || lock.Unlock(t.Context()) != nil {
		t.Fatal(err)
	}
	if out := restic(dir, "snapshots", "--tag", "pinned", "--json"); !strings.Contains(out, second.String()) || !strings.Contains(out, `"original":"`+first.String()) {
		t.Errorf("restic lists %s", out)
	}
	restic(dir, "tag", "--add", "mine", "--tag", "pinned")
	if out := restic(dir, "check", "--read-data"); !strings.Contains(out, "no errors were found") {
		t.Errorf("check says %s", out)
	}
	third, err := testOpen(t, s, Options{}).FindSnapshot(t.Context(), first.Short())
	if err != nil || third == second {
		t.Errorf("after restic's tag: %s, %v", third.Short(), err)
	}
	verifySnapshot(t, testOpen(t, s, Options{}), third, files)
}
