package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// waits is a Sleep that only writes down.
type waits []time.Duration

func (w *waits) sleep(ctx context.Context, d time.Duration) error {
	*w = append(*w, d)
	return ctx.Err()
}

func TestRetryWaitsWithFullJitter(t *testing.T) {
	f := storagetest.NewFaulty(t, storagetest.NewMemory())
	f.Arm(storagetest.Fault{Op: storagetest.OpSave, Times: -1})
	var w waits
	var events []storage.RetryEvent
	s := storage.Retry(f, storage.RetryOptions{
		Tries: 9, Base: time.Second, Cap: 30 * time.Second, Sleep: w.sleep, Rand: func() float64 { return 0.5 },
		Notify: func(e storage.RetryEvent) { events = append(events, e) },
	})
	data := []byte("x")
	err := s.Writer().Save(t.Context(), storagetest.HandleFor(storage.PackFile, data), storage.NewPayload(data))
	if !errors.Is(err, storagetest.ErrInjected) {
		t.Errorf("got %v, want the last error", err)
	}
	want := waits{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 15 * time.Second, 15 * time.Second, 15 * time.Second}
	if !slices.Equal(w, want) {
		t.Errorf("waited %v, want %v", w, want)
	}
	if len(events) != 8 || events[2].Try != 3 || events[2].Tries != 9 || events[2].Op != "save" || events[2].Wait != 2*time.Second {
		t.Errorf("told of %+v", events)
	}
}

func TestRetryIsBoundedByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := storagetest.NewFaulty(t, storagetest.NewMemory())
		a := f.Arm(storagetest.Fault{Op: storagetest.OpStat, Times: -1})
		p := f.Arm(storagetest.Fault{Op: storagetest.OpProbe, Times: -1})
		s := storage.Retry(f, storage.RetryOptions{})
		start := time.Now()
		if _, err := s.Reader().Stat(t.Context(), storage.Handle{Kind: storage.ConfigFile}); err == nil {
			t.Error("no error")
		}
		if took := time.Since(start); a.Hits() != 10 || took > 4*time.Minute {
			t.Errorf("%d tries in %s", a.Hits(), took)
		}
		start = time.Now()
		if err := s.Probe(t.Context()); err == nil || p.Hits() != 3 || time.Since(start) > 2*time.Second {
			t.Errorf("probe: %v after %d tries in %s", err, p.Hits(), time.Since(start))
		}
		_, err := s.Reader().Stat(storage.Impatient(t.Context()), storage.Handle{Kind: storage.ConfigFile})
		if err == nil || a.Hits() != 13 {
			t.Errorf("impatient: %v after %d tries", err, a.Hits()-10)
		}
	})
}

func TestRetryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := storagetest.NewFaulty(t, storagetest.NewMemory())
		a := f.Arm(storagetest.Fault{Op: storagetest.OpStat, Times: -1})
		s := storage.Retry(f, storage.RetryOptions{Tries: 1000, Base: time.Hour, Cap: time.Hour, Rand: func() float64 { return 0.99 }})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		start := time.Now()
		_, err := s.Reader().Stat(ctx, storage.Handle{Kind: storage.ConfigFile})
		if !errors.Is(err, context.Canceled) || !errors.Is(err, storagetest.ErrInjected) || time.Since(start) != time.Minute || a.Hits() != 1 {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

func TestFinalErrorsAreNotTriedAgain(t *testing.T) {
	for _, final := range []error{storage.ErrDenied, storage.ErrNoSpace, storage.ErrNotExist, storage.ErrExpired, storage.ErrClockSkew, context.Canceled} {
		f := storagetest.NewFaulty(t, storagetest.NewMemory())
		a := f.Arm(storagetest.Fault{Times: -1, Err: fmt.Errorf("wrapped: %w", final)})
		var w waits
		s := storage.Retry(f, storage.RetryOptions{Sleep: w.sleep})
		if _, err := s.Reader().Stat(t.Context(), storage.Handle{Kind: storage.ConfigFile}); !errors.Is(err, final) || a.Hits() != 1 || len(w) != 0 {
			t.Errorf("%v: %v after %d tries", final, err, a.Hits())
		}
	}
}

func TestLoadGoesOnWhereItBroke(t *testing.T) {
	m := storagetest.NewMemory()
	data := storagetest.Content(1, 100_000)
	h := storagetest.Put(t, m, storage.PackFile, data)
	for name, c := range map[string]struct {
		err  error
		reps int
		ok   bool
	}{
		"broken":       {nil, 3, true},
		"ended early":  {io.EOF, 3, true},
		"too often":    {nil, 4, false},
		"not trusted":  {storage.ErrUntrusted, 1, false},
		"not tried at": {storage.ErrTruncated, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := storagetest.NewFaulty(t, m)
			a := f.Arm(storagetest.Fault{Op: storagetest.OpLoad, Act: storagetest.Cut, At: 20_000, Times: c.reps, Err: c.err})
			counted, n := storage.Count(f)
			var w waits
			s := storage.Retry(counted, storage.RetryOptions{Tries: 4, Sleep: w.sleep})
			rc, err := s.Reader().Load(t.Context(), h, 5000, 90_000)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(rc)
			if cerr := rc.Close(); cerr != nil {
				t.Error(cerr)
			}
			if c.ok && (err != nil || !bytes.Equal(got, data[5000:95_000])) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if !c.ok && (err == nil || !bytes.Equal(got, data[5000:5000+20_000*c.reps])) {
				t.Errorf("%d bytes, %v; want an error", len(got), err)
			}
			if a.Hits() != c.reps || c.ok && n.Counts().BytesRead != 90_000 {
				t.Errorf("%d hits, %d bytes read: what was there must not be read twice", a.Hits(), n.Counts().BytesRead)
			}
		})
	}
}

func TestF25_LostResponses(t *testing.T) {
	m := storagetest.NewMemory()
	f := storagetest.NewFaulty(t, m)
	var w waits
	s := storage.Retry(f, storage.RetryOptions{Sleep: w.sleep})
	for _, op := range []storagetest.Op{storagetest.OpSave, storagetest.OpCreate, storagetest.OpRemove} {
		f.Arm(storagetest.Fault{Op: op, Act: storagetest.Lose})
	}
	h := storagetest.Put(t, s, storage.PackFile, []byte("pack"))
	storagetest.Put(t, s, storage.ConfigFile, []byte("config"))
	if err := s.Remover().Remove(t.Context(), h); err != nil {
		t.Error(err)
	}
	if got, ok := m.Bytes(storage.Handle{Kind: storage.ConfigFile}); !ok || string(got) != "config" {
		t.Errorf("config: %q", got)
	}
	if len(m.Handles(storage.PackFile)) != 0 {
		t.Error("the pack is still there")
	}
	// A first try that failed before anything was stored, and somebody else
	// who was faster then.
	m.Delete(storage.Handle{Kind: storage.ConfigFile})
	f.Arm(storagetest.Fault{Op: storagetest.OpCreate, Do: func() { m.Put(storage.Handle{Kind: storage.ConfigFile}, []byte("theirs")) }})
	err := s.Writer().Create(t.Context(), storage.Handle{Kind: storage.ConfigFile}, storage.NewPayload([]byte("config")))
	if !errors.Is(err, storage.ErrExist) {
		t.Errorf("create: %v, want ErrExist", err)
	}
}

func TestCount(t *testing.T) {
	s, c := storage.Count(storagetest.NewMemory())
	h := storagetest.Put(t, s, storage.PackFile, make([]byte, 1000))
	storagetest.Put(t, s, storage.ConfigFile, make([]byte, 10))
	storagetest.Get(t, s, h)
	storagetest.Names(t, s, storage.PackFile)
	if err := s.Remover().Remove(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	want := storage.Counts{Loads: 1, Lists: 1, Saves: 1, Creates: 1, Removes: 1, BytesRead: 1000, BytesWritten: 1010}
	if got := c.Counts(); got != want || got.Requests() != 5 {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
