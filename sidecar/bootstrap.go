package sidecar

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/state"
	"github.com/ripplebak/ripplebak/storage/location"
	"github.com/ripplebak/ripplebak/volume"
)

// bootstrap brings a project back to a machine that has nothing of it. Compose is
// on the host and not with us: what it has to do, somebody is asked to do, and
// the rest goes on when it is seen to be done.
type bootstrap struct {
	*restore
	dir      string
	services []manifest.Service // of the newest snapshot
	chosen   []plan.Source
	config   *ownFiles // nil where no snapshot has them
	// record is what is noted of it, so that a second run goes on; begun says that
	// an earlier one has left it.
	record state.Bootstrap
	begun  bool
}

// bootstrapDir checks what was given as a directory of the host.
func bootstrapDir(dir string) (string, error) {
	switch {
	case !path.IsAbs(dir):
		return "", fmt.Errorf("--bootstrap %s: the directory is one of the host, so name it from the root, as with \"$PWD/shop\"", dir)
	case path.Clean(dir) == "/", compose.KernelPath(path.Clean(dir)), strings.ContainsFunc(dir, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", fmt.Errorf("--bootstrap %q: that is no directory for a project", dir)
	}
	return path.Clean(dir), nil
}

// mountAdvice says what to do where the repository is a directory of our own
// container, which is empty because nothing of the host was mounted there.
func (a *App) mountAdvice(h *host, err error) error {
	if !errors.Is(err, repository.ErrNoRepository) || h.self == nil {
		return err
	}
	t, terr := a.source()
	if terr != nil {
		return err
	}
	loc, lerr := location.Parse(t.place)
	if lerr != nil || !loc.Local() || h.onHost(loc.Path) != "" {
		return err
	}
	return fmt.Errorf("%w; %s is a directory of this container: mount that of the host there, with -v /path/to/the/repository:%s", err, loc.Path, loc.Path)
}

// do decides, shows the plan, and acts.
func (b *bootstrap) do(ctx context.Context) (err error) {
	started := b.app.Now()
	defer func() { b.report.Seconds = b.app.Now().Sub(started).Seconds() }()
	if b.dir, err = bootstrapDir(b.opt.Bootstrap); err != nil {
		return err
	}
	if !compose.IsProject(b.host.project) {
		return fmt.Errorf("%q is no name that Compose gives a project", b.host.project)
	}
	if err := b.decide(ctx); err != nil {
		return err
	}
	b.report.Plan = b.plan
	if len(b.plan.Problems) > 0 {
		return &ProblemsError{Problems: b.plan.Problems}
	}
	if err := b.verifyAll(ctx); err != nil {
		return err
	}
	if b.opt.DryRun {
		return nil
	}
	if b.opt.Confirm != nil {
		if err := b.opt.Confirm(b.plan); err != nil {
			return err
		}
	}
	return b.execute(ctx)
}

// verifyAll proves that every blob is in the index. Dumps are read and proven
// when there is a server for them, and volumes as they are written: nothing is
// there that could be lost by it.
func (b *bootstrap) verifyAll(ctx context.Context) error {
	for _, it := range b.plan.Items {
		src := b.sources[it.Key]
		if _, err := b.extentOf(ctx, src); err != nil {
			return fmt.Errorf("nothing was touched: %s in snapshot %s cannot be restored: %w", it.Key, src.snapshot.ID.Short(), err)
		}
	}
	return nil
}

// decide reads the snapshots and what the host has, and has the plan made.
func (b *bootstrap) decide(ctx context.Context) error {
	sources, warnings, problems, err := b.chooseSources(ctx)
	if err != nil {
		return err
	}
	newest, err := b.newest(ctx)
	if err != nil {
		return err
	}
	b.chosen, b.services = sources, newest.Services
	hist, err := b.history()
	if err != nil {
		return err
	}
	look := plan.RestoreInput{Project: b.found.project, Sources: volumesOf(sources), ForeignUsers: map[string][]string{}}
	if err := b.lookAtVolumes(ctx, &look); err != nil {
		return err
	}
	b.takeUp(hist, len(look.Found) > 0)
	if b.begun && b.record.Dir != b.dir {
		problems = append(problems, fmt.Sprintf("this was begun with the directory %s, and is not at its end: name that", b.record.Dir))
	}
	in := plan.BootstrapInput{
		Project: b.found.project, Begun: b.begun, Done: b.done(), At: b.opt.At, Sources: sources, Services: b.services, Dir: b.dir,
		Files: []plan.BootstrapFile{}, Compose: []string{"docker", "compose"}, Warnings: append(warnings, b.leftOut(newest)...), Problems: problems,
		Found: look.Found, ForeignUsers: look.ForeignUsers, HasState: b.host.state != nil, HasSocket: b.host.hasSocket(),
	}
	if err := b.readConfig(ctx); err != nil {
		return err
	}
	if b.config != nil && in.HasSocket {
		if in.Files, err = b.config.look(ctx, b); err != nil {
			return err
		}
		in.Compose, in.Outline = b.config.compose(b.host.project, b.dir), b.config.outline
	}
	b.plan = plan.MakeBootstrap(in)
	return nil
}

// newest is the manifest by which it is known what the project consists of.
func (b *bootstrap) newest(ctx context.Context) (*manifest.Manifest, error) {
	list, err := b.candidates(ctx)
	if err != nil {
		return nil, err
	}
	return list[0].manifest, nil
}

// leftOut says what does not come back by itself.
func (b *bootstrap) leftOut(m *manifest.Manifest) []string {
	var out []string
	for _, it := range m.Items {
		if it.Kind == manifest.Bind && it.Service == manifest.HostService {
			out = append(out, fmt.Sprintf("%s is not restored: it is the old host's own; name it, by --service %s, once the project runs", it.Key(), manifest.HostService))
		}
	}
	if m.Recovery != nil && strings.HasPrefix(m.Recovery.Repository, "/") {
		out = append(out, "the project's own sidecar keeps its repository in a directory of the host, RIPPLEBAK_DIR or ./backups beside the compose files: bring the repository there before the next backup")
	}
	return out
}

func volumesOf(sources []plan.Source) []plan.Source {
	return slices.DeleteFunc(slices.Clone(sources), func(s plan.Source) bool { return s.Item.Kind != manifest.Volume })
}

// execute carries the plan out. Before anybody is asked for anything, all that
// comes before has to have succeeded.
func (b *bootstrap) execute(ctx context.Context) (err error) {
	if b.listener, err = volume.Listen(b.app.Settings.RunDir); err != nil {
		return err
	}
	defer b.listener.Close()
	if err := b.note(); err != nil {
		return err
	}
	b.restored = b.noteRestored
	for _, op := range b.plan.Operations {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := b.carryOut(ctx, op); err != nil {
			return err
		}
		if err := b.failed(); err != nil {
			return err
		}
	}
	b.remember()
	b.app.record(b.host, func(h *state.History) { delete(h.Bootstraps, b.host.project) })
	b.addNotes()
	return b.verdict()
}

func (b *bootstrap) carryOut(ctx context.Context, op plan.RestoreOperation) error {
	switch op.Do {
	case plan.WriteConfig:
		return b.writeConfig(ctx, op)
	case plan.AskToCopy:
		return b.ask(Asked{Command: op.Command})
	case plan.AskToStart:
		return b.askToStart(ctx, op)
	case plan.RestoreInto:
		return b.restoreInto(ctx, op)
	case plan.AskToStartRest:
		return b.askToStartRest(ctx, op)
	}
	return b.step(ctx, op)
}

// failed says which items of those that were begun are not restored.
func (b *bootstrap) failed() error {
	errs := []error{ErrRestoreFailed}
	for _, it := range b.report.Items {
		if !it.Restored {
			errs = append(errs, fmt.Errorf("%s: %s", it.Key, b.left()))
		}
	}
	if len(errs) == 1 {
		return nil
	}
	return errors.Join(errs...)
}

// restoreInto restores what needs containers, which are there by now: an
// ordinary restore. Nothing has to be saved before in databases whose volumes
// were made since, and binds are filled only where they are empty.
func (b *bootstrap) restoreInto(ctx context.Context, op plan.RestoreOperation) error {
	d, err := b.app.discover(ctx, b.host)
	if err != nil {
		return err
	}
	opt := b.opt
	opt.Sure = true
	if !opt.NoSafety {
		if opt.NoSafety, err = b.allNew(ctx, d, op.Items); err != nil {
			return err
		}
	}
	r := b.app.newRestore(b.id, b.host, d, b.vault, opt)
	r.restored = b.noteRestored
	if b.config != nil {
		r.own = b.config.places(b.dir)
	}
	var sources []plan.Source
	for _, s := range b.chosen {
		if key := s.Item.Key(); slices.Contains(op.Items, key) {
			sources = append(sources, s)
			r.sources[key] = b.sources[key]
		}
	}
	if err := r.decideUpon(ctx, sources, nil, nil); err != nil {
		return err
	}
	if len(r.plan.Problems) > 0 {
		return fmt.Errorf("%s: %w", b.left(), &ProblemsError{Problems: r.plan.Problems})
	}
	for _, w := range r.plan.Warnings {
		b.app.Log.Warn().Msg(b.app.Redactor().Redact(w))
	}
	if err = r.verifyAll(ctx); err == nil {
		err = r.execute(ctx)
	}
	b.report.Safety = r.report.Safety
	b.report.Items = append(b.report.Items, r.report.Items...)
	b.report.Notes = append(b.report.Notes, slices.Concat(r.plan.Warnings, r.report.Notes)...)
	b.report.LeftAlone = append(b.report.LeftAlone, r.leftAloneOf(op.Items)...)
	maps.Copy(b.unsettled, r.unsettled)
	return err
}

// allNew says whether the services whose dumps come back keep what they write in
// volumes that were made since this run began. In older ones somebody may have
// worked meanwhile; in a directory of the host, or on a share, there may be data
// that has outlived the machine.
func (b *bootstrap) allNew(ctx context.Context, d *discovery, keys []string) (bool, error) {
	for _, src := range b.chosen {
		if src.Item.Kind != manifest.Dump || !slices.Contains(keys, src.Item.Key()) {
			continue
		}
		s, _ := d.project.Service(src.Item.Service)
		for _, m := range s.Mounts {
			switch {
			case m.ReadOnly || m.Kind == compose.KindTmpfs:
			case m.Kind != compose.KindVolume:
				return false, nil
			default:
				v, err := b.host.engine.Volume(ctx, m.Name)
				if err != nil {
					return false, err
				}
				if v.Created.Before(b.report.Started.Truncate(time.Second)) || v.Driver != "local" || len(v.Options) > 0 {
					return false, nil
				}
			}
		}
	}
	return true, nil
}

// leftAloneOf are the lines of what was left alone that are of items.
func (r *restore) leftAloneOf(keys []string) []string {
	return slices.DeleteFunc(slices.Clone(r.report.LeftAlone), func(line string) bool {
		return !slices.ContainsFunc(keys, func(key string) bool { return strings.HasPrefix(line, key+":") })
	})
}

// addNotes says what is left to be done.
func (b *bootstrap) addNotes() {
	for _, key := range b.plan.Bootstrap.Done {
		b.report.Notes = append(b.report.Notes, key+" was restored by an earlier run of this")
	}
	if b.config != nil && b.config.sidecar != "" {
		line := append(slices.Clone(b.config.compose(b.host.project, b.dir)), "up", "-d", b.config.sidecar)
		for i := range line {
			line[i] = manifest.ShellWord(line[i])
		}
		b.report.Notes = append(b.report.Notes, fmt.Sprintf("backups are made again once the sidecar runs: cd %s && %s", manifest.ShellWord(b.dir), strings.Join(line, " ")))
	}
}
