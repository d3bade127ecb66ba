package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// asked runs a restore on a terminal with an answer.
func asked(t *testing.T, f *fixture, answer func(context.Context) (string, error), args ...string) ran {
	t.Helper()
	p, out, stderr := newProgram(f)
	p.inTerminal, p.errTerminal, p.readLine = true, true, answer
	code := p.main(t.Context(), append([]string{"restore"}, args...))
	return ran{code, out.String(), stderr.String()}
}

func TestRestoreAsksOnATerminal(t *testing.T) {
	for answer, want := range map[string]bool{"y": true, "Y\r": true, " yes ": true, "": false, "n": false, "yeah": false, "yy": false} {
		f := fixed()
		r := asked(t, f, func(context.Context) (string, error) { return answer, nil }, "latest")
		if did := len(f.called) == 1; did != want {
			t.Errorf("answer %q: restored %v, want %v", answer, did, want)
		}
		shown := strings.Index(r.stderr, "restore volume uploads")
		question := strings.Index(r.stderr, "[y/N]")
		if shown < 0 || question < shown {
			t.Errorf("the plan was not shown before the question: %q", r.stderr)
		}
		if !want && (r.code != exitFailed || !strings.Contains(r.stderr, "not confirmed: nothing was touched") || r.out != "") {
			t.Errorf("answer %q: code %d, output %q, error %q", answer, r.code, r.out, r.stderr)
		}
	}
}

func TestRestoreWithoutATerminalIsRefusedUnlessYes(t *testing.T) {
	f := fixed()
	r := run(t, f, "restore", "latest")
	if r.code != exitFailed || f.restored.Snapshot != "" || !strings.Contains(r.stderr, "--yes") || !strings.Contains(r.stderr, "--dry-run") {
		t.Errorf("code %d, restored %+v, error %q", r.code, f.restored, r.stderr)
	}
	f = fixed()
	if r = run(t, f, "restore", "latest", "--yes"); r.code != 0 || len(f.called) != 1 {
		t.Errorf("--yes: code %d, called %q, error %q", r.code, f.called, r.stderr)
	}
	if !strings.Contains(r.stderr, `"message":"items are from different times"`) {
		t.Errorf("the plan's warnings are not in the log: %q", r.stderr)
	}
	f = fixed()
	if r = run(t, f, "restore", "latest", "--dry-run"); r.code != 0 || !f.restored.DryRun || !strings.Contains(r.out, "order:") {
		t.Errorf("--dry-run: code %d, output %q, error %q", r.code, r.out, r.stderr)
	}
}

func TestEndOfInputIsNo(t *testing.T) {
	f := fixed()
	empty, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	r := asked(t, f, func(ctx context.Context) (string, error) { return readLine(ctx, empty) }, "latest")
	if r.code != exitFailed || len(f.called) > 0 {
		t.Errorf("code %d, called %q", r.code, f.called)
	}
}

func TestReadLineTakesOneLine(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString("yes\nmore\n"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"yes", "more"} {
		if line, err := readLine(t.Context(), r); err != nil || line != want {
			t.Errorf("got %q, %v, want %q", line, err, want)
		}
	}
	if _, err := w.WriteString(strings.Repeat("y", 10*answerSize)); err != nil {
		t.Fatal(err)
	}
	if line, err := readLine(t.Context(), r); err != nil || len(line) != answerSize {
		t.Errorf("a line without end: %d bytes, %v", len(line), err)
	}
	w.Close()
}

func TestAQuestionEndsWithTheContext(t *testing.T) {
	r, w, err := os.Pipe() // nobody writes
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(10*time.Millisecond, func() { cancel(errInterrupted) })
	if _, err := readLine(ctx, r); !errors.Is(err, errInterrupted) {
		t.Errorf("got %v", err)
	}
}
