package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/ripplebak/ripplebak/sidecar"
)

// TestF44_SignalLetsTheCommandFinish sends two signals into a backup: the
// first ends its context, the second ends nothing, and what the backup does on
// its way out is done before the program returns 130.
func TestF44_SignalLetsTheCommandFinish(t *testing.T) {
	for _, args := range [][]string{{"backup"}, {"restore", "latest", "--yes"}, {"serve"}} {
		t.Run(args[0], func(t *testing.T) {
			caught := make(chan os.Signal)
			cleaned := false
			f := fixed()
			p, _, stderr := newProgram(f)
			f.during = func(ctx context.Context, app *sidecar.App) error {
				caught <- syscall.SIGTERM
				<-ctx.Done()
				caught <- syscall.SIGINT // taken, so the first has been said
				caught <- syscall.SIGINT // and the second
				cleaned = true
				app.Log.Info().Msg("services are back")
				return context.Cause(ctx)
			}
			f.backup, f.restore = nil, fixedRestore()
			ctx, stop := p.until(t.Context(), caught)
			code := p.main(ctx, args)
			stop()
			if code != exitInterrupted || !cleaned {
				t.Errorf("code %d, cleaned up %v", code, cleaned)
			}
			for _, want := range []string{"interrupted: ending, and starting first what was stopped", "still at it", "services are back"} {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("no %q in %s", want, stderr)
				}
			}
			if strings.Contains(stderr.String(), `"failed"`) {
				t.Errorf("an interruption is told as a failure: %s", stderr)
			}
		})
	}
}

// TestLostOutputDoesNotKill runs this test again as a process of its own, whose
// standard output nobody reads.
func TestLostOutputDoesNotKill(t *testing.T) {
	if os.Getenv("RUN_AS_PROGRAM") != "" {
		os.Args = []string{"ripplebak", "completion", "bash"}
		os.Exit(start())
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLostOutputDoesNotKill$")
	cmd.Env = append(os.Environ(), "RUN_AS_PROGRAM=1")
	cmd.Stdout, cmd.Stderr = w, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != exitFailed {
		t.Errorf("ended with %v, want exit code %d", err, exitFailed)
	}
	if !strings.Contains(stderr.String(), "broken pipe") {
		t.Errorf("error %q", stderr.String())
	}
}

func TestServeThatEndsWellAfterASignalWasInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	f := fixed()
	f.during = func(context.Context, *sidecar.App) error {
		cancel(errInterrupted)
		return nil
	}
	p, _, _ := newProgram(f)
	if code := p.main(ctx, []string{"serve"}); code != exitInterrupted {
		t.Errorf("code %d", code)
	}
}

func TestRealSignal(t *testing.T) {
	p, _, _ := newProgram(fixed())
	var mu sync.Mutex
	var said []string
	told := make(chan struct{}, 2)
	p.signals.set(func(text string) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, text)
		told <- struct{}{}
	})
	ctx, stop := p.untilSignal(t.Context())
	defer stop()
	for range 2 {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-told
	}
	if !errors.Is(context.Cause(ctx), errInterrupted) {
		t.Errorf("the context ended with %v", context.Cause(ctx))
	}
	mu.Lock()
	defer mu.Unlock()
	if len(said) != 2 || said[0] == said[1] {
		t.Errorf("said %q", said)
	}
}
