package sidecar

import (
	"context"
	"errors"
	"slices"

	"github.com/ripplebak/ripplebak/archive"
	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

// verifyAll proves that the snapshots hold what the restore needs and that the
// volumes have room for it, before anything is touched. A volume that lacks
// space becomes a problem of the plan. What writes the volume looks once more.
func (r *restore) verifyAll(ctx context.Context) error {
	starting, cancel := context.WithCancel(ctx)
	s := r.lookAtSpace(starting)
	defer s.end(ctx)
	defer cancel()
	extents, err := r.verify(ctx)
	if err != nil {
		return err
	}
	r.plan.CheckSpace(s.found(ctx, extents))
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if len(r.plan.Problems) > 0 {
		return &ProblemsError{Problems: r.plan.Problems}
	}
	return nil
}

// spaceCheck finds out whether volumes have room for what comes back. Most have
// more than all that the snapshot holds, and then nothing is compared.
type spaceCheck struct {
	r     *restore
	items []plan.RestoreItem // whose volumes are there
	free  map[string]volume.Space

	reader *early // the helper that reads the volumes, once one is needed
}

// lookAtSpace asks what is free. A helper that has to be asked starts while the
// snapshot is verified.
func (r *restore) lookAtSpace(ctx context.Context) *spaceCheck {
	s := &spaceCheck{r: r, free: map[string]volume.Space{}}
	for _, it := range r.plan.Items {
		if it.Volume != nil && !it.Volume.Create {
			s.items = append(s.items, it)
		}
	}
	if len(s.items) == 0 {
		return s
	}
	beside, err := r.host.besideState(ctx)
	for _, it := range s.items {
		// On an error the helper is asked.
		if spec := it.Volume.Spec; err == nil && beside != nil && plainLocal(spec.Driver, spec.Options) {
			s.free[it.Key] = *beside
		}
	}
	if len(s.free) < len(s.items) {
		s.start(ctx)
	}
	return s
}

// plainLocal says whether a volume lies where Docker's own driver puts it.
func plainLocal(driver string, options map[string]string) bool {
	return driver == "local" && len(options) == 0
}

// besideState is the space that volumes have which lie beside the state volume,
// on the filesystem that Docker has its volumes on: no container has to be
// started to ask. Nil where the state is elsewhere.
func (h *host) besideState(ctx context.Context) (*volume.Space, error) {
	if h.stateMount.Type != compose.KindVolume {
		return nil, nil
	}
	v, err := h.engine.Volume(ctx, h.stateMount.Name)
	if err != nil || !plainLocal(v.Driver, v.Options) {
		return nil, err
	}
	free, err := volume.SpaceAt(h.state.Path())
	return &free, err
}

// start begins to start the helper, unless that was done.
func (s *spaceCheck) start(ctx context.Context) {
	if s.reader != nil {
		return
	}
	var names []string
	for _, it := range s.items {
		names = append(names, it.Volume.Place())
	}
	s.reader = s.r.app.startEarly(ctx, s.r.host, s.r.id, names, false)
}

// end waits for the helper's start, and ends it. What cannot be removed is an
// orphan, of which a later command takes care.
func (s *spaceCheck) end(ctx context.Context) {
	if err := s.reader.end(ctx); err != nil {
		s.r.app.Log.Warn().Msg(s.r.app.Redactor().Redact(err.Error()))
	}
}

// found says what each volume needs and has, by key. What the snapshot holds is
// a bound of what is needed. Where there is no room for that, or for the bounds
// of all that share a filesystem, the volume is compared.
func (s *spaceCheck) found(ctx context.Context, extents map[string]repository.Extent) map[string]plan.RestoreSpace {
	out := map[string]plan.RestoreSpace{}
	all := map[uint64]plan.RestoreSpace{} // by filesystem
	for i, it := range s.items {
		free, err := s.ask(ctx, it.Key, i)
		if err != nil {
			out[it.Key] = s.unknown(err)
			continue
		}
		need := bound(extents[it.Key], free)
		out[it.Key] = need
		sum := all[free.Device]
		sum.NeedBytes, sum.NeedInodes = min(sum.NeedBytes+need.NeedBytes, unbounded), sum.NeedInodes+need.NeedInodes
		all[free.Device] = sum
	}
	for i, it := range s.items {
		if sum := all[out[it.Key].Device]; out[it.Key].Unknown == "" && !s.free[it.Key].Holds(sum.NeedBytes, sum.NeedInodes) {
			out[it.Key] = s.compare(ctx, it, i)
		}
	}
	return out
}

func (s *spaceCheck) unknown(err error) plan.RestoreSpace {
	return plan.RestoreSpace{Unknown: s.r.app.Redactor().Redact(err.Error())}
}

// ask gives what is free in the nth volume.
func (s *spaceCheck) ask(ctx context.Context, key string, n int) (volume.Space, error) {
	free, ok := s.free[key]
	if ok {
		return free, nil
	}
	reader, err := s.reader.wait()
	if err != nil {
		return free, err
	}
	free, err = reader.peer.Space(ctx, reader.mountPoint(n))
	s.free[key] = free
	return free, err
}

// unbounded is more than any filesystem holds: what a snapshot claims that
// nobody can have written counts no further.
const unbounded = 1 << 60

// bound is what a volume would need if it were empty.
func bound(e repository.Extent, free volume.Space) plan.RestoreSpace {
	files := min(e.Files+e.Dirs, unbounded/max(free.Block, 1))
	return plan.RestoreSpace{
		// Content is cut off at blocks, and a directory has one at least.
		NeedBytes: min(e.Bytes+files*free.Block, unbounded), FreeBytes: free.Bytes,
		NeedInodes: files, FreeInodes: free.Inodes, AtMost: true, Device: free.Device,
	}
}

// compare has the helper look at the nth volume as the restore will, and change
// nothing: it is mounted read-only, and its services run.
func (s *spaceCheck) compare(ctx context.Context, it plan.RestoreItem, n int) plan.RestoreSpace {
	s.start(ctx)
	reader, err := s.reader.wait()
	if err != nil {
		return s.unknown(err)
	}
	src := s.r.sources[it.Key]
	req := s.r.restoreRequest(src)
	req.Root, req.DryRun, req.Progress = reader.mountPoint(n), true, nil
	req.Protected = slices.Concat(req.Protected, it.Volume.Protect)
	report, err := archive.Restore(ctx, s.r.vault.repo, src.node, reader.peer, req)
	short := errors.Is(err, volume.ErrNoSpace)
	if err != nil && !short || report == nil {
		return s.unknown(errors.Join(err, errNotCompared))
	}
	return plan.RestoreSpace{
		NeedBytes: report.NeedBytes, FreeBytes: report.FreeBytes, NeedInodes: report.NeedInodes, FreeInodes: report.FreeInodes,
		Short: short, Device: s.free[it.Key].Device,
	}
}

var errNotCompared = errors.New("the snapshot could not be compared with the volume")
