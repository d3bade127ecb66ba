package storagetest_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// recorder is a test that only notes its failures.
type recorder struct {
	testing.TB
	cleanups []func()
	errors   int
}

func (r *recorder) Helper()               {}
func (r *recorder) Cleanup(f func())      { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(string, ...any) { r.errors++ }

func TestFaultThatIsNotHitFails(t *testing.T) {
	r := &recorder{TB: t}
	f := storagetest.NewFaulty(r, storagetest.NewMemory())
	f.Arm(storagetest.Fault{Op: storagetest.OpSave, Kind: storage.IndexFile})
	hit := f.Arm(storagetest.Fault{Op: storagetest.OpSave, Kind: storage.PackFile, Nth: 2})
	f.Arm(storagetest.Fault{Op: storagetest.OpSave, Kind: storage.PackFile, Nth: 4})
	for i := range 3 {
		data := []byte{byte(i)}
		err := f.Writer().Save(t.Context(), storagetest.HandleFor(storage.PackFile, data), storage.NewPayload(data))
		if (err != nil) != (i == 1) {
			t.Errorf("save %d: %v", i+1, err)
		}
	}
	for _, c := range r.cleanups {
		c()
	}
	if r.errors != 2 || hit.Hits() != 1 {
		t.Errorf("%d faults complained of, want 2; %d hits", r.errors, hit.Hits())
	}
}

func TestActions(t *testing.T) {
	m := storagetest.NewMemory()
	f := storagetest.NewFaulty(t, m)
	data := []byte("0123456789")
	h, p := storagetest.HandleFor(storage.PackFile, data), storage.NewPayload(data)
	stored := func() string { b, _ := m.Bytes(h); return string(b) }
	save := func(ctx context.Context) error { return f.Writer().Save(ctx, h, p) }
	load := func(ctx context.Context) (string, error) {
		rc, err := f.Reader().Load(ctx, h, 0, 0)
		if err != nil {
			return "", err
		}
		got, err := io.ReadAll(rc)
		return string(got), errors.Join(err, rc.Close())
	}
	mine := errors.New("mine")

	f.Arm(storagetest.Fault{Op: storagetest.OpSave, Err: mine})
	if err := save(t.Context()); !errors.Is(err, mine) || stored() != "" {
		t.Errorf("fail: %v, stored %q", err, stored())
	}
	f.Arm(storagetest.Fault{Op: storagetest.OpSave, Act: storagetest.Cut, At: 4})
	if err := save(t.Context()); err != nil || stored() != "0123" {
		t.Errorf("cut: %v, stored %q", err, stored())
	}
	f.Arm(storagetest.Fault{Op: storagetest.OpSave, Act: storagetest.Corrupt, At: 99})
	if err := save(t.Context()); err != nil || stored() != "0123456788" {
		t.Errorf("corrupt: %v, stored %q", err, stored())
	}
	f.Arm(storagetest.Fault{Op: storagetest.OpSave, Act: storagetest.Lose})
	if err := save(t.Context()); !errors.Is(err, storagetest.ErrInjected) || stored() != "0123456789" {
		t.Errorf("lose: %v, stored %q", err, stored())
	}
	f.Arm(storagetest.Fault{Op: storagetest.OpLoad, Act: storagetest.Cut, At: 4, Err: io.EOF})
	if got, err := load(t.Context()); !errors.Is(err, storage.ErrShort) || got != "0123" {
		t.Errorf("cut load: %q, %v", got, err)
	}
	f.Arm(storagetest.Fault{Op: storagetest.OpLoad, Act: storagetest.Corrupt, At: 3})
	if got, err := load(t.Context()); err != nil || got != "0122456789" {
		t.Errorf("corrupt load: %q, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	f.Arm(storagetest.Fault{Op: storagetest.OpSave, Act: storagetest.Stall, Do: cancel})
	if err := save(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("stall: %v", err)
	}
	called := false
	f.Arm(storagetest.Fault{Op: storagetest.OpList, Act: storagetest.Call, Do: func() { called = true }})
	if names := storagetest.Names(t, f, storage.PackFile); len(names) != 1 || !called {
		t.Errorf("call: %v", names)
	}
	if !strings.Contains(f.Reader().Location(), "memory") {
		t.Error("location")
	}
}
