package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/storage"
)

func testKinds(t *testing.T, s storage.Store) {
	config := Put(t, s, storage.ConfigFile, []byte("config"))
	lock := Put(t, s, storage.LockFile, []byte("lock"))
	p := storage.NewPayload([]byte("x"))
	wantErr(t, "save a lock", s.Writer().Save(t.Context(), lock, p), storage.ErrWrongKind)
	wantErr(t, "create a lock", s.Writer().Create(t.Context(), lock, p), storage.ErrWrongKind)
	wantErr(t, "save the config", s.Writer().Save(t.Context(), config, p), storage.ErrWrongKind)
	wantErr(t, "remove the config", s.Remover().Remove(t.Context(), config), storage.ErrWrongKind)
	wantErr(t, "remove a lock", s.Remover().Remove(t.Context(), lock), storage.ErrWrongKind)
	if string(Get(t, s, config)) != "config" || string(Get(t, s, lock)) != "lock" {
		t.Error("something changed")
	}
}

func testCreate(t *testing.T, s storage.Store) {
	h := Put(t, s, storage.ConfigFile, []byte("first"))
	for _, second := range []string{"second", "first"} {
		wantErr(t, "create "+second, s.Writer().Create(t.Context(), h, storage.NewPayload([]byte(second))), storage.ErrExist)
	}
	if got := Get(t, s, h); string(got) != "first" {
		t.Errorf("the config was replaced by %q", got)
	}
	if names := Names(t, s, storage.ConfigFile); len(names) != 1 || names[0] != "" {
		t.Errorf("list: %q", names)
	}
}

// testCreateKey: a key can be taken back by who made it, and by nobody else.
func testCreateKey(t *testing.T, s storage.Store) {
	theirs := Put(t, s, storage.KeyFile, []byte("theirs"))
	withdraw, err := s.Writer().CreateKey(t.Context(), theirs.Name, storage.NewPayload([]byte("ours")))
	wantErr(t, "create a key that is there", err, storage.ErrExist)
	if withdraw != nil {
		t.Error("somebody else's key could be taken back")
	}
	ours := HandleFor(storage.KeyFile, []byte("ours"))
	if withdraw, err = s.Writer().CreateKey(t.Context(), ours.Name, storage.NewPayload([]byte("ours"))); err != nil {
		t.Fatal(err)
	}
	if got := Get(t, s, ours); string(got) != "ours" {
		t.Errorf("the key became %q", got)
	}
	for range 2 {
		if err := withdraw(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if names := Names(t, s, storage.KeyFile); len(names) != 1 || names[0] != theirs.Name {
		t.Errorf("left: %q", names)
	}
}

func testCreateRace(t *testing.T, s storage.Store) {
	const racers = 6
	errs := make([]error, racers)
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			errs[i] = s.Writer().Create(t.Context(), storage.Handle{Kind: storage.ConfigFile}, storage.NewPayload(fmt.Appendf(nil, "racer %d", i)))
		})
	}
	wg.Wait()
	got := string(Get(t, s, storage.Handle{Kind: storage.ConfigFile}))
	wins := 0
	for i, err := range errs {
		switch {
		case err == nil:
			wins++
			if want := fmt.Sprintf("racer %d", i); got != want {
				t.Errorf("%s was told it won, but %q is stored", want, got)
			}
		case !errors.Is(err, storage.ErrExist):
			t.Errorf("racer %d: %v", i, err)
		}
	}
	if wins != 1 {
		t.Errorf("%d winners, want 1", wins)
	}
}

func testLocks(t *testing.T, s storage.Store) {
	h := Put(t, s, storage.LockFile, []byte("a lock"))
	other := Put(t, s, storage.LockFile, []byte("another"))
	for range 2 {
		if err := s.Locker().RemoveLock(t.Context(), h.Name); err != nil {
			t.Errorf("remove lock: %v", err)
		}
	}
	if names := Names(t, s, storage.LockFile); !slices.Equal(names, []string{other.Name}) {
		t.Errorf("locks left: %v", names)
	}
}

func testRemove(t *testing.T, s storage.Store) {
	for _, k := range []storage.Kind{storage.KeyFile, storage.SnapshotFile, storage.IndexFile, storage.PackFile} {
		h, keep := Put(t, s, k, []byte("goes")), Put(t, s, k, []byte("stays"))
		for range 2 {
			if err := s.Remover().Remove(t.Context(), h); err != nil {
				t.Errorf("remove %s: %v", h, err)
			}
		}
		if names := Names(t, s, k); !slices.Equal(names, []string{keep.Name}) {
			t.Errorf("%s left: %v", k, names)
		}
	}
}

func testList(t *testing.T, s storage.Store) {
	want := map[storage.Kind]map[string]int64{}
	for _, k := range storage.Kinds() {
		want[k] = map[string]int64{}
		n := 12
		if k == storage.ConfigFile {
			n = 1
		}
		for i := range n {
			h := Put(t, s, k, Content(uint64(i)+uint64(k)<<8, i*7))
			want[k][h.Name] = int64(i * 7)
		}
	}
	for _, k := range storage.Kinds() {
		got := map[string]int64{}
		if err := s.Reader().List(t.Context(), k, func(i storage.Info) error {
			if _, twice := got[i.Name]; twice {
				t.Errorf("%s %s was listed twice", k, i.Name)
			}
			got[i.Name] = i.Size
			// The config is asked for, not listed; REST servers list no times.
			age := time.Since(i.Modified)
			switch rest := strings.HasPrefix(s.Reader().Location(), "rest:"); {
			case k == storage.ConfigFile:
			case rest && !i.Modified.IsZero(), !rest && (age > time.Hour || age < -time.Hour):
				t.Errorf("%s %s was stored at %s", k, i.Name, i.Modified)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got) != fmt.Sprint(want[k]) {
			t.Errorf("%s: listed %v, want %v", k, got, want[k])
		}
	}
}

func testListStops(t *testing.T, s storage.Store) {
	for i := range 5 {
		Put(t, s, storage.PackFile, Content(uint64(i), 10))
	}
	stop := errors.New("enough")
	calls := 0
	err := s.Reader().List(t.Context(), storage.PackFile, func(storage.Info) error {
		calls++
		return stop
	})
	if err != stop || calls != 1 {
		t.Errorf("got %v after %d calls, want the callback's own error after 1", err, calls)
	}
}

func testCancelled(t *testing.T, s storage.Store) {
	h := Put(t, s, storage.PackFile, Content(1, 1000))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := storage.NewPayload([]byte("late"))
	late := HandleFor(storage.PackFile, []byte("late"))
	_, err := load(ctx, s, h, 0, 0)
	wantErr(t, "load", err, context.Canceled)
	_, err = s.Reader().Stat(ctx, h)
	wantErr(t, "stat", err, context.Canceled)
	wantErr(t, "list", s.Reader().List(ctx, storage.PackFile, func(storage.Info) error { return nil }), context.Canceled)
	wantErr(t, "save", s.Writer().Save(ctx, late, p), context.Canceled)
	wantErr(t, "create", s.Writer().Create(ctx, storage.Handle{Kind: storage.ConfigFile}, p), context.Canceled)
	wantErr(t, "remove", s.Remover().Remove(ctx, h), context.Canceled)
	wantErr(t, "probe", s.Probe(ctx), context.Canceled)
	if names := Names(t, s, storage.PackFile); !slices.Equal(names, []string{h.Name}) {
		t.Errorf("left: %v", names)
	}
}

func testParallel(t *testing.T, s storage.Store) {
	data := Content(9, 200_000)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 4 {
				// All save one file, and each its own.
				for _, d := range [][]byte{data, Content(uint64(100+i*4+j), 3000)} {
					if err := s.Writer().Save(t.Context(), HandleFor(storage.PackFile, d), storage.NewPayload(d)); err != nil {
						t.Errorf("save: %v", err)
					}
				}
				if got, err := load(t.Context(), s, HandleFor(storage.PackFile, data), 1000, 1000); err != nil || !bytes.Equal(got, data[1000:2000]) {
					t.Errorf("load: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if names := Names(t, s, storage.PackFile); len(names) != 33 {
		t.Errorf("%d files, want 33", len(names))
	}
}

// testSides proves that a value which may read cannot be turned into one that
// may write or delete.
func testSides(t *testing.T, s storage.Store) {
	for name, side := range map[string]any{"reader": s.Reader(), "writer": s.Writer(), "locker": s.Locker(), "remover": s.Remover()} {
		_, isReader := side.(storage.Reader)
		_, isWriter := side.(storage.Writer)
		_, isLocker := side.(storage.Locker)
		_, isRemover := side.(storage.Remover)
		_, isStore := side.(storage.Store)
		_, isBackend := side.(storage.Backend)
		_, loads := side.(interface {
			Load(context.Context, storage.Handle, int64, int64) (io.ReadCloser, error)
		})
		_, saves := side.(interface {
			Save(context.Context, storage.Handle, storage.Payload) error
		})
		_, removes := side.(interface {
			Remove(context.Context, storage.Handle) error
		})
		_, unlocks := side.(interface {
			RemoveLock(context.Context, string) error
		})
		got := []bool{isReader, isWriter, isLocker, isRemover, loads, saves, unlocks, removes, isStore, isBackend}
		want := []bool{name == "reader", name == "writer", name == "locker", name == "remover",
			name == "reader", name == "writer", name == "locker", name == "remover", false, false}
		if !slices.Equal(got, want) {
			t.Errorf("the %s can be asserted to %v, want %v", name, got, want)
		}
	}
}
