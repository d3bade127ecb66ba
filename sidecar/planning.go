package sidecar

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/labels"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/storage/location"
)

// Plan says what a backup of the given services (none: all) would do. It
// changes nothing.
func (a *App) Plan(ctx context.Context, services []string) (_ *plan.Plan, err error) {
	h, err := a.lookAround(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.engine.Close()) }()
	p, _, err := a.makePlan(ctx, h, services, nil)
	if err != nil {
		return nil, err
	}
	p.Warnings = append(p.Warnings, a.standing(p)...)
	p.Warnings = append(p.Warnings, a.undumped(ctx, h, p)...)
	return p, nil
}

// makePlan reads everything that a plan is decided upon, and has it made.
// due is plan.Input.Due.
func (a *App) makePlan(ctx context.Context, h *host, services, due []string) (*plan.Plan, *discovery, error) {
	d, err := a.discover(ctx, h)
	if err != nil {
		return nil, nil, err
	}
	probes, err := a.probeAll(ctx, h, d)
	if err != nil {
		return nil, nil, err
	}
	foreign, err := a.foreignWriters(ctx, h, d)
	if err != nil {
		return nil, nil, err
	}
	if len(services) == 0 {
		services = nil
	}
	if !a.Settings.Config {
		d.config = compose.Config{}
	}
	p := plan.Make(plan.Input{
		Project: d.project, Specs: d.specs, VolumeSpecs: d.volumeSpecs,
		Problems: d.problems, Notices: d.notices, Probes: probes, ForeignWriters: foreign, Config: d.config, Own: a.ownPaths(h), HostPaths: a.Settings.HostPaths, Select: services, Due: due,
		HasState: h.state != nil, HasSocket: h.hasSocket(), LocalRepository: a.localRepository(), Engine: dump.Lookup,
		Pre: plan.Hook(a.Settings.Pre), Post: plan.Hook(a.Settings.Post),
	})
	return p, d, nil
}

// ownPaths are the paths of the host that are the sidecar's own, as far as they
// are known: local repositories, its state, and the directory of its socket; and
// those that are Docker's.
func (a *App) ownPaths(h *host) []plan.OwnPath {
	var out []plan.OwnPath
	add := func(p, what string) {
		if p = h.onHost(p); p == "" {
			return
		}
		out = append(out, plan.OwnPath{Path: p, What: what})
		if h.self == nil { // else links of the host cannot be followed
			if real, err := filepath.EvalSymlinks(p); err == nil && real != p {
				out = append(out, plan.OwnPath{Path: real, What: what})
			}
		}
	}
	repositories := []string{a.Settings.Repository}
	for _, c := range a.Settings.Copies {
		repositories = append(repositories, c.Repository)
	}
	for _, r := range repositories {
		if l, err := location.Parse(r); err == nil && l.Local() {
			add(l.Path, "a repository")
		}
	}
	add(a.Settings.StateDir, "the state of ripplebak")
	add(a.Settings.RunDir, "the directory of the helpers' socket")
	// The files of images and containers are of no use to anybody but the Engine
	// that runs upon them, and those of volumes are saved as volumes.
	out = append(out, plan.OwnPath{Path: "/var/lib/containerd", What: "containerd's own data"})
	if root := path.Clean(h.info.DataRoot); path.IsAbs(root) && root != "/" {
		out = append(out, plan.OwnPath{Path: root, What: "Docker's own data", But: path.Join(root, "volumes")})
	}
	return out
}

// localRepository is the path of a repository on this machine, or empty.
func (a *App) localRepository() string {
	l, err := location.Parse(a.Settings.Repository)
	if err != nil || !l.Local() {
		return ""
	}
	return l.Path
}

// PlanFile makes a plan of compose files before anything runs. What only a
// running container can say is left open.
func (a *App) PlanFile(ctx context.Context, files []string, services []string) (*plan.Plan, error) {
	project, err := compose.FromFile(ctx, files, compose.FileOptions{ProjectName: a.Settings.Project, Env: a.Settings.Environment()})
	if err != nil {
		return nil, err
	}
	d := &discovery{project: project, notices: project.Notes}
	d.readLabels(a.Settings)
	d.specs = plan.Recognise(d.project, d.specs, a.Settings.Auto)
	probes := map[string]plan.Probe{}
	for name, spec := range d.specs {
		if spec.Enabled && spec.Dump != nil {
			probes[name] = fileProbe(d, spec)
		}
	}
	if len(services) == 0 {
		services = nil
	}
	for i := range d.project.Volumes {
		d.project.Volumes[i].Exists = true // Compose makes them
	}
	if a.Settings.Config {
		d.config = compose.ConfigOfFiles(project)
	}
	return plan.Make(plan.Input{
		Project: d.project, Specs: d.specs, VolumeSpecs: d.volumeSpecs, Problems: d.problems, Notices: d.notices,
		Probes: probes, Config: d.config, HostPaths: a.Settings.HostPaths, Select: services, HasState: true, HasSocket: true, Engine: dump.Lookup,
		Pre: plan.Hook(a.Settings.Pre), Post: plan.Hook(a.Settings.Post),
	}), nil
}

// fileProbe stands for a database that does not run yet: the databases that
// the label names, or the one that the image makes.
func fileProbe(d *discovery, spec labels.Spec) plan.Probe {
	engine, ok := dump.Lookup(spec.Dump.Engine)
	if !ok {
		return plan.Probe{}
	}
	s, _ := d.project.Service(spec.Service)
	var targets []string
	for _, m := range s.Mounts {
		targets = append(targets, m.Target)
	}
	dirs := engine.FallbackDataDirs(func(string) string { return "" }, targets)
	if spec.Dump.Databases == nil {
		return plan.Probe{DataDirs: dirs, Later: fmt.Sprintf("which databases there are is known once service %q runs", spec.Service)}
	}
	return plan.Probe{DataDirs: dirs, Later: "how it is dumped is known once its service runs"}
}
