package docker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/docker/dockertest"
)

// quick is patient enough for a fake and no more.
func quick(f *dockertest.Engine) docker.Options {
	return docker.Options{
		Host: f.Host(), CallTimeout: 2 * time.Second, RetryFor: 2 * time.Second, RetryPause: 5 * time.Millisecond,
		Grace: 300 * time.Millisecond, Settle: 300 * time.Millisecond,
	}
}

func fake(t *testing.T) (*dockertest.Engine, *docker.Engine) {
	t.Helper()
	f := dockertest.New(t)
	return f, connect(t, quick(f))
}

func connect(t *testing.T, opt docker.Options) *docker.Engine {
	t.Helper()
	e, err := docker.Connect(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func print(s string) dockertest.Program {
	return func(_ context.Context, p *dockertest.Process) int {
		fmt.Fprint(p.Stdout, s)
		return 0
	}
}

func TestExecStreamsThroughFake(t *testing.T) {
	f, e := fake(t)
	f.Command("dump", func(_ context.Context, p *dockertest.Process) int {
		if !slices.Contains(p.Env, "A=b") || p.User != "postgres" {
			return 9
		}
		in, err := io.ReadAll(p.Stdin)
		if err != nil {
			return 8
		}
		fmt.Fprint(p.Stderr, "a note")
		fmt.Fprintf(p.Stdout, "%s%s", strings.Repeat("x", 100_000), in)
		return 0
	})
	id := f.AddContainer(dockertest.Container{})
	for _, gate := range []bool{true, false} {
		out, stderr, err := e.Run(t.Context(), docker.ExecRequest{
			Container: id, Argv: []string{"dump"}, Gate: gate, User: "postgres", Env: []string{"A=b"}, Stdin: strings.NewReader("input"),
		})
		if err != nil || stderr != "a note" || string(out) != strings.Repeat("x", 100_000)+"input" {
			t.Fatalf("%d bytes, %q, %v", len(out), stderr, err)
		}
	}
}

func TestF07_FrameCutInHalf(t *testing.T) {
	for _, gate := range []bool{true, false} {
		for _, at := range []int{3, 8, 20, 107} { // in a header, behind one, in the payload, one byte short
			f, e := fake(t)
			f.Command("dump", func(ctx context.Context, p *dockertest.Process) int {
				fmt.Fprint(p.Stdout, strings.Repeat("x", 100))
				return 0
			})
			id := f.AddContainer(dockertest.Container{})
			f.Fail(dockertest.Fault{Call: "POST /exec/{id}/start", Stream: &dockertest.StreamFault{Cut: at}})
			_, _, err := e.Run(t.Context(), docker.ExecRequest{Container: id, Argv: []string{"dump"}, Gate: gate})
			if !errors.Is(err, docker.ErrFrame) || !errors.Is(err, docker.ErrCut) {
				t.Errorf("gate %v, cut at %d: %v", gate, at, err)
			}
		}
	}
}

func TestF08_TailLost(t *testing.T) {
	for _, lost := range []int{1, 31, 32, 33, 64, 100_000} {
		f, e := fake(t)
		f.Command("dump", print(strings.Repeat("x", 90_000)))
		id := f.AddContainer(dockertest.Container{})
		f.Fail(dockertest.Fault{Call: "POST /exec/{id}/start", Stream: &dockertest.StreamFault{LoseTail: lost}})
		_, _, err := e.Run(t.Context(), docker.ExecRequest{Container: id, Argv: []string{"dump"}, Gate: true})
		if !errors.Is(err, docker.ErrCut) || !strings.Contains(err.Error(), "proxy") {
			t.Errorf("%d bytes lost: %v", lost, err)
		}
	}
}

func TestF08_CutBetweenFrames(t *testing.T) {
	// The command runs on when the stream ends: it is ended, and that is said.
	f, e := fake(t)
	var ended bool
	f.Command("dump", func(ctx context.Context, p *dockertest.Process) int {
		for i := 0; ; i++ {
			if _, err := fmt.Fprint(p.Stdout, "12"); err != nil {
				break
			}
		}
		<-ctx.Done()
		ended = true
		return 0
	})
	id := f.AddContainer(dockertest.Container{})
	f.Fail(dockertest.Fault{Call: "POST /exec/{id}/start", Stream: &dockertest.StreamFault{Cut: 1000}})
	_, _, err := e.Run(t.Context(), docker.ExecRequest{Container: id, Argv: []string{"dump"}, Gate: true})
	wantIs(t, err, docker.ErrCut)
	if errors.Is(err, docker.ErrStillRuns) || errors.Is(err, docker.ErrFrame) {
		t.Fatal(err)
	}
	f.Down() // waits for the command
	if !ended {
		t.Fatal("the command was not ended")
	}
}

func TestF10_FloodOfStderr(t *testing.T) {
	f, e := fake(t)
	const flood = 1 << 30
	f.Command("dump", func(_ context.Context, p *dockertest.Process) int {
		block := bytes.Repeat([]byte("e"), 1<<20)
		for range flood / len(block) {
			if _, err := p.Stderr.Write(block); err != nil {
				return 1
			}
		}
		fmt.Fprint(p.Stdout, "data")
		return 0
	})
	id := f.AddContainer(dockertest.Container{})
	out, stderr, err := e.Run(t.Context(), docker.ExecRequest{Container: id, Argv: []string{"dump"}, Gate: true})
	if err != nil || string(out) != "data" {
		t.Fatalf("%q, %v", out, err)
	}
	if len(stderr) > 65<<10 {
		t.Fatalf("%d bytes of stderr kept", len(stderr))
	}
}

func TestF11_DeadlineAndStall(t *testing.T) {
	for name, c := range map[string]struct {
		req  docker.ExecRequest
		want error
	}{
		"deadline": {docker.ExecRequest{Deadline: 50 * time.Millisecond}, docker.ErrDeadline},
		"stall":    {docker.ExecRequest{Stall: 50 * time.Millisecond}, docker.ErrStalled},
	} {
		t.Run(name, func(t *testing.T) {
			f, e := fake(t)
			ended := make(chan struct{})
			f.Command("dump", func(ctx context.Context, p *dockertest.Process) int {
				fmt.Fprint(p.Stdout, strings.Repeat("x", 1000))
				<-ctx.Done()
				close(ended)
				return 0
			})
			id := f.AddContainer(dockertest.Container{})
			c.req.Container, c.req.Argv, c.req.Gate = id, []string{"dump"}, true
			_, _, err := e.Run(t.Context(), c.req)
			wantIs(t, err, c.want)
			if errors.Is(err, docker.ErrStillRuns) {
				t.Fatal(err)
			}
			<-ended
		})
	}
}

func TestStallDoesNotCountTheReadersTime(t *testing.T) {
	f, e := fake(t)
	f.Command("dump", print("data"))
	id := f.AddContainer(dockertest.Container{})
	x, err := e.Exec(t.Context(), docker.ExecRequest{Container: id, Argv: []string{"dump"}, Gate: true, Stall: 30 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	<-time.After(150 * time.Millisecond) // the reader is busy elsewhere
	out, err := io.ReadAll(x)
	if err != nil || string(out) != "data" {
		t.Fatalf("%q, %v", out, err)
	}
	closeAll(t, x)
}

func TestF43_EngineGoneInMidStream(t *testing.T) {
	f := dockertest.New(t)
	opt := quick(f)
	opt.RetryFor = 50 * time.Millisecond
	e := connect(t, opt)
	begun := make(chan struct{})
	f.Command("dump", func(ctx context.Context, p *dockertest.Process) int {
		fmt.Fprint(p.Stdout, strings.Repeat("x", 1000))
		close(begun)
		<-ctx.Done()
		return 0
	})
	id := f.AddContainer(dockertest.Container{})
	x, err := e.Exec(t.Context(), docker.ExecRequest{Container: id, Argv: []string{"dump"}, Gate: true})
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	f.Down()
	_, err = io.Copy(io.Discard, x)
	wantIs(t, err, docker.ErrEngineGone)
	_ = x.Close()
}

func TestF43_EngineRestartedInMidStream(t *testing.T) {
	f, e := fake(t)
	begun := make(chan struct{})
	f.Command("dump", func(ctx context.Context, p *dockertest.Process) int {
		fmt.Fprint(p.Stdout, strings.Repeat("x", 1000))
		close(begun)
		<-ctx.Done()
		return 0
	})
	id := f.AddContainer(dockertest.Container{})
	x, err := e.Exec(t.Context(), docker.ExecRequest{Container: id, Argv: []string{"dump"}, Gate: true})
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	f.Down()
	f.Up()
	_, err = io.Copy(io.Discard, x)
	wantIs(t, err, docker.ErrCut)
	closeAll(t, x)
}

func TestF52_NoUpgrade(t *testing.T) {
	f, e := fake(t)
	ended := make(chan struct{})
	f.Command("dump", func(ctx context.Context, _ *dockertest.Process) int {
		<-ctx.Done()
		close(ended)
		return 0
	})
	id := f.AddContainer(dockertest.Container{})
	f.Fail(dockertest.Fault{Call: "POST /exec/{id}/start", Stream: &dockertest.StreamFault{NoUpgrade: true}})
	_, _, err := e.Run(t.Context(), docker.ExecRequest{Container: id, Argv: []string{"dump"}, Gate: true})
	wantIs(t, err, docker.ErrNoUpgrade)
	if !strings.Contains(err.Error(), "Upgrade headers") {
		t.Fatalf("does not say what to change: %v", err)
	}
	<-ended // the command had been started, and was ended
}

func TestF52_NotAStream(t *testing.T) {
	f, e := fake(t)
	f.Command("dump", print("x"))
	id := f.AddContainer(dockertest.Container{})
	f.Fail(dockertest.Fault{Call: "POST /exec/{id}/start", Stream: &dockertest.StreamFault{Raw: []byte("<html>bad gateway</html>")}})
	_, _, err := e.Run(t.Context(), docker.ExecRequest{Container: id, Argv: []string{"dump"}, Gate: true})
	wantIs(t, err, docker.ErrFrame)
}

func TestF52_StartIsNeverAnswered(t *testing.T) {
	f := dockertest.New(t)
	opt := quick(f)
	opt.CallTimeout = 100 * time.Millisecond
	e := connect(t, opt)
	f.Command("dump", print("x"))
	id := f.AddContainer(dockertest.Container{})
	f.Fail(dockertest.Fault{Call: "POST /exec/{id}/start", Stall: true})
	_, _, err := e.Run(t.Context(), docker.ExecRequest{Container: id, Argv: []string{"dump"}, Gate: true})
	if err == nil || !strings.Contains(err.Error(), "did not answer POST /exec/{id}/start") {
		t.Fatal(err)
	}
}
