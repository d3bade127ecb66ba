package volume

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// HelperOptions is what a helper is told: where its sidecar listens, the token
// that proves who it is, and how many connections to make.
type HelperOptions struct {
	Socket      string
	Token       string
	Connections int
}

// jobHandler does one job at the helper's end. header is the job's whole JSON
// header. What it returns ends its direction of the stream: an error travels to
// the sidecar; after nil, the stream ends well.
type jobHandler func(ctx context.Context, header json.RawMessage, s *stream) error

// handlerOf gives who does a job, or nil.
func handlerOf(job string) jobHandler {
	switch job {
	case jobWalk:
		return serveWalk
	case jobRestore:
		return serveRestore
	case jobRecover:
		return serveRecover
	case jobSpace:
		return serveSpace
	case jobFind:
		return serveFind
	case jobCopy:
		return serveCopy
	case jobCheck:
		return serveCheck
	case jobFiles:
		return serveFiles
	case jobPlace:
		return servePlace
	}
	return nil
}

// errBroken says that the sidecar broke a connection off, which it does to end
// one job alone: in the middle of it, or just before or after.
var errBroken = errors.New("the sidecar broke off")

// ServeHelper connects to the sidecar and does the jobs that it asks for, until
// the sidecar closes the connections and takes no others, which is the normal
// end and nil, or ctx ends.
func ServeHelper(ctx context.Context, opt HelperOptions) error {
	n := max(opt.Connections, 1)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = serveAgain(ctx, opt) })
	}
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return errors.Join(errs...)
}

// serveAgain keeps one connection up: broken off, it connects anew for the next
// job, and ends when the sidecar wants it no longer.
func serveAgain(ctx context.Context, opt HelperOptions) error {
	again := false
	for {
		err := serveConnection(ctx, opt)
		if again && (errors.Is(err, ErrRefused) || isRefused(err) || errors.Is(err, syscall.ENOENT)) {
			return nil
		}
		if !errors.Is(err, errBroken) || ctx.Err() != nil {
			return err
		}
		again = true
	}
}

func serveConnection(ctx context.Context, opt HelperOptions) error {
	dialer := net.Dialer{Timeout: handshakeTime}
	conn, err := dialer.DialContext(ctx, "unix", opt.Socket)
	if err != nil {
		return fmt.Errorf("connect to the sidecar: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := hello(conn, opt.Token); err != nil {
		return err
	}
	if err := serveJobs(ctx, conn); err != nil {
		return err
	}
	return errBroken // if the sidecar is done with us, it refuses the next one
}

// serveJobs does what is asked of it on a connection, until that is closed.
func serveJobs(ctx context.Context, conn net.Conn) error {
	r := bufio.NewReaderSize(conn, readBuffer)
	for {
		if _, err := r.Peek(1); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
				return nil
			}
			return fmt.Errorf("wait for a job: %w", err)
		}
		if err := serveJob(ctx, newStream(conn, r)); err != nil {
			return err
		}
	}
}

// serveJob does one job. What goes wrong inside it is told to the sidecar; the
// error that is returned is about the connection.
func serveJob(ctx context.Context, s *stream) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err := runJob(ctx, s)
	if err == nil {
		err = s.CloseWrite()
	}
	if err != nil {
		if err := s.Fail(err); err != nil {
			return fmt.Errorf("%w: %w", errBroken, err)
		}
	}
	if !s.finish() {
		return errBroken
	}
	return nil
}

func runJob(ctx context.Context, s *stream) error {
	raw, err := s.readMessage(maxFrame)
	if err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	var head struct {
		Job string `json:"job"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	handle := handlerOf(head.Job)
	if handle == nil {
		return fmt.Errorf("the helper does not know the job %q: it runs another version of the image", head.Job)
	}
	return handle(ctx, raw, s)
}

// errnoText gives the kernel's words for an error, without Go's prefixes.
func errnoText(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
