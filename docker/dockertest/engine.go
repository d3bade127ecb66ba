package dockertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// API versions that the fake speaks, unless Versions says otherwise.
const (
	defaultAPI    = "1.41"
	defaultMinAPI = "1.12"
)

// Engine is a fake Docker Engine.
type Engine struct {
	t      testing.TB
	socket string

	mu         sync.Mutex
	server     *http.Server
	api        string
	minAPI     string
	containers map[string]*box
	volumes    map[string]Volume
	images     map[string]map[string]string
	commands   map[string]Program
	execs      map[string]*execution
	faults     []*armed
	ignore     bool
	dataRoot   string
	before     func()
	balks      func(Container) int
	calls      []string
	seq        int
	serving    sync.WaitGroup
	running    sync.WaitGroup
	conns      map[net.Conn]struct{}
	closing    context.Context
}

// New starts a fake Engine that ends with the test.
func New(t testing.TB) *Engine {
	t.Helper()
	dir, err := os.MkdirTemp("", "dockertest") // t.TempDir() may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	closing, stop := context.WithCancel(context.Background())
	e := &Engine{
		t: t, socket: filepath.Join(dir, "docker.sock"), api: defaultAPI, minAPI: defaultMinAPI,
		containers: map[string]*box{}, volumes: map[string]Volume{}, images: map[string]map[string]string{},
		commands: map[string]Program{}, execs: map[string]*execution{}, conns: map[net.Conn]struct{}{}, closing: closing,
	}
	e.Up()
	t.Cleanup(func() {
		stop()
		e.Down()
		e.mu.Lock()
		for _, b := range e.containers {
			e.halt(b, 137)
		}
		e.mu.Unlock()
		e.running.Wait()
		e.checkFaults()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return e
}

// Host is the fake's address for docker.Options.
func (e *Engine) Host() string { return "unix://" + e.socket }

// Versions sets the newest and the oldest API version that the fake speaks.
func (e *Engine) Versions(newest, oldest string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.api, e.minAPI = newest, oldest
}

// Down stops listening and breaks every connection off, as a restart of the
// Engine does. Commands that run are killed and forgotten.
func (e *Engine) Down() {
	e.mu.Lock()
	server := e.server
	e.server = nil
	for _, x := range e.execs {
		x.kill(137)
	}
	clear(e.execs)
	for c := range e.conns {
		_ = c.Close() // broken off on purpose
	}
	clear(e.conns)
	e.mu.Unlock()
	if server == nil {
		return
	}
	if err := server.Close(); err != nil {
		e.t.Errorf("dockertest: %v", err)
	}
	e.serving.Wait()
}

// Up listens again after Down.
func (e *Engine) Up() {
	e.t.Helper()
	if err := os.Remove(e.socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		e.t.Fatal(err)
	}
	l, err := net.Listen("unix", e.socket)
	if err != nil {
		e.t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(e.serve), ReadHeaderTimeout: 10 * time.Second}
	e.mu.Lock()
	e.server = server
	e.mu.Unlock()
	e.serving.Add(1)
	go func() {
		defer e.serving.Done()
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			e.t.Errorf("dockertest: %v", err)
		}
	}()
}

// IgnoreFilters makes lists answer with everything that there is, as a proxy
// that drops parameters would.
func (e *Engine) IgnoreFilters() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ignore = true
}

// BeforeCreate calls fn once, when the next container is about to be created.
func (e *Engine) BeforeCreate(fn func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.before = fn
}

// Balks has containers end right after they were started, before anybody can
// look at them: fn is asked for the exit code, and 0 lets one run on. It must
// not call the fake.
func (e *Engine) Balks(fn func(Container) (exit int)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.balks = fn
}

// Calls are the calls that were made so far, as "METHOD /path" with {id} and
// {name} in place of names, in order.
func (e *Engine) Calls() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.calls)
}

// Fault is something that goes wrong with a call.
type Fault struct {
	// Call is what goes wrong, as in Calls.
	Call string
	// Skip is how many calls go well first, Times how many go wrong then. 0: 1.
	Skip, Times int
	// Status and Message are answered instead.
	Status  int
	Message string
	// Drop breaks the connection off without an answer; with After, when the
	// call has been carried out.
	Drop, After bool
	// Stall never answers, until the caller goes away.
	Stall bool
	// Stream is what happens to the stream of "POST /exec/{id}/start".
	Stream *StreamFault
}

// StreamFault is something that goes wrong with the stream of a command.
type StreamFault struct {
	// Cut closes the connection after so many bytes of the multiplexed stream
	// (a frame is 8 bytes of header and the payload); 0: never.
	Cut int
	// LoseTail drops the last bytes of stdout, in whole frames' order, and
	// then ends the stream cleanly.
	LoseTail int
	// NoUpgrade answers 200 in place of 101.
	NoUpgrade bool
	// Raw is sent in place of the first frame.
	Raw []byte
}

type armed struct {
	Fault
	seen, hit int
}

// Fail arms a fault. One that is never hit fails the test.
func (e *Engine) Fail(f Fault) {
	if f.Times == 0 {
		f.Times = 1
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = append(e.faults, &armed{Fault: f})
}

// take returns the fault that is to hit a call, if any, and counts it.
func (e *Engine) take(call string) *Fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	var hit *armed
	for _, f := range e.faults {
		if f.Call != call {
			continue
		}
		f.seen++
		if hit == nil && f.seen > f.Skip && f.hit < f.Times {
			hit = f
		}
	}
	if hit == nil {
		return nil
	}
	hit.hit++
	return &hit.Fault
}

func (e *Engine) checkFaults() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, f := range e.faults {
		if f.hit == 0 {
			e.t.Errorf("dockertest: the fault armed for %s was never hit", f.Call)
		}
	}
}

// newID is like the Engine's: 64 hexadecimal digits. The caller holds mu.
func (e *Engine) newID() string {
	e.seq++
	return fmt.Sprintf("%012x%s", e.seq, strings.Repeat("0d0c", 13))
}

func (e *Engine) unexpected(r *http.Request, why string) {
	e.t.Errorf("dockertest: unexpected call %s %s: %s", r.Method, r.URL, why)
}
