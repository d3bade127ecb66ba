package dockertest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
)

// Program is a command of a fake container. It returns its exit code. When it
// is ended its context is done, and it must return soon after.
type Program func(ctx context.Context, p *Process) int

// Process is what a Program sees.
type Process struct {
	Container  string // its name
	Argv, Env  []string
	User       string
	Stdin      io.Reader
	Stdout     io.Writer
	Stderr     io.Writer
	WorkingDir string
}

// Command says what a command does, by the first word of its argv, in every
// container. Other commands are not found, as in an image without them.
func (e *Engine) Command(name string, p Program) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.commands[name] = p
}

// execution is a command that was created, runs or has run.
type execution struct {
	box    *box
	opt    container.ExecOptions
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	running bool
	killed  int // exit code if it was killed
	code    int
}

func newExecution(b *box, opt container.ExecOptions) *execution {
	ctx, cancel := context.WithCancel(context.Background())
	return &execution{box: b, opt: opt, ctx: ctx, cancel: cancel}
}

func (x *execution) kill(code int) {
	x.mu.Lock()
	if x.killed == 0 {
		x.killed = code
	}
	x.mu.Unlock()
	x.cancel()
}

func (x *execution) finish(code int) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.running, x.code = false, code
	if x.killed != 0 {
		x.code = x.killed
	}
	return x.code
}

func (e *Engine) execCreate(w http.ResponseWriter, r *http.Request, id string) {
	var opt container.ExecOptions
	if err := json.NewDecoder(r.Body).Decode(&opt); err != nil {
		e.unexpected(r, err.Error())
	}
	if opt.Tty || opt.Privileged || !opt.AttachStdout || !opt.AttachStderr {
		e.unexpected(r, "a terminal, privileges or no output")
	}
	e.with(w, id, func(b *box) {
		if b.State != container.StateRunning {
			refuse(w, http.StatusConflict, "Container "+id+" is "+b.State)
			return
		}
		xid := e.newID()
		e.execs[xid] = newExecution(b, opt)
		reply(w, http.StatusCreated, map[string]string{"Id": xid})
	})
}

func (e *Engine) execInspect(w http.ResponseWriter, _ *http.Request, id string) {
	e.mu.Lock()
	x, ok := e.execs[id]
	e.mu.Unlock()
	if !ok {
		refuse(w, http.StatusNotFound, "No such exec instance: "+id)
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	reply(w, http.StatusOK, container.ExecInspect{ExecID: id, ContainerID: x.box.ID, Running: x.running, ExitCode: x.code})
}

var gated = regexp.MustCompile(`^"\$@" && printf %s '([A-Za-z0-9_-]{32})'$`)

// unwrap takes the gate off a command.
func unwrap(argv []string) (inner []string, token string) {
	if len(argv) > 4 && argv[0] == "sh" && argv[1] == "-c" {
		if m := gated.FindStringSubmatch(argv[2]); m != nil {
			return argv[4:], m[1]
		}
	}
	return argv, ""
}

func (e *Engine) execStart(w http.ResponseWriter, r *http.Request, id string) {
	var opt container.ExecStartOptions
	if err := json.NewDecoder(r.Body).Decode(&opt); err != nil || opt.Detach || opt.Tty {
		e.unexpected(r, "detached, with a terminal, or unreadable")
	}
	e.mu.Lock()
	x, ok := e.execs[id]
	e.mu.Unlock()
	f := &Fault{}
	// The commands that end others are not hit: they come after a fault.
	if ok && !isEnd(x.opt.Cmd) {
		if hit := e.take("POST /exec/{id}/start"); hit != nil {
			f = hit
		}
	}
	switch {
	case f.Status != 0:
		refuse(w, f.Status, f.Message)
		return
	case f.Drop:
		panic(http.ErrAbortHandler)
	case f.Stall:
		select {
		case <-r.Context().Done():
		case <-e.closing.Done():
		}
		return
	case !ok:
		refuse(w, http.StatusNotFound, "No such exec instance: "+id)
		return
	}
	if r.Header.Get("Upgrade") != "tcp" || r.Header.Get("Connection") != "Upgrade" {
		e.unexpected(r, "no upgrade asked for")
	}
	x.mu.Lock()
	x.running = true
	x.mu.Unlock()
	if f.Stream == nil {
		f.Stream = &StreamFault{}
	}
	if f.Stream.NoUpgrade {
		reply(w, http.StatusOK, nil)
		e.running.Add(1)
		go func() {
			defer e.running.Done()
			x.finish(e.program(x)(x.ctx, x.process(strings.NewReader(""), io.Discard, io.Discard)))
		}()
		return
	}
	conn, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		e.t.Errorf("dockertest: %v", err)
		return
	}
	e.mu.Lock()
	e.conns[conn] = struct{}{}
	e.mu.Unlock()
	e.running.Add(1)
	defer e.running.Done()
	e.stream(x, conn, rw, f.Stream)
}

// stream runs a command on a hijacked connection.
func (e *Engine) stream(x *execution, conn net.Conn, rw *bufio.ReadWriter, f *StreamFault) {
	defer func() {
		_ = conn.Close() // its peer may be gone
		e.mu.Lock()
		delete(e.conns, conn)
		e.mu.Unlock()
	}()
	out := &wire{w: conn, cut: f.Cut, closer: conn}
	fmt.Fprintf(conn, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
	if len(f.Raw) > 0 {
		_, _ = conn.Write(f.Raw)
	}
	stdout := io.Writer(&framer{out, 1})
	var late *bytes.Buffer
	if f.LoseTail > 0 {
		late = &bytes.Buffer{}
		stdout = late
	}
	// A killed command's reads and writes return.
	stop := context.AfterFunc(x.ctx, func() { _ = conn.SetDeadline(time.Now().Add(200 * time.Millisecond)) })
	defer stop()
	argv, token := unwrap(x.opt.Cmd)
	var stdin io.Reader = strings.NewReader("")
	if x.opt.AttachStdin {
		stdin = rw
	}
	p := x.process(stdin, stdout, &framer{out, 2})
	code := 0
	switch {
	case isEnd(argv):
		e.endOthers(x.box, argv)
	default:
		code = e.program(x)(x.ctx, p)
		x.mu.Lock()
		killed := x.killed
		x.mu.Unlock()
		if code == 0 && token != "" && killed == 0 {
			_, _ = io.WriteString(stdout, token)
		}
	}
	if late != nil {
		_, _ = (&framer{out, 1}).Write(late.Bytes()[:max(0, late.Len()-f.LoseTail)])
	}
	x.finish(code)
}

func (x *execution) process(in io.Reader, out, errs io.Writer) *Process {
	argv, _ := unwrap(x.opt.Cmd)
	return &Process{Container: x.box.Name, Argv: argv, Env: append(slices.Clone(x.box.Env), x.opt.Env...), User: x.opt.User, Stdin: in, Stdout: out, Stderr: errs, WorkingDir: x.opt.WorkingDir}
}

// program is what a command does; for those that there are not it says so, as
// the real Engine does: on stdout.
func (e *Engine) program(x *execution) Program {
	argv, token := unwrap(x.opt.Cmd)
	e.mu.Lock()
	defer e.mu.Unlock()
	if p, ok := e.commands[argv[0]]; ok {
		return p
	}
	return func(_ context.Context, p *Process) int {
		if token != "" {
			fmt.Fprintf(p.Stderr, "sh: 1: %s: not found\n", argv[0])
		} else {
			fmt.Fprintf(p.Stdout, "OCI runtime exec failed: exec failed: unable to start container process: exec: %q: executable file not found in $PATH: unknown\r\n", argv[0])
		}
		return 127
	}
}

// isEnd reports whether a command is the script that ends another.
func isEnd(argv []string) bool {
	return len(argv) >= 6 && argv[0] == "sh" && argv[1] == "-c" && argv[3] == "ripplebak-end"
}

// endOthers ends the commands of a container that carry a mark.
func (e *Engine) endOthers(b *box, argv []string) {
	code := 143
	if argv[4] == "KILL" {
		code = 137
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, x := range e.execs {
		if x.box == b && slices.Contains(x.opt.Env, "RIPPLEBAK_RUN="+argv[5]) {
			x.kill(code)
		}
	}
}

// boot runs the command of a container that was created here. The caller holds mu.
func (e *Engine) boot(b *box) {
	x := newExecution(b, container.ExecOptions{Cmd: b.argv})
	x.running = true
	b.process = x
	e.running.Add(1)
	go func() {
		defer e.running.Done()
		code := x.finish(e.program(x)(x.ctx, x.process(strings.NewReader(""), io.Discard, io.Discard)))
		e.mu.Lock()
		defer e.mu.Unlock()
		if b.process == x {
			e.halt(b, code)
		}
	}()
}

// wire is a connection that may be cut.
type wire struct {
	mu     sync.Mutex
	w      io.Writer
	closer io.Closer
	cut    int
	sent   int
}

func (c *wire) Write(p []byte) (int, error) {
	if c.cut > 0 && c.sent+len(p) >= c.cut {
		n, _ := c.w.Write(p[:max(0, c.cut-c.sent)]) // cut on purpose
		c.sent += n
		_ = c.closer.Close()
		return n, io.ErrClosedPipe
	}
	n, err := c.w.Write(p)
	c.sent += n
	return n, err
}

// framer writes frames of one stream, of at most 32 KiB as the Engine does.
type framer struct {
	w    *wire
	kind byte
}

func (f *framer) Write(p []byte) (int, error) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	for done := 0; done < len(p); {
		part := p[done:min(len(p), done+32<<10)]
		frame := make([]byte, 8, 8+len(part))
		frame[0] = f.kind
		binary.BigEndian.PutUint32(frame[4:], uint32(len(part)))
		if _, err := f.w.Write(append(frame, part...)); err != nil {
			return done, err
		}
		done += len(part)
	}
	return len(p), nil
}
