package sidecar

import (
	"context"
	"errors"
	"fmt"

	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/volume"
)

// probeRecorded looks which of a service's databases that are to come back are
// there today, where they were when they were dumped.
func (r *restore) probeRecorded(ctx context.Context, engine dump.VolumeEngine, service string, sources []plan.Source) plan.Probe {
	p := plan.Probe{Facts: dump.Facts{Engine: engine.Name(), FreeBytes: -1, SQLite: &dump.SQLiteFacts{}}}
	if s, ok := r.found.project.Service(service); ok && len(s.Containers) > 0 {
		p.Container = s.Containers[0].ID
	}
	within := map[string][]string{}
	names := map[[2]string]string{}
	for _, s := range sources {
		if s.Item.Kind != manifest.Dump || s.Item.Service != service {
			continue
		}
		_, facts, err := dumpedFacts(s.Item)
		if err != nil || facts.SQLite == nil {
			continue // said elsewhere
		}
		for _, f := range facts.SQLite.Files {
			within[f.Volume] = append(within[f.Volume], f.Path)
			names[[2]string{f.Volume, f.Path}] = f.Name
		}
	}
	var searches []dump.Search
	for v, paths := range within {
		searches = append(searches, dump.Search{Volume: v, Within: paths})
	}
	found, err := r.app.findDatabases(ctx, r.host, r.found.project, searches, nil)
	if err != nil {
		p.Err = fmt.Errorf("look for the databases of service %q: %w", service, err)
		return p
	}
	for _, f := range found {
		name, ok := names[[2]string{f.Volume, f.Path}]
		if !ok {
			continue
		}
		p.Facts.Databases = append(p.Facts.Databases, dump.Database{Name: name, Size: f.Size, AllowConn: true})
		p.Facts.SQLite.Files = append(p.Facts.SQLite.Files, dump.SQLiteFile{Name: name, Volume: f.Volume, Path: f.Path, Owner: f.Owner})
	}
	return p
}

// confirmAlone judges a dump where it lies, before anybody is started upon it:
// if it is whole the old file goes, else it comes back.
func (r *restore) confirmAlone(ctx context.Context, key string) error {
	p := r.placed[key]
	if p == nil {
		return nil // it has failed before
	}
	r.app.crash("before-confirm")
	err := r.checkAlone(ctx, key, p)
	if err != nil {
		err = r.takeAloneBack(ctx, p, err)
	}
	delete(r.placed, key)
	p.end(err)
	switch cause := context.Cause(ctx); {
	case err == nil:
		return nil
	case cause != nil:
		return cause
	case r.torn():
		return err
	}
	return nil
}

// checkAlone checks the file and lets go of the old one.
func (r *restore) checkAlone(ctx context.Context, key string, p *placedDump) (err error) {
	it, _ := r.plan.Item(key)
	engine, dumped, err := dumpedFacts(r.sources[key].item)
	if err != nil {
		return err
	}
	files, ok := engine.(dump.VolumeEngine)
	if !ok {
		return fmt.Errorf("%s needs a server to judge the dump", engine.Name())
	}
	c, err := r.app.startHelperAs(ctx, r.host, r.listener, r.id, []string{p.entries[0].Docker}, toJudge)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := c.close(ctx); cerr != nil {
			r.app.Log.Warn().Msg(r.app.Redactor().Redact(cerr.Error()))
		}
	}()
	info, err := c.peer.CheckDatabase(ctx, c.mountPoint(0), it.Placed[0].Place[0])
	if err != nil {
		return err
	}
	now := dump.Facts{SQLite: &dump.SQLiteFacts{Files: []dump.SQLiteFile{{Checked: &dump.CheckedFile{Pages: info.Pages, PageSize: info.PageSize, Problem: info.Problem}}}}}
	notes, err := files.Came(r.proofs[key], dumped, now)
	if err != nil {
		return err
	}
	p.out.Notes = append(p.out.Notes, notes...)
	p.out.Verified = append(p.out.Verified, "quick_check has found the file whole in the volume")
	if _, err = c.peer.Keep(ctx, c.mountPoint(0), p.entries[0].ID); err != nil {
		return err
	}
	r.forgetHeld(p.entries[0])
	r.noteLess()
	return nil
}

// takeAloneBack brings the old file back, where the volume's journal says that
// it is to. Nobody runs upon it.
func (r *restore) takeAloneBack(ctx context.Context, p *placedDump, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resumeTime)
	defer cancel()
	err := r.unused(ctx, p.entries[0].Docker)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnsettled, errors.Join(why, err))
	}
	r.letGo(p)
	outcome, err := r.app.recoverVolume(ctx, r.host, r.listener, p.entries[0], false)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnsettled, errors.Join(why, err))
	}
	r.forgetHeld(p.entries[0])
	r.noteLess()
	if outcome == volume.RolledForward {
		p.out.Notes = append(p.out.Notes, "was interrupted and then finished: "+r.app.Redactor().Redact(why.Error()))
		return nil
	}
	return why
}
