package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/repository"
)

// checkTargets asks the databases that run whether they can take their dumps.
// A dump of a newer server into an older one is a problem, found before
// anything is touched.
func (r *restore) checkTargets(ctx context.Context, sources []plan.Source) ([]string, error) {
	r.probes = map[string]plan.Probe{}
	var problems []string
	for _, s := range sources {
		if s.Item.Kind != manifest.Dump {
			continue
		}
		engine, facts, err := dumpedFacts(s.Item)
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", s.Item.Key(), err))
			continue
		}
		p, ok := r.probes[s.Item.Service]
		if files, alone := engine.(dump.VolumeEngine); !ok && alone {
			p = r.probeRecorded(ctx, files, s.Item.Service, sources)
			r.probes[s.Item.Service] = p
		} else if !ok {
			p = r.app.probeService(ctx, r.host, r.found, engine, r.found.requestOf(engine, s.Item.Service))
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			r.probes[s.Item.Service] = p
		}
		problems = append(problems, r.checkLabels(engine, s.Item, facts)...)
		problems = append(problems, checkTarget(engine, s.Item, facts, p)...)
		problems = append(problems, r.checkNewName(engine, s, p)...)
		problems = append(problems, r.place(engine, s.Item.Key(), facts, p)...)
	}
	return problems, nil
}

// checkLabels refuses a dump that the labels of today cannot bring back, and
// notes what command changes data where it lies.
func (r *restore) checkLabels(engine dump.Engine, item manifest.Item, dumped dump.Facts) []string {
	req := r.found.requestOf(engine, item.Service)
	if checker, ok := engine.(dump.RestoreChecker); ok {
		if err := checker.CheckRestore(req); err != nil {
			return []string{fmt.Sprintf("%s: %v", item.Key(), err)}
		}
	}
	if engine, ok := engine.(dump.InPlace); ok && item.Name != "" {
		command, note := engine.InPlace(item.Name, req, dumped)
		r.inPlace[item.Key()] = plan.InPlace{Command: command, Note: note}
	}
	return nil
}

func checkTarget(engine dump.Engine, item manifest.Item, dumped dump.Facts, p plan.Probe) []string {
	switch {
	case p.Missing != "":
		return []string{fmt.Sprintf("%s: %s", item.Key(), p.Missing)}
	case p.Err != nil:
		return nil // it is asked again once it has been started
	}
	if err := engine.CanRestore(dumped, p.Facts); err != nil {
		return []string{fmt.Sprintf("%s: %v", item.Key(), err)}
	}
	if item.Name == "" {
		return nil
	}
	need := engine.SpaceNeeded(dumped, item.Name, item.Bytes)
	if free := p.Facts.FreeBytes; free >= 0 && free < need {
		return []string{fmt.Sprintf("%s: the database's filesystem has %d bytes free, and %d are needed beside the old data", item.Key(), free, need)}
	}
	return nil
}

// userOf is the database user that the service's label names today.
func (r *restore) userOf(service string) string {
	if d := r.found.specs[service].Dump; d != nil {
		return d.User
	}
	return ""
}

// dumpedFacts is what the manifest says of the server that was dumped.
func dumpedFacts(item manifest.Item) (dump.Engine, dump.Facts, error) {
	if item.DumpInfo == nil {
		return nil, dump.Facts{}, errors.New("the manifest does not say how it was dumped")
	}
	engine, ok := dump.Lookup(item.DumpInfo.Engine)
	if !ok {
		return nil, dump.Facts{}, fmt.Errorf("the engine %q is not part of this version", item.DumpInfo.Engine)
	}
	var facts dump.Facts
	if err := json.Unmarshal(item.DumpInfo.Facts, &facts); err != nil {
		return nil, dump.Facts{}, fmt.Errorf("read the manifest's facts: %w", err)
	}
	return engine, facts, nil
}

// verify proves that everything which the restore needs is there, before
// anything is touched: of volumes every blob is in the index, dumps are read,
// authenticated and proven in full. It says how much the volumes hold, by key.
func (r *restore) verify(ctx context.Context) (map[string]repository.Extent, error) {
	extents := map[string]repository.Extent{}
	for _, it := range r.plan.Items {
		src := r.sources[it.Key]
		var err error
		switch it.Kind {
		case manifest.Volume, manifest.Bind, manifest.Config:
			extents[it.Key], err = r.extentOf(ctx, src)
		case manifest.Dump:
			err = r.verifyDump(ctx, src)
		}
		if err != nil {
			return nil, fmt.Errorf("nothing was touched: %s in snapshot %s cannot be restored: %w", it.Key, src.snapshot.ID.Short(), err)
		}
	}
	return extents, nil
}

func (r *restore) verifyDump(ctx context.Context, src *sourceItem) error {
	engine, dumped, err := dumpedFacts(src.item)
	if err != nil {
		return err
	}
	for _, f := range src.item.DumpInfo.Files {
		stream, err := r.openDump(ctx, src, f.Name)
		if err != nil {
			return err
		}
		proof := engine.Judge(dump.Role(f.Role), src.item.Name)
		_, err = io.Copy(proof, stream)
		if err = errors.Join(err, stream.Close()); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		if err := proof.Finish(); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		if role := dump.Role(f.Role); role == dump.RoleDatabase || role == dump.RoleGlobals {
			r.proofs[src.item.Key()] = proof
		}
		if files, ok := engine.(dump.FileEngine); ok {
			if err := files.Fits(proof, dumped, targetOfProbe(r.probes[src.item.Service])); err != nil {
				return err
			}
		}
	}
	return nil
}

// openDump opens a file of a dump. Its bytes are authenticated as they are
// read, and EOF comes only after as many as the file has.
func (r *restore) openDump(ctx context.Context, src *sourceItem, name string) (io.ReadCloser, error) {
	node, err := r.vault.repo.Resolve(ctx, *src.node.Subtree, name)
	if err != nil {
		return nil, err
	}
	return repository.NewFileReader(ctx, r.vault.repo, node), nil
}

// dumpFileOf is the name of the item's file with a role, or "".
func dumpFileOf(item manifest.Item, role dump.Role) string {
	for _, f := range item.DumpInfo.Files {
		if f.Role == string(role) {
			return f.Name
		}
	}
	return ""
}

// maxSQL bounds the properties and globals that are read into memory.
const maxSQL = 64 << 20

func (r *restore) readSQL(ctx context.Context, src *sourceItem, role dump.Role) ([]byte, error) {
	name := dumpFileOf(src.item, role)
	if name == "" {
		return nil, nil
	}
	node, err := r.vault.repo.Resolve(ctx, *src.node.Subtree, name)
	if err != nil {
		return nil, err
	}
	return readSmall(ctx, r.vault.repo, node, maxSQL)
}

// runStep runs one command of a restore in the database's container. A step
// that fails is undone, where it says how.
func (a *App) runStep(ctx context.Context, h *host, engine dump.Engine, service, container string, s dump.Step, input io.Reader) error {
	if s.CrashPoint != "" {
		a.crash(s.CrashPoint)
	}
	began := a.Now()
	err := h.engine.Do(ctx, docker.ExecRequest{
		// No stall: while a large index is built nothing moves for hours.
		Container: container, Argv: s.Command.Argv, Stdin: input, Deadline: a.Settings.Deadline,
	})
	a.Log.Debug().Str("service", service).Str("step", s.Name).Dur("duration", a.Now().Sub(began)).Msg("step of a restore")
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", s.Name, a.explain(engine, service, err))
	if s.Undo == nil {
		return err
	}
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTime)
	defer cancel()
	if uerr := h.engine.Do(detached, docker.ExecRequest{Container: container, Argv: s.Undo.Argv, Deadline: probeTime}); uerr != nil {
		return errors.Join(err, fmt.Errorf("undo %s: %w", s.Name, uerr))
	}
	return err
}
