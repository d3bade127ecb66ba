package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
)

// Op is an operation that a fault strikes.
type Op string

// The operations. Locks are saved by OpSave and removed by OpRemove, with
// kind [storage.LockFile].
const (
	OpAny       Op = ""
	OpLoad      Op = "load"
	OpStat      Op = "stat"
	OpList      Op = "list"
	OpSave      Op = "save"
	OpCreate    Op = "create"
	OpProvision Op = "provision"
	OpRemove    Op = "remove"
	OpProbe     Op = "probe"
)

// ErrInjected is what a fault without an error of its own fails with. It is
// of the kind that is tried again.
var ErrInjected = errors.New("injected fault")

// Action is what a fault does.
type Action uint8

// The actions.
const (
	// Fail returns the error; nothing happens.
	Fail Action = iota
	// Lose lets the operation happen and then returns the error, as when the
	// response is lost.
	Lose
	// Cut transfers only the first At bytes: a Load breaks there with the
	// error; a Save stores that much and reports success.
	Cut
	// Corrupt flips a bit of byte At, in what is loaded or what is stored,
	// and reports success. A file that is shorter gets its last byte altered.
	Corrupt
	// Stall hangs until the context ends. A Load hangs after At bytes.
	Stall
	// Call runs Do and then the operation, unless Do panics or exits.
	Call
)

// Fault is one fault to inject.
type Fault struct {
	Op    Op
	Kind  storage.Kind // 0: any; ignored for OpProvision and OpProbe
	Name  string       // "": any
	Nth   int          // strikes at the nth matching call, from 1; 0 means 1
	Times int          // strikes so many calls in a row; 0 means 1, negative all from Nth on
	Do    func()       // for Call, and before any other action where set
	Err   error        // nil means ErrInjected
	Act   Action
	At    int64
}

// Armed is a fault in its place.
type Armed struct {
	f     *Faulty
	fault Fault
	seen  int
	hits  int
}

// Hits is how often the fault struck.
func (a *Armed) Hits() int {
	a.f.b.mu.Lock()
	defer a.f.b.mu.Unlock()
	return a.hits
}

// Disarm takes the fault away. A fault that never struck fails its test all
// the same.
func (a *Armed) Disarm() {
	a.f.b.mu.Lock()
	defer a.f.b.mu.Unlock()
	a.fault.Times = 0
	a.fault.Nth = -1
}

// Faulty is a Store that fails as it is told, and fails its test at the end
// where a fault that was armed was never hit.
type Faulty struct {
	storage.Store
	t testing.TB
	b *faulty
}

// NewFaulty returns s with no fault armed.
func NewFaulty(t testing.TB, s storage.Store) *Faulty {
	t.Helper()
	b := &faulty{Backend: storage.Join(s)}
	return &Faulty{Store: storage.New(b), t: t, b: b}
}

// Arm puts a fault in its place. Of several that match one call, the first
// that was armed strikes; each counts its own calls.
func (f *Faulty) Arm(fault Fault) *Armed {
	f.t.Helper()
	if fault.Nth == 0 {
		fault.Nth = 1
	}
	if fault.Times == 0 {
		fault.Times = 1
	}
	if fault.Err == nil {
		fault.Err = ErrInjected
	}
	a := &Armed{f: f, fault: fault}
	f.b.mu.Lock()
	f.b.armed = append(f.b.armed, a)
	f.b.mu.Unlock()
	f.t.Cleanup(func() {
		f.b.mu.Lock()
		defer f.b.mu.Unlock()
		if a.hits == 0 {
			f.t.Errorf("fault was armed and never hit: %q %s, call %d; %d such calls were seen", fault.Op, fault.Kind, fault.Nth, a.seen)
		}
	})
	return a
}

// faulty is the backend.
type faulty struct {
	storage.Backend
	mu    sync.Mutex
	armed []*Armed
}

// Retainer is that of the store below: no fault strikes it.
func (b *faulty) Retainer() storage.Retainer {
	if r, ok := b.Backend.(interface{ Retainer() storage.Retainer }); ok {
		return r.Retainer()
	}
	return nil
}

// strike returns the fault that strikes this call, nil if none does. Its Do
// is called without the lock.
func (b *faulty) strike(op Op, h storage.Handle) *Fault {
	b.mu.Lock()
	var hit *Armed
	for _, a := range b.armed {
		f := &a.fault
		if f.Nth < 0 || f.Op != OpAny && f.Op != op || f.Kind != 0 && f.Kind != h.Kind || f.Name != "" && f.Name != h.Name {
			continue
		}
		a.seen++
		if hit == nil && a.seen >= f.Nth && (f.Times < 0 || a.seen < f.Nth+f.Times) {
			a.hits++
			hit = a
		}
	}
	b.mu.Unlock()
	if hit == nil {
		return nil
	}
	fault := hit.fault
	if fault.Do != nil {
		fault.Do()
	}
	return &fault
}

// around runs an operation without content under a fault.
func (b *faulty) around(ctx context.Context, op Op, h storage.Handle, do func() error) error {
	f := b.strike(op, h)
	if f == nil {
		return do()
	}
	switch f.Act {
	case Fail:
		return fmt.Errorf("%s %s: %w", op, h, f.Err)
	case Lose:
		if err := do(); err != nil {
			return err
		}
		return fmt.Errorf("%s %s: %w", op, h, f.Err)
	case Stall:
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return do()
}

func (b *faulty) Stat(ctx context.Context, h storage.Handle) (info storage.Info, err error) {
	err = b.around(ctx, OpStat, h, func() error {
		info, err = b.Backend.Stat(ctx, h)
		return err
	})
	return info, err
}

func (b *faulty) List(ctx context.Context, k storage.Kind, fn func(storage.Info) error) error {
	h := storage.Handle{Kind: k}
	return b.around(ctx, OpList, h, func() error { return b.Backend.List(ctx, k, fn) })
}

func (b *faulty) Provision(ctx context.Context) error {
	return b.around(ctx, OpProvision, storage.Handle{}, func() error { return b.Backend.Provision(ctx) })
}

func (b *faulty) Remove(ctx context.Context, h storage.Handle) error {
	return b.around(ctx, OpRemove, h, func() error { return b.Backend.Remove(ctx, h) })
}

func (b *faulty) Probe(ctx context.Context) error {
	return b.around(ctx, OpProbe, storage.Handle{}, func() error { return b.Backend.Probe(ctx) })
}

func (b *faulty) Save(ctx context.Context, h storage.Handle, p storage.Payload) error {
	return b.store(ctx, OpSave, h, p, b.Backend.Save)
}

func (b *faulty) Create(ctx context.Context, h storage.Handle, p storage.Payload) error {
	return b.store(ctx, OpCreate, h, p, b.Backend.Create)
}

func (b *faulty) store(ctx context.Context, op Op, h storage.Handle, p storage.Payload, to func(context.Context, storage.Handle, storage.Payload) error) error {
	f := b.strike(op, h)
	if f == nil {
		return to(ctx, h, p)
	}
	switch f.Act {
	case Cut, Corrupt:
		data, err := content(ctx, p)
		if err != nil {
			return err
		}
		return to(ctx, h, storage.NewPayload(f.alter(data)))
	case Lose:
		if err := to(ctx, h, p); err != nil {
			return err
		}
		return fmt.Errorf("%s %s: %w", op, h, f.Err)
	case Stall:
		<-ctx.Done()
		return context.Cause(ctx)
	case Call:
		return to(ctx, h, p)
	}
	return fmt.Errorf("%s %s: %w", op, h, f.Err)
}

// alter applies Cut or Corrupt to a whole content.
func (f *Fault) alter(data []byte) []byte {
	data = bytes.Clone(data)
	if f.Act == Cut {
		return data[:min(f.At, int64(len(data)))]
	}
	if len(data) > 0 {
		data[min(f.At, int64(len(data)-1))] ^= 1
	}
	return data
}

func (b *faulty) Load(ctx context.Context, h storage.Handle, offset, length int64) (io.ReadCloser, int64, error) {
	f := b.strike(OpLoad, h)
	if f != nil && (f.Act == Fail || f.Act == Lose) {
		return nil, 0, fmt.Errorf("load %s: %w", h, f.Err)
	}
	rc, n, err := b.Backend.Load(ctx, h, offset, length)
	if err != nil || f == nil || f.Act == Call {
		return rc, n, err
	}
	at := f.At
	if f.Act == Corrupt {
		at = min(at, n-1)
	}
	return &faultyReader{ReadCloser: rc, ctx: ctx, f: f, left: at}, n, nil
}

// faultyReader strikes after left bytes.
type faultyReader struct {
	io.ReadCloser
	ctx  context.Context
	f    *Fault
	left int64
	done bool
}

func (r *faultyReader) Read(p []byte) (int, error) {
	if r.done || len(p) == 0 {
		return r.ReadCloser.Read(p)
	}
	if r.left > 0 {
		n, err := r.ReadCloser.Read(p[:min(int64(len(p)), r.left)])
		r.left -= int64(n)
		return n, err
	}
	switch r.f.Act {
	case Corrupt:
		n, err := r.ReadCloser.Read(p)
		if n > 0 {
			p[0] ^= 1
		}
		r.done = n > 0
		return n, err
	case Stall:
		<-r.ctx.Done()
		return 0, context.Cause(r.ctx)
	}
	return 0, fmt.Errorf("load: %w", r.f.Err)
}
