package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/labels"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/sidecar/schedule"
	"github.com/ripplebak/ripplebak/sidecar/settings"
)

// discovery is the project as it is now, and what its labels ask for.
type discovery struct {
	project     compose.Project
	containers  map[string]docker.Container // by ID
	specs       map[string]labels.Spec
	volumeSpecs map[string]labels.VolumeSpec
	problems    []string
	faulty      map[string]bool // services whose labels have problems
	config      compose.Config
	notices     []string
}

// discover reads the project. One bad container or label never hides the rest.
func (a *App) discover(ctx context.Context, h *host) (*discovery, error) {
	found, err := h.engine.ProjectContainers(ctx, h.project)
	if err != nil {
		return nil, err
	}
	d := &discovery{containers: map[string]docker.Container{}}
	images := map[string]map[string]string{}
	var cs, selves []compose.Container
	for _, c := range found {
		if h.isSelf(c) {
			selves = append(selves, composeContainer(c, nil))
			continue // the others of our kind are left out by their label, with a notice
		}
		d.containers[c.ID] = c
		if _, ok := images[c.ImageID]; !ok {
			l, err := h.engine.ImageLabels(ctx, c.ImageID)
			if err != nil && !errors.Is(err, docker.ErrNoImage) {
				return nil, err
			}
			images[c.ImageID] = l
		}
		cs = append(cs, composeContainer(c, images[c.ImageID]))
		a.Redactor().AddFound(environmentSecrets(c)...)
		a.Redactor().AddFound(argumentSecrets(c)...)
		a.Redactor().Public(environmentNames(c)...)
	}
	vols, err := a.volumes(ctx, h, found)
	if err != nil {
		return nil, err
	}
	d.config = compose.ConfigOf(h.project, slices.Concat(selves, cs))
	var faults []error
	d.project, faults = compose.FromContainers(h.project, cs, vols)
	for _, f := range faults {
		d.notices = append(d.notices, f.Error())
	}
	d.notices = append(d.notices, d.project.Notes...)
	a.Redactor().Public(d.names()...)
	d.readLabels(a.Settings)
	d.specs = plan.Recognise(d.project, d.specs, a.Settings.Auto)
	return d, nil
}

func composeContainer(c docker.Container, imageLabels map[string]string) compose.Container {
	out := compose.Container{
		ID: c.ID, Name: c.Name, State: c.State, Health: c.Health, Labels: c.Labels,
		Image: c.Image, ImageID: c.ImageID, ImageLabels: imageLabels,
		EnvNames: c.EnvNames(), HasHealthcheck: c.HasHealthcheck, NetworkMode: c.NetworkMode,
		AutoRemove: c.AutoRemove,
	}
	for _, m := range c.Mounts {
		out.Mounts = append(out.Mounts, compose.Mount{Kind: m.Type, Name: m.Name, Source: m.Source, Target: m.Destination, ReadOnly: !m.RW})
	}
	return out
}

// volumes are the project's own and the external ones that its containers
// mount. They are inspected, never created. Those that only we mount are ours.
func (a *App) volumes(ctx context.Context, h *host, cs []docker.Container) ([]compose.Volume, error) {
	own, err := h.engine.ProjectVolumes(ctx, h.project)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var out []compose.Volume
	add := func(v docker.Volume) {
		seen[v.Name] = true
		out = append(out, compose.Volume{Name: v.Name, Driver: v.Driver, Options: v.Options, Labels: v.Labels})
	}
	ours := h.ownVolumes(cs)
	for _, v := range own {
		if !ours[v.Name] {
			add(v)
		}
	}
	for _, c := range cs {
		for _, m := range c.Mounts {
			if m.Type != compose.KindVolume || m.Name == "" || seen[m.Name] || ours[m.Name] {
				continue
			}
			v, err := h.engine.Volume(ctx, m.Name)
			switch {
			case errors.Is(err, docker.ErrNoVolume):
				continue // the plan says so of the item
			case err != nil:
				return nil, err
			}
			add(v)
		}
	}
	return out, nil
}

// ownVolumes are the names of the volumes that our service mounts and no other.
func (h *host) ownVolumes(cs []docker.Container) map[string]bool {
	ours := map[string]bool{}
	for _, self := range []bool{true, false} {
		for _, c := range cs {
			for _, m := range c.Mounts {
				if h.isSelf(c) == self && m.Name != "" {
					ours[m.Name] = self
				}
			}
		}
	}
	return ours
}

// readLabels parses the labels of every service and volume, and gathers every
// problem.
func (d *discovery) readLabels(set *settings.Settings) {
	d.specs, d.faulty = map[string]labels.Spec{}, map[string]bool{}
	d.volumeSpecs = map[string]labels.VolumeSpec{}
	for _, s := range d.project.Services {
		spec, problems := labels.Parse(labels.Source{
			Service: s.Name, Labels: s.Labels, ImageLabels: s.ImageLabels, TrustImage: set.TrustImageLabels, Mounts: labelMounts(s),
		})
		problems = append(problems, scheduleProblems(spec, set.Location)...)
		d.specs[s.Name] = spec
		for _, p := range problems {
			d.problems = append(d.problems, p.Error())
			d.faulty[s.Name] = true
		}
		for _, n := range spec.Notices {
			d.notices = append(d.notices, n.String())
		}
	}
	for _, v := range d.project.Volumes {
		spec, problems := labels.ParseVolume(v.Key, v.Labels)
		d.volumeSpecs[v.Key] = spec
		for _, p := range problems {
			d.problems = append(d.problems, p.Error())
		}
	}
}

// labelSchedule is the label of a service's own schedule.
const labelSchedule = labels.Prefix + "schedule"

// scheduleProblems says what is wrong with a service's schedule, which the
// grammar of labels does not know.
func scheduleProblems(spec labels.Spec, zone *time.Location) []labels.Problem {
	if spec.Schedule == "" {
		return nil
	}
	_, err := schedule.Parse(spec.Schedule, zone)
	if err == nil {
		return nil
	}
	return []labels.Problem{{Service: spec.Service, Label: labelSchedule, Reason: err.Error()}}
}

func labelMounts(s compose.Service) []labels.Mount {
	var out []labels.Mount
	for _, m := range s.Mounts {
		out = append(out, labels.Mount{Kind: m.Kind, Volume: m.Volume, Source: m.Source, Target: m.Target})
	}
	return out
}

// runningContainer returns the service's running container with the lowest
// number.
func runningContainer(p compose.Project, service string) (compose.Container, error) {
	s, ok := p.Service(service)
	if !ok || len(s.Containers) == 0 {
		return compose.Container{}, fmt.Errorf("service %q has no container: start it with %q", service, p.Up(service))
	}
	for _, c := range s.Containers {
		if c.State == compose.StateRunning {
			return c, nil
		}
	}
	return compose.Container{}, fmt.Errorf("service %q is not running: its container %s is %s", service, s.Containers[0].Name, s.Containers[0].State)
}
