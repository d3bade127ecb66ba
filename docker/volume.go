package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"sort"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"
)

// Volume is what the Engine knows of a volume.
type Volume struct {
	Name, Driver string
	// Mountpoint is where it lies on the Engine's host.
	Mountpoint string
	Labels     map[string]string
	Options    map[string]string
	Scope      string
	Created    time.Time
}

func isGone(err error) bool {
	return errors.Is(err, ErrNoContainer)
}

// Volume reads one volume and never creates it. ErrNoVolume where there is none.
func (e *Engine) Volume(ctx context.Context, name string) (Volume, error) {
	var out Volume
	err := e.retry(ctx, "GET /volumes/{name}", func(ctx context.Context) error {
		v, err := e.cli.VolumeInspect(ctx, name)
		if errdefs.IsNotFound(err) {
			return fmt.Errorf("%w: %s", ErrNoVolume, name)
		}
		out = volumeOf(v)
		return err
	})
	return out, err
}

// ProjectVolumes lists the volumes that Compose made for a project, by name.
// External ones are not among them.
func (e *Engine) ProjectVolumes(ctx context.Context, project string) ([]Volume, error) {
	var list volume.ListResponse
	err := e.retry(ctx, "GET /volumes", func(ctx context.Context) (err error) {
		list, err = e.cli.VolumeList(ctx, volume.ListOptions{Filters: filters.NewArgs(filters.Arg("label", labelProject+"="+project))})
		return err
	})
	if err != nil {
		return nil, err
	}
	var out []Volume
	for _, v := range list.Volumes {
		if v != nil && v.Labels[labelProject] == project {
			out = append(out, volumeOf(*v))
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

// VolumeUsers lists every container of the Engine, of any project, running or
// not, that mounts the volume, or that binds the host directory where its
// files lie or one below it. An absolute path is a directory of the host.
func (e *Engine) VolumeUsers(ctx context.Context, name string) ([]Container, error) {
	v, err := Volume{Mountpoint: path.Clean(name)}, error(nil)
	if !path.IsAbs(name) {
		v, err = e.Volume(ctx, name)
	}
	if err != nil {
		return nil, err
	}
	// The Engine's filter by volume compares destinations too, and not binds.
	list, err := e.list(ctx, filters.NewArgs())
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, s := range list {
		for _, m := range s.Mounts {
			if uses(v, string(m.Type), m.Name, m.Source) {
				ids = append(ids, s.ID)
				break
			}
		}
	}
	return e.inspectAll(ctx, ids, func(c Container) bool {
		for _, m := range c.Mounts {
			if uses(v, m.Type, m.Name, m.Source) {
				return true
			}
		}
		return false
	})
}

// uses reports whether a mount reaches the files of a volume.
func uses(v Volume, kind, name, source string) bool {
	if kind == "volume" {
		return name == v.Name || v.Name == "" && within(source, v.Mountpoint)
	}
	if kind != "bind" {
		return false
	}
	return within(source, v.Mountpoint) || (v.Options["o"] != "" && within(source, v.Options["device"]))
}

// within reports whether a path is a directory or lies below it.
func within(p, dir string) bool {
	if !path.IsAbs(dir) || path.Clean(dir) == "/" {
		return false
	}
	p, dir = path.Clean(p), path.Clean(dir)
	return p == dir || strings.HasPrefix(p, dir+"/")
}

// CreateVolume makes a volume for a restore, with Compose's labels, so that
// Compose takes it for its own. One that exists already and has these labels
// and this driver is fine; another one is ErrVolumeDiffers.
func (e *Engine) CreateVolume(ctx context.Context, v Volume) error {
	if v.Name == "" {
		return errors.New("create volume: no name")
	}
	have, err := e.Volume(ctx, v.Name)
	if errors.Is(err, ErrNoVolume) {
		err = e.retry(ctx, "POST /volumes/create", func(ctx context.Context) error {
			made, err := e.cli.VolumeCreate(ctx, volume.CreateOptions{Name: v.Name, Driver: v.Driver, DriverOpts: v.Options, Labels: v.Labels})
			have = volumeOf(made)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("create volume %s: %w", v.Name, err)
	}
	driver := v.Driver
	if driver == "" {
		driver = "local"
	}
	if have.Driver != driver || !maps.Equal(orEmpty(have.Options), orEmpty(v.Options)) {
		return fmt.Errorf("create volume %s: %w, with another driver or other options", v.Name, ErrVolumeDiffers)
	}
	for k, want := range v.Labels {
		if have.Labels[k] != want {
			return fmt.Errorf("create volume %s: %w, with another label %s", v.Name, ErrVolumeDiffers, k)
		}
	}
	return nil
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func volumeOf(v volume.Volume) Volume {
	return Volume{
		Name: v.Name, Driver: v.Driver, Mountpoint: v.Mountpoint, Labels: orEmpty(v.Labels),
		Options: orEmpty(v.Options), Scope: v.Scope, Created: timeOf(v.CreatedAt),
	}
}
