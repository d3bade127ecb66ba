package docker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// stream is the connection of a running command, after the upgrade.
type stream struct {
	net.Conn
	// r reads the connection at the pace that is allowed.
	r    *bufio.Reader
	pace pace

	mu          sync.Mutex
	interrupted bool
}

// Read waits for bytes as long as the pace allows.
func (s *stream) Read(p []byte) (int, error) {
	for {
		if err := s.limitRead(s.pace.until()); err != nil {
			return 0, err
		}
		if s.wasInterrupted() {
			return 0, os.ErrDeadlineExceeded
		}
		n, err := s.Conn.Read(p)
		if n > 0 || err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || s.wasInterrupted() {
			return n, err
		}
		until := s.pace.until()
		if until.IsZero() {
			return n, err
		}
		if !time.Now().Before(until) {
			return 0, ErrStalled
		}
	}
}

// limitRead sets a time limit, unless the stream was interrupted. The zero
// time is none.
func (s *stream) limitRead(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.interrupted {
		return nil
	}
	return s.SetReadDeadline(t)
}

func (s *stream) wasInterrupted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.interrupted
}

// interrupt makes every read and write of the stream return now and for ever.
// The connection stays open: the command's stdin must not end yet.
func (s *stream) interrupt() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.interrupted = true
	return s.SetDeadline(time.Unix(1, 0))
}

// drain throws away what an interrupted stream still carries, until the
// returned function is called: an Engine that can't get rid of a command's
// output is slow to notice that the command is over.
func (s *stream) drain(limit time.Duration) (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if s.SetReadDeadline(time.Now().Add(limit)) == nil {
			_, _ = io.Copy(io.Discard, s.Conn) // however it ends, nobody needs it
		}
	}()
	return func() {
		// Again and again, for the goroutine may set its own limit after ours.
		for {
			_ = s.SetReadDeadline(time.Unix(1, 0))
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
}

// closeWrite tells the command that its input is at its end.
func (s *stream) closeWrite() error {
	if c, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return fmt.Errorf("connection to the docker engine cannot be half-closed: %w", ErrNoUpgrade)
}

// createExec announces a command to the Engine and returns its ID.
func (e *Engine) createExec(ctx context.Context, id string, opt container.ExecOptions) (string, error) {
	var exec string
	err := e.once(ctx, "POST /containers/{id}/exec", func(ctx context.Context) error {
		r, err := e.cli.ContainerExecCreate(ctx, id, opt)
		switch {
		case errdefs.IsNotFound(err):
			return fmt.Errorf("%w: %s", ErrNoContainer, short(id))
		case errdefs.IsConflict(err):
			return fmt.Errorf("%w: %w", ErrNotRunning, err)
		}
		exec = r.ID
		return err
	})
	return exec, err
}

// startExec starts a command and takes its connection over. Where it fails
// after the request was sent, the command may run all the same: sent says so.
func (e *Engine) startExec(ctx context.Context, exec string) (s *stream, sent bool, err error) {
	const call = "POST /exec/{id}/start"
	ctx, cancel := context.WithTimeout(ctx, e.opt.CallTimeout)
	defer cancel()
	conn, err := e.cli.Dialer()(ctx)
	if err != nil {
		return nil, false, e.unreachable(ctx, call, err)
	}
	s = &stream{Conn: conn}
	s.r = bufio.NewReaderSize(s, 64<<10)
	interrupted := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { interrupted <- s.interrupt() })
	err = e.upgrade(s, exec)
	if !stop() {
		err = errors.Join(err, context.Cause(ctx), <-interrupted)
	}
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("docker engine did not answer %s within %s: %w", call, e.opt.CallTimeout, err)
		}
		return nil, true, errors.Join(err, conn.Close())
	}
	return s, true, nil
}

// upgrade sends the request that starts a command and judges the answer.
func (e *Engine) upgrade(s *stream, exec string) error {
	body, err := json.Marshal(container.ExecStartOptions{})
	if err != nil {
		return err
	}
	u, err := client.ParseHostURL(e.Host())
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodPost, "http://"+client.DummyHost+u.Path+"/v"+e.cli.ClientVersion()+"/exec/"+exec+"/start", bytes.NewReader(body))
	if err != nil {
		return err
	}
	if u.Scheme != "unix" {
		req.Host = u.Host
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "tcp")
	if err := req.Write(s); err != nil {
		return fmt.Errorf("%w: %w", ErrEngineGone, err)
	}
	resp, err := http.ReadResponse(s.r, req)
	if err != nil {
		return fmt.Errorf("start command: no answer: %w: %w", ErrEngineGone, err)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil
	}
	return answerInstead(resp)
}

// answerInstead is the error for an answer that isn't the upgrade.
func answerInstead(resp *http.Response) error {
	if resp.StatusCode < 300 {
		return fmt.Errorf("POST /exec/{id}/start was answered with %d instead of an upgraded connection: %w; a proxy before the docker socket doesn't pass upgrades on: make it pass the Connection and Upgrade headers, or mount the socket itself", resp.StatusCode, ErrNoUpgrade)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil && len(text) == 0 {
		text = []byte(resp.Status)
	}
	var said struct {
		Message string `json:"message"`
	}
	msg := strings.TrimSpace(string(text))
	if json.Unmarshal(text, &said) == nil && said.Message != "" {
		msg = said.Message
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed:
		return fmt.Errorf("%w: POST /exec/{id}/start; allow this call there, or mount the socket itself: %s", ErrForbidden, msg)
	case http.StatusNotFound:
		return fmt.Errorf("%w: %s", ErrNoContainer, msg)
	case http.StatusConflict:
		return fmt.Errorf("%w: %s", ErrNotRunning, msg)
	}
	return fmt.Errorf("start command: docker engine answered %s: %s", resp.Status, msg)
}

// hungUp reports whether the other end is gone.
func hungUp(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}
