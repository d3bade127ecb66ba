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
}

// mountRoot is where helpers have their volumes.
const mountRoot = "/volumes"

// mountPoint is where a helper finds its nth volume. Volumes' names are
// hostile, so that they are no paths.
func (h *host) mountPoint(n int) string { return fmt.Sprintf("%s/%d", h.mounts, n) }

// readCaps is what reading takes, writeCaps what restoring takes.
func readCaps() []string { return []string{"DAC_READ_SEARCH"} }

func writeCaps() []string {
	return []string{"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "MKNOD", "SETFCAP"}
}

// startHelper starts a helper for the volumes (Docker's names), in this order,
// and waits until it has called back.
func (a *App) startHelper(ctx context.Context, h *host, l *volume.Listener, run string, volumes []string, write bool) (_ *helper, err error) {
	connections := min(len(volumes), maxConnections)
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
		CapAdd: readCaps(),
		CPUs:   a.helperCPUs(), Background: !write, // whoever restores waits for it
	}
	if write {
		spec.CapAdd = writeCaps()
		spec.Env = append(spec.Env, crashEnv(run)...)
	}
	for i, v := range volumes {
		spec.Mounts = append(spec.Mounts, docker.HelperMount{Volume: v, Target: h.mountPoint(i), ReadOnly: !write})
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
	return &helper{host: h, id: c.ID, peer: peer}, nil
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
