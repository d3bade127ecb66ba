package sidecar

import (
	"context"
	"errors"
	"fmt"
	"path"
	"runtime"
	"time"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/volume"
)

// Labels on helpers, besides compose.LabelHelper, whose value is the run.
const (
	labelOwner   = "ripplebak.helper.owner"   // ID of the container that made it, or ownerBare and its state directory
	labelProject = "ripplebak.helper.project" // the project it works for
	labelState   = "ripplebak.helper.state"   // where who made it keeps its state: a volume, or a directory
)

// runRecover stands for a run on the label of a helper that recovers.
const runRecover = "recover"

// runProbe stands for it on that of a double that is only asked something.
const runProbe = "probe"

// helperStart bounds how long a helper may take to call back, helperEnd how
// long to be removed, whatever its volume's filesystem does to it.
const (
	helperStart = 60 * time.Second
	helperEnd   = 30 * time.Second
)

// helper is a throwaway container that has called back.
type helper struct {
	host *host
	id   string
	peer *volume.Peer
	// mounts is where it has its volumes.
	mounts string
}

// mountRoot is where helpers have their volumes.
const mountRoot = "/volumes"

// mountPoint is where a helper finds its nth volume. Volumes' names are
// hostile, so that they are no paths.
func (c *helper) mountPoint(n int) string { return fmt.Sprintf("%s/%d", c.mounts, n) }

// scratch is where a helper that copies databases has space of its own.
func (c *helper) scratch() string {
	if c.mounts == mountRoot {
		return scratchDir
	}
	return c.mounts + scratchDir // in a test, where a helper is no container
}

// readCaps is what reading takes, writeCaps what restoring takes.
func readCaps() []string { return []string{"DAC_READ_SEARCH"} }

func writeCaps() []string {
	return []string{"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "MKNOD", "SETFCAP"}
}

// duty is what a helper is for.
type duty uint8

const (
	toRead  duty = iota // volumes, read-only
	toWrite             // volumes, for a restore
	toCopy              // databases, as their owners, with space for the copies
	toJudge             // databases, as their owners, in a restore
)

// caps are the capabilities that a duty takes. To be the owner of a database is
// to give up being root; where root is the owner, its service has
// DAC_OVERRIDE too.
func (d duty) caps() []string {
	switch d {
	case toWrite:
		return writeCaps()
	case toCopy:
		return []string{"DAC_OVERRIDE", "SETGID", "SETUID"}
	case toJudge:
		return append(writeCaps(), "SETGID", "SETUID")
	}
	return readCaps()
}

// startHelper starts a helper that reads or writes places.
func (a *App) startHelper(ctx context.Context, h *host, l *volume.Listener, run string, places []string, write bool) (*helper, error) {
	d := toRead
	if write {
		d = toWrite
	}
	return a.startHelperAs(ctx, h, l, run, places, d)
}

// startHelperAs starts a helper for the places, in this order, and waits until it
// has called back. A place is a volume, by Docker's name, or a path of the host,
// which is absolute, as no name of a volume is.
func (a *App) startHelperAs(ctx context.Context, h *host, l *volume.Listener, run string, places []string, d duty) (_ *helper, err error) {
	made := &helper{host: h, mounts: mountRoot}
	if h.mounts != nil {
		made.mounts = h.mounts()
	}
	restores := d == toWrite || d == toJudge
	connections := min(len(places), maxConnections)
	pending := l.Expect(connections)
	defer func() {
		if err != nil {
			pending.Close()
		}
	}()
	spec := docker.HelperSpec{
		Image: h.image,
		Argv:  []string{"/ripplebak", "helper"},
		Env: []string{
			"RIPPLEBAK_HELPER_SOCKET=" + docker.SocketDir + "/" + path.Base(pending.Socket),
			"RIPPLEBAK_HELPER_TOKEN=" + pending.Token,
			fmt.Sprintf("RIPPLEBAK_HELPER_CONNECTIONS=%d", connections),
		},
		Labels:       map[string]string{compose.LabelHelper: run, labelOwner: ownerOf(h), labelProject: h.project, labelState: stateOf(h)},
		SocketVolume: h.socketVolume, SocketBind: h.socketBind,
		CapAdd: d.caps(),
		CPUs:   a.helperCPUs(), Background: !restores, // whoever restores waits for it
	}
	if restores {
		spec.Env = append(spec.Env, crashEnv(run)...)
	}
	if d == toCopy {
		spec.Scratch = made.scratch()
		spec.Background = false // writers may be waiting
	}
	for i, place := range places {
		m := docker.HelperMount{Volume: place, Target: made.mountPoint(i), ReadOnly: d == toRead}
		if path.IsAbs(place) {
			m.Volume, m.Bind = "", place
		}
		spec.Mounts = append(spec.Mounts, m)
	}
	c, err := h.engine.StartHelper(ctx, spec)
	if err != nil {
		return nil, err
	}
	called, cancel := context.WithTimeoutCause(ctx, helperStart, errors.New("it did not call back in time"))
	defer cancel()
	peer, err := a.acceptHelper(called, h, c.ID, pending)
	if err != nil {
		return nil, errors.Join(err, h.removeHelper(ctx, c.ID))
	}
	made.id, made.peer = c.ID, peer
	return made, nil
}

// hasPath says whether there is anything at a path of the host.
func (h *host) hasPath(ctx context.Context, run, p string) (bool, error) {
	return h.engine.HasPath(ctx, docker.HelperSpec{
		Image: h.image, Argv: []string{"/ripplebak", "version"},
		Labels: map[string]string{compose.LabelHelper: run, labelOwner: ownerOf(h), labelProject: h.project, labelState: stateOf(h)},
	}, p)
}

// helperCPUs is the bound of a helper; none where the machine has no more than
// that anyway, which the Engine would refuse.
func (a *App) helperCPUs() float64 {
	if a.Settings.CPUs >= float64(runtime.NumCPU()) {
		return 0
	}
	return a.Settings.CPUs
}

// maxWalks bounds how many volumes are walked at once. maxConnections bounds
// those of a helper, of which each walk keeps one until it is stored: those of
// a window that is being read must not wait for what is being uploaded.
const (
	maxWalks       = 4
	maxConnections = 32
)

// ownerBare stands for a process outside of any container. Its state directory
// follows, for whoever holds the run lock there knows that it has ended.
const ownerBare = "bare "

func ownerOf(h *host) string {
	switch {
	case h.self != nil:
		return h.self.ID
	case h.state != nil:
		return ownerBare + h.state.Path()
	}
	return ownerBare
}

// stateOf says where the state is, and with it the lock by which runs take turns.
func stateOf(h *host) string {
	switch {
	case h.stateMount.Name != "":
		return h.stateMount.Name
	case h.stateMount.Source != "":
		return h.stateMount.Source
	case h.state != nil:
		return h.state.Path()
	}
	return ""
}

// acceptHelper waits for the call, and no longer than the container lives.
func (a *App) acceptHelper(ctx context.Context, h *host, id string, pending *volume.Pending) (*volume.Peer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		end, err := h.engine.HelperExit(ctx, id)
		if err == nil {
			cancel(fmt.Errorf("the helper ended with %d %s before it called back", end.Code, end.Error))
		}
	}()
	peer, err := pending.Accept(ctx)
	cancel(nil)
	<-ended
	if err != nil {
		return nil, fmt.Errorf("start helper: %w", err)
	}
	return peer, nil
}

// close ends the helper and removes its container, also when ctx has ended. What
// cannot be removed is an orphan, of which a later command takes care.
func (c *helper) close(ctx context.Context) error {
	return errors.Join(c.peer.Close(), c.host.removeHelper(ctx, c.id))
}

func (h *host) removeHelper(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), helperEnd, errors.New("it does not end"))
	defer cancel()
	return h.engine.RemoveHelper(ctx, id)
}
