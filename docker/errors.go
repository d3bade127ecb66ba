package docker

import (
	"errors"
	"fmt"
	"strings"
)

// What callers switch on. Every error of this package wraps at most one of the
// first group (the Engine as a whole), the second (an object) or the third (a
// command in a container).
var (
	// ErrEngineGone: the Engine doesn't answer, and didn't come back in time.
	ErrEngineGone = errors.New("docker engine is not reachable")
	// ErrNoSocket: the Engine's socket isn't there. Also an ErrEngineGone.
	ErrNoSocket = fmt.Errorf("socket missing: %w", ErrEngineGone)
	// ErrNoPermission: the socket is there, and we may not open it. Also an
	// ErrEngineGone.
	ErrNoPermission = fmt.Errorf("permission denied: %w", ErrEngineGone)
	// ErrAPITooOld: the Engine speaks no API that we need.
	ErrAPITooOld = errors.New("docker engine is too old")
	// ErrAPITooNew: the Engine no longer speaks any API that we know.
	ErrAPITooNew = errors.New("docker engine is too new")
	// ErrForbidden: a proxy or an authorization plugin refused a call.
	ErrForbidden = errors.New("forbidden by a proxy in front of the docker engine")
	// ErrNoUpgrade: what answers at the socket doesn't hand over the
	// connection of an exec; no command can be run through it.
	ErrNoUpgrade = errors.New("the connection was not upgraded")

	// ErrNoContainer: there is no such container (any more).
	ErrNoContainer = errors.New("no such container")
	// ErrNoVolume: there is no such volume.
	ErrNoVolume = errors.New("no such volume")
	// ErrNoImage: there is no such image on this Engine.
	ErrNoImage = errors.New("no such image")
	// ErrNotRunning: the container is stopped or paused, so that nothing can
	// be run in it.
	ErrNotRunning = errors.New("container is not running")
	// ErrNotInContainer: this process runs in no container of this Engine.
	ErrNotInContainer = errors.New("not running in a container of this docker engine")
	// ErrVolumeDiffers: a volume of that name exists and is not the one that
	// was to be created.
	ErrVolumeDiffers = errors.New("another volume of this name exists")
	// ErrUnhealthy: the container stopped or its healthcheck failed while it
	// was waited for.
	ErrUnhealthy = errors.New("container did not become healthy")

	// ErrStalled: neither output nor input moved for the time allowed.
	ErrStalled = errors.New("stalled")
	// ErrDeadline: the command took longer than the time allowed.
	ErrDeadline = errors.New("deadline exceeded")
	// ErrCut: the stream ended without the proof that it is whole.
	ErrCut = errors.New("stream cut")
	// ErrFrame: the stream ended or went astray inside a frame of the
	// Engine's multiplexing. Also an ErrCut.
	ErrFrame = fmt.Errorf("frame cut in half: %w", ErrCut)
	// ErrNoOutput: the command succeeded and produced no data.
	ErrNoOutput = errors.New("produced no data")
	// ErrNoShell: the container's image has no sh; the command may be run
	// without the gate.
	ErrNoShell = errors.New("the image has no sh")
	// ErrInputRemains: the command ended, successfully, before it had read
	// its input.
	ErrInputRemains = errors.New("ended before it had read all of its input")
	// ErrTooMuchOutput: more output than the caller had room for.
	ErrTooMuchOutput = errors.New("too much output")
	// ErrStillRuns: a command that had to be ended could not be.
	ErrStillRuns = errors.New("the command may still run inside the container")
	// ErrClosed: the stream was closed by its reader before the end.
	ErrClosed = errors.New("closed before its end")
)

// culprits is what a cut stream should make people look at.
const culprits = "if a proxy stands before the docker socket, raise its time-outs (client, server, tunnel) or mount the socket itself"

// ExitError says that a command ran and failed.
type ExitError struct {
	// Command is the first word of the command.
	Command string
	// Code is its exit code; 137 where it was killed together with its container.
	Code int
	// Stderr is the end of what it said, bounded, as it came: the caller
	// redacts it.
	Stderr string
	// Reason is what the Engine adds, for example that the container stopped.
	Reason string
	// NoShell: what could not be started was the sh of the gate.
	NoShell bool
}

func (e *ExitError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s exited with %d", e.Command, e.Code)
	if e.Reason != "" {
		b.WriteString(" (" + e.Reason + ")")
	}
	if s := strings.TrimSpace(e.Stderr); s != "" {
		b.WriteString(": " + s)
	}
	return b.String()
}

// Is makes errors.Is(err, ErrNoShell) true where the image has no sh.
func (e *ExitError) Is(target error) bool { return target == ErrNoShell && e.NoShell }
