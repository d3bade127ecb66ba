package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"sort"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/labels"
	"github.com/ripplebak/ripplebak/plan"
)

// probeTime bounds how long a database may take to say what it is.
const probeTime = 30 * time.Second

// probeAll asks the database of each service that wants a dump.
func (a *App) probeAll(ctx context.Context, h *host, d *discovery) (map[string]plan.Probe, error) {
	probes := map[string]plan.Probe{}
	for name, spec := range d.specs {
		if !spec.Enabled || spec.Dump == nil {
			continue
		}
		engine, ok := dump.Lookup(spec.Dump.Engine)
		if !ok {
			continue // the plan says so
		}
		if d.faulty[name] {
			// Nothing is executed by labels that are not understood as a whole.
			probes[name] = plan.Probe{DataDirs: d.dataDirs(engine, name), Err: errors.New("its labels have to be put right first")}
			continue
		}
		if files, ok := engine.(dump.VolumeEngine); ok {
			probes[name] = a.probeFiles(ctx, h, d, files, spec)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			continue
		}
		p := a.probeService(ctx, h, d, engine, d.requestOf(engine, name))
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		probes[name] = p
	}
	return probes, nil
}

func (a *App) probeService(ctx context.Context, h *host, d *discovery, engine dump.Engine, req dump.Request) plan.Probe {
	p := plan.Probe{DataDirs: d.dataDirs(engine, req.Service)}
	if dump.Offline(engine) {
		return a.probeOffline(ctx, h, d, engine, req, p)
	}
	c, err := runningContainer(d.project, req.Service)
	if err != nil {
		p.Err = err
		return p
	}
	p.Container = c.ID
	p.Facts, p.Err = a.probe(ctx, h, engine, req, c.ID)
	return a.missing(engine, p)
}

// missing notes that a probe has failed because there is no client.
func (a *App) missing(engine dump.Engine, p plan.Probe) plan.Probe {
	var exit *docker.ExitError
	if errors.As(p.Err, &exit) && (exit.Code == 126 || exit.Code == 127) {
		p.Missing = fmt.Sprintf("the client of %q is not in the container: %s", engine.Name(), a.Redactor().Redact(exit.Stderr))
	}
	return p
}

// probeOffline asks the files of a database, in its container where that runs,
// and else in a double.
func (a *App) probeOffline(ctx context.Context, h *host, d *discovery, engine dump.Engine, req dump.Request, p plan.Probe) plan.Probe {
	c, err := runningContainer(d.project, req.Service)
	if err == nil {
		p.Container = c.ID
		p.Facts, p.Err = a.probe(ctx, h, engine, req, c.ID)
		return a.missing(engine, p)
	}
	s, ok := d.project.Service(req.Service)
	if !ok || len(s.Containers) == 0 || s.Containers[0].State == compose.StatePaused {
		p.Err = err
		return p
	}
	twin, err := a.startDouble(ctx, h, runProbe, engine, s.Containers[0].ID)
	if err != nil {
		p.Err = fmt.Errorf("service %q: %w", req.Service, err)
		return p
	}
	p.Container = s.Containers[0].ID
	p.Facts, p.Err = a.probe(ctx, h, engine, req, twin.id)
	if err := twin.close(ctx); err != nil {
		a.Log.Warn().Msg(a.Redactor().Redact(err.Error()))
	}
	return a.missing(engine, p)
}

// probe asks one container. Its error says what the engine makes of it.
func (a *App) probe(ctx context.Context, h *host, engine dump.Engine, req dump.Request, container string) (dump.Facts, error) {
	cmd := engine.Probe(req)
	out, _, err := h.engine.Run(ctx, docker.ExecRequest{
		Container: container, Argv: cmd.Argv, Stdin: known(cmd), Stall: probeTime, Deadline: probeTime,
	})
	if err != nil {
		return dump.Facts{}, a.explain(engine, req.Service, err)
	}
	facts, err := engine.ParseProbe(req, out)
	if err != nil {
		return dump.Facts{}, fmt.Errorf("ask the database of service %q: %w", req.Service, err)
	}
	a.Redactor().Public(factNames(facts)...)
	return facts, nil
}

// known is the input of a command that was known beforehand, or nil.
func known(cmd dump.Command) io.Reader {
	if len(cmd.Input) == 0 {
		return nil
	}
	return strings.NewReader(strings.Join(cmd.Input, "\n") + "\n")
}

// requestOf is what the labels of today ask for, if they name the engine; else
// what holds whatever they name.
func (d *discovery) requestOf(engine dump.Engine, service string) dump.Request {
	req := dump.Request{Service: service, Argv: d.argvOf(service)}
	spec := d.specs[service].Dump
	if spec == nil {
		return req
	}
	req.User = spec.User
	if spec.Engine == engine.Name() {
		req.Databases, req.Command, req.RestoreCommand = spec.Databases, spec.Command, spec.RestoreCommand
	}
	return req
}

// argvOf is the command line of a service's first container.
func (d *discovery) argvOf(service string) dump.Secrets {
	s, ok := d.project.Service(service)
	if !ok || len(s.Containers) == 0 {
		return nil
	}
	return d.containers[s.Containers[0].ID].Argv()
}

// explain adds what the engine knows of an error text.
func (a *App) explain(engine dump.Engine, service string, err error) error {
	var exit *docker.ExitError
	if errors.As(err, &exit) {
		if why := engine.Explain(exit.Stderr, exit.Code); why != "" {
			return fmt.Errorf("service %q: %s: %w", service, why, err)
		}
	}
	return fmt.Errorf("service %q: %w", service, err)
}

// dataDirs are the engine's own directories as the container's environment
// says, for a server that cannot be asked.
func (d *discovery) dataDirs(engine dump.Engine, service string) []string {
	s, ok := d.project.Service(service)
	if !ok || len(s.Containers) == 0 {
		return nil
	}
	var targets []string
	for _, m := range s.Mounts {
		targets = append(targets, m.Target)
	}
	env := func(name string) string {
		v, _ := d.containers[s.Containers[0].ID].LookupEnv(name)
		return v
	}
	return engine.FallbackDataDirs(env, targets)
}

// foreignWriters are running containers outside the project that write to its
// services' volumes, by volume.
func (a *App) foreignWriters(ctx context.Context, h *host, d *discovery) (map[string][]string, error) {
	out := map[string][]string{}
	for _, s := range d.project.Services {
		for _, m := range s.Mounts {
			place := m.Name
			if m.Kind == compose.KindBind && d.specs[s.Name].Binds.Mode != labels.Default {
				place = path.Clean(m.Source)
			}
			if place == "" || place == "/" || out[place] != nil {
				continue
			}
			users, err := h.foreignUsers(ctx, place, true)
			if err != nil {
				return nil, err
			}
			out[place] = users
		}
	}
	return out, nil
}

// foreignUsers names the running containers outside the project, ours left
// out, that mount a volume.
func (h *host) foreignUsers(ctx context.Context, volume string, writers bool) ([]string, error) {
	users, err := h.engine.VolumeUsers(ctx, volume)
	if errors.Is(err, docker.ErrNoVolume) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, c := range users {
		_, helper := c.Labels[compose.LabelHelper]
		oneOff := c.Labels[compose.LabelOneOff] == "True"
		sidecar := c.Labels[compose.LabelSidecar] == "true"
		mine := c.Project() == h.project && !oneOff || c.ID == h.selfID() || helper || sidecar
		if mine || !c.Running || writers && !writes(c, volume) {
			continue
		}
		names = append(names, "container "+c.Name)
	}
	sort.Strings(names)
	return names, nil
}

func writes(c docker.Container, volume string) bool {
	for _, m := range c.Mounts {
		if m.RW && (m.Name == volume || path.IsAbs(volume) && compose.Within(m.Source, volume)) {
			return true
		}
	}
	return false
}
