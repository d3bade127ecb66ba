package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
)

// endScript signals every process of a command: those that carry the mark in
// their environment, and those of a session that one of them leads or led. A
// command's first process leads a session of its own, so that children which
// changed their user, and whose environment can't be read, are found too.
//
// It needs sh and /proc and nothing else. $1 is the signal, $2 the mark, the
// rest sessions found before, which count only while their leader is dead: a
// living one may be another's by now. It prints the sessions that it found.
const endScript = `sig=$1 mark=$2
shift 2
pids= sids=
for s in "$@"; do [ -d "/proc/$s" ] || sids="$sids $s"; done
for d in /proc/[0-9]*; do
  p=${d#/proc/}
  [ "$p" = 1 ] && continue
  while IFS= read -r e || [ -n "$e" ]; do
    case $e in *"` + markVar + `=$mark"*)
      pids="$pids $p"
      IFS= read -r st <"$d/stat" || break
      set -- ${st##*) }
      case $4 in 0|1) ;; *) sids="$sids $4" ;; esac
      break ;;
    esac
  done 2>/dev/null <"$d/environ"
done 2>/dev/null
for d in /proc/[0-9]*; do
  [ -n "$sids" ] || break
  p=${d#/proc/}
  [ "$p" = 1 ] || [ "$p" = $$ ] && continue
  IFS= read -r st 2>/dev/null <"$d/stat" || continue
  set -- ${st##*) }
  for s in $sids; do [ "$4" = "$s" ] && pids="$pids $p" && break; done
done
for p in $pids; do kill "-$sig" "$p" 2>/dev/null; done
printf '%s\n' "$sids"
`

// end makes sure, once, that the command's processes are ended, and frees
// whoever waits for its streams. The connection stays open until then, for its
// end would look to the command like the end of its input.
func (x *Exec) end(cause error) {
	x.endOnce.Do(func() {
		if err := x.s.interrupt(); err != nil && !hungUp(err) {
			cause = errors.Join(cause, err)
		}
		stop := x.s.drain(x.endLimit())
		if err := x.terminate(); err != nil {
			cause = fmt.Errorf("%w; %w", cause, err)
		}
		stop()
		x.cause = cause
		close(x.ended)
	})
	<-x.ended
}

// terminate ends the command inside the container: TERM, then KILL, first as
// the command's own user, at last as root. It is bounded in time, whatever
// became of the context.
func (x *Exec) terminate() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.ctx), x.endLimit())
	defer cancel()
	if !x.runs(ctx) {
		return nil
	}
	var sids []string
	passes := []struct {
		sig, user string
		wait      time.Duration
	}{
		{"TERM", x.req.User, x.e.opt.Grace},
		{"KILL", x.req.User, 3 * time.Second},
		{"KILL", "0", 3 * time.Second},
	}
	for i, p := range passes {
		found, err := x.signal(ctx, p.sig, p.user, sids)
		if err != nil && !x.runs(ctx) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrStillRuns, err)
		}
		sids = append(sids, found...)
		if x.gone(ctx, p.wait) {
			if i == 0 {
				// What its first process left behind.
				_, err = x.signal(ctx, "KILL", x.req.User, sids)
			}
			if err != nil && !errors.Is(err, ErrNotRunning) && !errors.Is(err, ErrNoContainer) {
				return fmt.Errorf("%w: %w", ErrStillRuns, err)
			}
			return nil
		}
	}
	return ErrStillRuns
}

// endLimit bounds how long ending a command may take.
func (x *Exec) endLimit() time.Duration { return 2*x.e.opt.Grace + 20*time.Second }

// runs reports whether the command runs, as far as can be told.
func (x *Exec) runs(ctx context.Context) bool {
	state, err := x.e.inspectExecBy(ctx, x.id, x.e.once)
	if err != nil {
		return !errors.Is(err, errNoExec)
	}
	return state.Running
}

// gone waits for the command to be over.
func (x *Exec) gone(ctx context.Context, wait time.Duration) bool {
	until := time.Now().Add(wait)
	for pause := 5 * time.Millisecond; x.runs(ctx); pause = min(2*pause, 250*time.Millisecond) {
		if time.Now().After(until) || sleep(ctx, pause) != nil {
			return false
		}
	}
	return true
}

// signal runs the script that signals the command's processes.
func (x *Exec) signal(ctx context.Context, sig, user string, sids []string) ([]string, error) {
	argv := append([]string{"sh", "-c", endScript, "ripplebak-end", sig, x.mark}, sids...)
	out, err := x.e.bare(ctx, x.req.Container, user, argv)
	if err != nil {
		return nil, fmt.Errorf("send %s: %w", sig, err)
	}
	sessions := strings.Fields(out)
	slices.Sort(sessions)
	return slices.Compact(sessions), nil
}

// bare runs a small command without anything that could lead back here.
func (e *Engine) bare(ctx context.Context, id, user string, argv []string) (string, error) {
	exec, err := e.createExec(ctx, id, container.ExecOptions{User: user, AttachStdout: true, AttachStderr: true, Cmd: argv})
	if err != nil {
		return "", err
	}
	s, _, err := e.startExec(ctx, exec)
	if err != nil {
		return "", err
	}
	s.pace.begin(5 * time.Second)
	var out bytes.Buffer
	stderr := newTail(1 << 10)
	_, err = io.Copy(&out, io.LimitReader(newFrames(s.r, stderr, s.pace.moved), 64<<10))
	if err = errors.Join(err, ignoreClosed(s.Close())); err != nil {
		return "", err
	}
	state, err := e.inspectExecBy(ctx, exec, e.once)
	if err == nil && !state.Running && state.ExitCode != 0 {
		err = fmt.Errorf("exited with %d: %s%s", state.ExitCode, stderr.String(), out.String())
	}
	return out.String(), err
}
