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

	"github.com/ripplebak/ripplebak/delay"
)

// endScript signals every process of a command: those that carry the mark in
// their environment, their descendants, and whoever is in a session of one of
// them. A command's first process leads a session of its own, and whatever
// changed its user, so that its environment can't be read, is still a
// descendant or in the session.
//
// It needs sh and /proc and nothing else. $1 is the signal, $2 the mark. The
// rest are sessions found before, as leader:start; they count if their leader
// is dead or is still the process that started then. It prints the sessions
// that it found in this form.
const endScript = `sig=$1 mark=$2
shift 2
known=$*
pids=' ' sids=' ' table=
for d in /proc/[0-9]*; do
  p=${d#/proc/}
  IFS= read -r st <"$d/stat" || continue
  set -- ${st##*) }
  table="$table $p:$2:$4:${20}"
  while IFS= read -r e || [ -n "$e" ]; do
    case $e in *"` + markVar + `=$mark"*) pids="$pids$p "; break ;; esac
  done <"$d/environ"
done 2>/dev/null
started() {
  for t in $table; do
    case $t in "$1":*) printf %s "${t##*:}"; return ;; esac
  done
}
for k in $known; do
  now=$(started "${k%%:*}")
  if [ -z "$now" ] || [ "$now" = "${k#*:}" ]; then sids="$sids${k%%:*} "; fi
done
again=1
while [ -n "$again" ]; do
  again=
  for t in $table; do
    p=${t%%:*} r=${t#*:}
    pp=${r%%:*} r=${r#*:}
    s=${r%%:*}
    if [ "$p" = 1 ] || [ "$p" = $$ ]; then continue; fi
    case "$pids" in
    *" $p "*) ;;
    *" $pp "*) pids="$pids$p " again=1 ;;
    *) case "$sids" in *" $s "*) pids="$pids$p " again=1 ;; *) continue ;; esac ;;
    esac
    case "$s$sids" in 0\ *|1\ *|*" $s "*) ;; *) sids="$sids$s " again=1 ;; esac
  done
done
for p in $pids; do [ "$p" = 1 ] || kill "-$sig" "$p" 2>/dev/null; done
for s in $sids; do printf '%s:%s\n' "$s" "$(started "$s")"; done
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
		if time.Now().After(until) || delay.For(ctx, pause) != nil {
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
