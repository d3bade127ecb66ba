package docker_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/ripplebak/ripplebak/docker"
)

func TestEngineExecStreams(t *testing.T) {
	r := realEngine(t, docker.Options{})
	id := r.run(t, container.Config{}, container.HostConfig{})
	for _, gate := range []bool{true, false} {
		req := sh(id, "head -c 10000000 /dev/zero; echo note >&2")
		req.Gate = gate
		x, err := r.Exec(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(x)
		if err != nil || len(b) != 10_000_000 || len(bytes.Trim(b, "\x00")) != 0 {
			t.Fatalf("gate %v: %d bytes, %v", gate, len(b), err)
		}
		if x.Stderr() != "note\n" || x.Bytes() != 10_000_000 {
			t.Fatalf("stderr %q, %d bytes", x.Stderr(), x.Bytes())
		}
		closeAll(t, x)
	}
}

func TestEngineExecStdin(t *testing.T) {
	r := realEngine(t, docker.Options{})
	id := r.run(t, container.Config{}, container.HostConfig{})
	input := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	req := sh(id, "sha256sum | cut -c1-64 | tr -d '\\n'")
	req.Stdin = bytes.NewReader(input)
	out, _, err := r.Run(t.Context(), req)
	if want := sha256.Sum256(input); err != nil || string(out) != hex.EncodeToString(want[:]) {
		t.Fatalf("%q, %v", out, err)
	}
	req = docker.ExecRequest{Container: id, Argv: []string{"cat"}, Gate: true, Stdin: bytes.NewReader(input)}
	out, _, err = r.Run(t.Context(), req)
	if err != nil || !bytes.Equal(out, input) {
		t.Fatalf("cat gave back %d bytes of %d, %v", len(out), len(input), err)
	}
}

func TestEngineExecInputRemains(t *testing.T) {
	r := realEngine(t, docker.Options{})
	id := r.run(t, container.Config{}, container.HostConfig{})
	for _, may := range []bool{false, true} {
		req := sh(id, "head -c 3")
		req.Stdin = bytes.NewReader(make([]byte, 64<<20))
		req.InputMayRemain = may
		_, _, err := r.Run(t.Context(), req)
		if may && err != nil {
			t.Fatal(err)
		}
		if !may {
			wantIs(t, err, docker.ErrInputRemains)
		}
	}
}

func TestF01_EngineExitsAfterPartialOutput(t *testing.T) {
	r := realEngine(t, docker.Options{})
	id := r.run(t, container.Config{}, container.HostConfig{})
	for _, gate := range []bool{true, false} {
		req := sh(id, "head -c 100000 /dev/zero; echo broken >&2; exit 3")
		req.Gate = gate
		_, stderr, err := r.Run(t.Context(), req)
		exit := wantExit(t, err, 3)
		if !strings.Contains(exit.Error(), "broken") || stderr != "broken\n" {
			t.Fatalf("%v, stderr %q", exit, stderr)
		}
	}
}

func TestF02_EngineNoOutput(t *testing.T) {
	r := realEngine(t, docker.Options{})
	id := r.run(t, container.Config{}, container.HostConfig{})
	for _, gate := range []bool{true, false} {
		req := docker.ExecRequest{Container: id, Argv: []string{"true"}, Gate: gate, NonEmpty: true}
		_, _, err := r.Run(t.Context(), req)
		wantIs(t, err, docker.ErrNoOutput)
		req.NonEmpty = false
		if _, _, err := r.Run(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
}

func TestF03_EngineBinaryMissing(t *testing.T) {
	r := realEngine(t, docker.Options{})
	id := r.run(t, container.Config{}, container.HostConfig{})
	bare := r.run(t, container.Config{Image: bareImage}, container.HostConfig{})
	for name, c := range map[string]struct {
		id    string
		gate  bool
		argv  []string
		codes []int
		noSh  bool
	}{
		"gate":             {id, true, []string{"pg_dump"}, []int{127}, false},
		"no gate":          {id, false, []string{"pg_dump"}, []int{126, 127}, false},
		"gate, no sh":      {bare, true, []string{"cat", "/etc/passwd"}, []int{126, 127}, true},
		"no executable":    {id, true, []string{"/etc/passwd"}, []int{126}, false},
		"no gate, no exec": {id, false, []string{"/etc/passwd"}, []int{126, 127}, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := r.Run(t.Context(), docker.ExecRequest{Container: c.id, Argv: c.argv, Gate: c.gate})
			var exit *docker.ExitError
			if !errors.As(err, &exit) || exit.Code != c.codes[0] && exit.Code != c.codes[len(c.codes)-1] {
				t.Fatalf("error %v", err)
			}
			if !strings.Contains(err.Error(), "found") && !strings.Contains(strings.ToLower(err.Error()), "permission denied") {
				t.Fatalf("the error does not carry the reason: %v", err)
			}
			if errors.Is(err, docker.ErrNoShell) != c.noSh {
				t.Fatalf("ErrNoShell is %v: %v", !c.noSh, err)
			}
		})
	}
	out, _, err := r.Run(t.Context(), docker.ExecRequest{Container: bare, Argv: []string{"cat", "/etc/group"}})
	if err != nil || !strings.HasPrefix(string(out), "root:") {
		t.Fatalf("without the gate: %q, %v", out, err)
	}
}

func TestF04_EngineContainerKilled(t *testing.T) {
	r := realEngine(t, docker.Options{})
	for _, gate := range []bool{true, false} {
		id := r.run(t, container.Config{}, container.HostConfig{})
		req := sh(id, "head -c 5000 /dev/zero; sleep 60")
		req.Gate = gate
		x, err := r.Exec(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		readSome(t, x, 4000)
		if err := r.cli.ContainerKill(t.Context(), id, "KILL"); err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, x)
		wantExit(t, err, 137)
		if !strings.Contains(err.Error(), "container") {
			t.Fatalf("the error does not name the container: %v", err)
		}
		closeAll(t, x)
	}
}

func TestF05_EngineContainerRemoved(t *testing.T) {
	r := realEngine(t, docker.Options{})
	id := r.run(t, container.Config{}, container.HostConfig{})
	x, err := r.Exec(t.Context(), sh(id, "head -c 5000 /dev/zero; sleep 60"))
	if err != nil {
		t.Fatal(err)
	}
	readSome(t, x, 4000)
	r.remove(t, id)
	_, err = io.Copy(io.Discard, x)
	var exit *docker.ExitError
	if !errors.Is(err, docker.ErrNoContainer) && !(errors.As(err, &exit) && exit.Code == 137) {
		t.Fatalf("error %v", err)
	}
	if !strings.Contains(err.Error(), "removed") {
		t.Fatalf("the error does not say that the container was removed: %v", err)
	}
	closeAll(t, x)
	_, _, err = r.Run(t.Context(), sh(id, "true"))
	wantIs(t, err, docker.ErrNoContainer)
}

func TestF06_EngineContainerPaused(t *testing.T) {
	r := realEngine(t, docker.Options{})
	id := r.run(t, container.Config{}, container.HostConfig{})
	req := sh(id, "while :; do echo 0123456789; sleep 0.01; done")
	req.Stall = 700 * time.Millisecond
	x, err := r.Exec(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	readSome(t, x, 100)
	if err := r.Pause(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	_, err = io.Copy(io.Discard, x)
	wantIs(t, err, docker.ErrStalled)
	wantIs(t, err, docker.ErrStillRuns)
	if !strings.Contains(err.Error(), "paused") {
		t.Fatalf("the error does not say paused: %v", err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Fatalf("took %s", took)
	}
	if err := x.Close(); !errors.Is(err, docker.ErrStillRuns) {
		t.Fatalf("close: %v", err)
	}
	if err := r.Unpause(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

func TestF09_EngineFailureBehindPipe(t *testing.T) {
	// The gate can't see it, and must say so by letting it through: the
	// engine's own proof is what fails such an item.
	r := realEngine(t, docker.Options{})
	id := r.run(t, container.Config{}, container.HostConfig{})
	out, _, err := r.Run(t.Context(), sh(id, "(echo half; exit 4) | cat"))
	if err != nil || string(out) != "half\n" {
		t.Fatalf("%q, %v", out, err)
	}
}

func TestF10_EngineFloodOfStderr(t *testing.T) {
	r := realEngine(t, docker.Options{})
	id := r.run(t, container.Config{}, container.HostConfig{})
	req := sh(id, "head -c 67108864 /dev/zero | tr '\\0' x >&2; echo done; echo the end >&2")
	req.StderrLimit = 1000
	out, stderr, err := r.Run(t.Context(), req)
	if err != nil || string(out) != "done\n" {
		t.Fatalf("%q, %v", out, err)
	}
	if !strings.HasSuffix(stderr, "xthe end\n") || len(stderr) > 1100 {
		t.Fatalf("%d bytes of stderr", len(stderr))
	}
}

func TestF11_EngineNeverEnds(t *testing.T) {
	for name, script := range map[string]string{
		"silent":       "exec sleep 4241",
		"child":        "sleep 4241; true",
		"deaf to TERM": "trap '' TERM; sleep 4241; while :; do :; done",
		"pipe":         "sleep 4241 | cat",
		"talkative":    "while :; do echo 4241; done; : sleep 4241",
		"own session":  "setsid sleep 4241 & sleep 4241",
	} {
		for _, user := range []string{"", "other"} {
			t.Run(name+" "+user, func(t *testing.T) {
				r := realEngine(t, docker.Options{Grace: 500 * time.Millisecond})
				id := r.run(t, container.Config{}, container.HostConfig{})
				req := sh(id, script)
				req.User = user
				req.Deadline = 500 * time.Millisecond
				x, err := r.Exec(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				_, err = io.Copy(io.Discard, x)
				wantIs(t, err, docker.ErrDeadline)
				if errors.Is(err, docker.ErrStillRuns) {
					t.Fatalf("it still runs: %v", err)
				}
				closeAll(t, x)
				if left := r.processes(t, id, "4241"); len(left) > 0 {
					t.Fatalf("still runs: %q", left)
				}
				if c, err := r.Inspect(t.Context(), id); err != nil || !c.Running {
					t.Fatalf("the container itself was hit: %+v, %v", c.State, err)
				}
			})
		}
	}
}

func TestF11_EngineOnlyThisCommandIsEnded(t *testing.T) {
	r := realEngine(t, docker.Options{Grace: time.Second})
	id := r.run(t, container.Config{}, container.HostConfig{})
	bystander, err := r.Exec(t.Context(), sh(id, "echo up; sleep 4242"))
	if err != nil {
		t.Fatal(err)
	}
	x, err := r.Exec(t.Context(), sh(id, "sleep 4243"))
	if err != nil {
		t.Fatal(err)
	}
	closeAll(t, x)
	if left := r.processes(t, id, "4243"); len(left) > 0 {
		t.Fatalf("still runs: %q", left)
	}
	if left := r.processes(t, id, "4242"); len(left) == 0 {
		t.Fatal("another command was ended too")
	}
	closeAll(t, bystander)
}

func TestEngineCancelEndsCommand(t *testing.T) {
	r := realEngine(t, docker.Options{Grace: time.Second})
	id := r.run(t, container.Config{}, container.HostConfig{})
	ctx, cancel := context.WithCancelCause(t.Context())
	x, err := r.Exec(ctx, sh(id, "echo begun; sleep 4244"))
	if err != nil {
		t.Fatal(err)
	}
	why := errors.New("the user said so")
	time.AfterFunc(300*time.Millisecond, func() { cancel(why) })
	_, err = io.Copy(io.Discard, x)
	wantIs(t, err, why)
	closeAll(t, x)
	if left := r.processes(t, id, "4244"); len(left) > 0 {
		t.Fatalf("still runs: %q", left)
	}
}

// failing gives some input and then an error.
type failing struct {
	n   int
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	if f.n == 0 {
		return 0, f.err
	}
	n := copy(p[:min(len(p), f.n)], bytes.Repeat([]byte("x"), f.n))
	f.n -= n
	return n, nil
}

func TestEngineFailedInputIsNoEnd(t *testing.T) {
	r := realEngine(t, docker.Options{Grace: time.Second})
	id := r.run(t, container.Config{}, container.HostConfig{})
	for _, bad := range []error{errors.New("the storage is gone"), io.ErrUnexpectedEOF} {
		req := sh(id, "cat >/tmp/in && touch /tmp/committed")
		req.Stdin = &failing{n: 100_000, err: bad}
		_, _, err := r.Run(t.Context(), req)
		wantIs(t, err, bad)
		// The command must not have seen an end of its input.
		_, _, err = r.Run(t.Context(), sh(id, "test -s /tmp/in && test ! -e /tmp/committed"))
		if err != nil {
			t.Fatalf("the truncated input was taken for whole: %v", err)
		}
	}
}

func TestEngineStalledSourceIsNotTheCommandsFault(t *testing.T) {
	r := realEngine(t, docker.Options{})
	id := r.run(t, container.Config{}, container.HostConfig{})
	pr, pw := io.Pipe()
	go func() {
		time.Sleep(900 * time.Millisecond)
		_, _ = pw.Write([]byte("late"))
		_ = pw.Close()
	}()
	req := docker.ExecRequest{Container: id, Argv: []string{"cat"}, Gate: true, Stdin: pr, Stall: 300 * time.Millisecond}
	out, _, err := r.Run(t.Context(), req)
	if err != nil || string(out) != "late" {
		t.Fatalf("%q, %v", out, err)
	}
}

func TestEngineRunIsBounded(t *testing.T) {
	r := realEngine(t, docker.Options{Grace: time.Second})
	id := r.run(t, container.Config{}, container.HostConfig{})
	_, _, err := r.Run(t.Context(), sh(id, "cat /dev/zero"))
	wantIs(t, err, docker.ErrTooMuchOutput)
}

func TestF11_EngineNothingToEndItWith(t *testing.T) {
	// An image without sh: it must be said that the command may still run.
	r := realEngine(t, docker.Options{Grace: 500 * time.Millisecond})
	id := r.run(t, container.Config{Image: bareImage}, container.HostConfig{})
	_, _, err := r.Run(t.Context(), docker.ExecRequest{Container: id, Argv: []string{"sleep", "30"}, Deadline: 300 * time.Millisecond})
	wantIs(t, err, docker.ErrDeadline)
	wantIs(t, err, docker.ErrStillRuns)
}
