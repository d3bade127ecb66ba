package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/labels"
)

// world is a project as a test writes it down. It goes through the packages
// that make a project and read its labels, so that tests see what a run sees.
type world struct {
	name     string
	services []svc
	volumes  map[string]map[string]string // labels of a volume by key; every mounted one exists anyway
	external []string                     // volumes without the project's label, by Docker's name
	gone     []string                     // volumes that do not exist, by Docker's name
	others   []compose.Container
}

type svc struct {
	name, image, state string            // running by default
	labels             map[string]string // without the prefix
	imageLabels        map[string]string
	mounts             []string // KEY:TARGET[:ro], =NAME:TARGET for Docker's own name, anon:TARGET, bind:TARGET[:ro]
	deps               []string // NAME, or NAME! with restart: true
	network            string
	env                []string
}

func (w world) container(s svc) compose.Container {
	image, state := s.image, s.state
	if image == "" {
		image = "example/" + s.name
	}
	if state == "" {
		state = compose.StateRunning
	}
	c := compose.Container{
		ID: "id-" + s.name, Name: w.name + "-" + s.name + "-1", State: state, Image: image, ImageLabels: s.imageLabels, NetworkMode: s.network, EnvNames: s.env,
		Labels: map[string]string{compose.LabelProject: w.name, compose.LabelService: s.name, compose.LabelNumber: "1", compose.LabelConfigHash: "hash"},
	}
	for k, v := range s.imageLabels {
		c.Labels[k] = v
	}
	for k, v := range s.labels {
		c.Labels[labels.Prefix+k] = v
	}
	var deps []string
	for _, d := range s.deps {
		name, restart := strings.CutSuffix(d, "!")
		deps = append(deps, fmt.Sprintf("%s:service_started:%t", name, restart))
	}
	c.Labels[compose.LabelDependsOn] = strings.Join(deps, ",")
	for i, m := range s.mounts {
		c.Mounts = append(c.Mounts, w.mount(s, i, m))
	}
	return c
}

func (w world) mount(s svc, i int, text string) compose.Mount {
	f := strings.Split(text, ":")
	m := compose.Mount{Kind: compose.KindVolume, Name: w.name + "_" + f[0], Target: f[1], ReadOnly: len(f) > 2}
	switch name, own := strings.CutPrefix(f[0], "="); {
	case own:
		m.Name = name
	case f[0] == "anon":
		m.Name = fmt.Sprintf("%064x", 1+i+len(s.name)<<8)
	case f[0] == "bind":
		m.Kind, m.Name, m.Source = compose.KindBind, "", "/srv"+f[1]
	}
	return m
}

func (w world) project(t testing.TB) compose.Project {
	t.Helper()
	var cs []compose.Container
	seen := map[string]bool{}
	var vols []compose.Volume
	add := func(name, key string) {
		if seen[name] || slices.Contains(w.gone, name) {
			return
		}
		seen[name] = true
		v := compose.Volume{Name: name, Driver: "local", Labels: map[string]string{}}
		if !slices.Contains(w.external, name) {
			v.Labels = map[string]string{compose.LabelProject: w.name, compose.LabelVolume: key}
		}
		for k, l := range w.volumes[key] {
			v.Labels[labels.Prefix+k] = l
		}
		vols = append(vols, v)
	}
	for _, s := range w.services {
		c := w.container(s)
		cs = append(cs, c)
		for _, m := range c.Mounts {
			if m.Kind == compose.KindVolume && len(m.Name) != 64 {
				add(m.Name, strings.TrimPrefix(m.Name, w.name+"_"))
			}
		}
	}
	for key := range w.volumes {
		add(w.name+"_"+key, key)
	}
	p, errs := compose.FromContainers(w.name, append(cs, w.others...), vols)
	if len(errs) > 0 {
		t.Fatalf("the test's project: %v", errs)
	}
	return p
}

// input is what a run would hand in, with databases that answer.
func (w world) input(t testing.TB) Input {
	t.Helper()
	in := Input{
		Project: w.project(t), Specs: map[string]labels.Spec{}, VolumeSpecs: map[string]labels.VolumeSpec{}, Probes: map[string]Probe{},
		HasState: true, HasSocket: true, Engine: dump.Lookup,
	}
	in.Notices = append(in.Notices, in.Project.Notes...)
	for _, s := range in.Project.Services {
		var mounts []labels.Mount
		for _, m := range s.Mounts {
			mounts = append(mounts, labels.Mount{Kind: m.Kind, Volume: m.Volume, Source: m.Source, Target: m.Target})
		}
		spec, problems := labels.Parse(labels.Source{Service: s.Name, Labels: s.Labels, ImageLabels: s.ImageLabels, Mounts: mounts})
		in.Specs[s.Name] = spec
		for _, p := range problems {
			in.Problems = append(in.Problems, p.Error())
		}
		for _, n := range spec.Notices {
			in.Notices = append(in.Notices, n.String())
		}
		if spec.Enabled && spec.Dump != nil {
			in.Probes[s.Name] = answer(s)
		}
	}
	for _, v := range in.Project.Volumes {
		spec, problems := labels.ParseVolume(v.Key, v.Labels)
		in.VolumeSpecs[v.Key] = spec
		for _, p := range problems {
			in.Problems = append(in.Problems, p.Error())
		}
	}
	return in
}

// answer is what a database in the service says, or that it does not run.
func answer(s compose.Service) Probe {
	dirs := []string{"/var/lib/postgresql/data"}
	if !inState(compose.Project{Services: []compose.Service{s}}, s.Name, compose.StateRunning) {
		return Probe{Err: fmt.Errorf("service %q is not running", s.Name), DataDirs: dirs}
	}
	return Probe{Container: s.Containers[0].ID, Facts: facts("shop", "blog"), DataDirs: dirs}
}

func facts(databases ...string) dump.Facts {
	f := dump.Facts{
		Engine: "pg_dump", ServerVersion: "17.2", ServerMajor: 17, ClientVersion: "17.2", ClientMajor: 17, User: "postgres", Superuser: true,
		DataDirs: []string{"/var/lib/postgresql/data"}, FreeBytes: -1, Connect: "postgres",
	}
	for _, d := range databases {
		f.Databases = append(f.Databases, dump.Database{Name: d, Owner: "postgres", Encoding: "UTF8", AllowConn: true})
	}
	return f
}

// l makes labels of KEY=VALUE.
func l(pairs ...string) map[string]string {
	out := map[string]string{}
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		out[k] = v
	}
	return out
}

// steps is the order of a plan in short: "stop app", "rewalk volume data".
func steps(p *Plan) []string {
	var out []string
	for _, op := range p.Operations {
		switch op.Do {
		case Quiesce:
			out = append(out, string(op.How)+" "+op.Service)
		case Resume:
			out = append(out, "resume "+op.Service)
		case RunPre, RunPost:
			out = append(out, string(op.Do)+" "+op.Service)
		case PreRun, PostRun:
			out = append(out, string(op.Do)+" "+op.Service+": "+op.Command)
		case Walk, Rewalk:
			out = append(out, string(op.Do)+" "+strings.Join(op.Items, ", "))
		case DoDump:
			out = append(out, op.Items[0])
		}
	}
	return out
}

func wantSteps(t *testing.T, p *Plan, want ...string) {
	t.Helper()
	if len(p.Problems) > 0 {
		t.Errorf("problems: %q", p.Problems)
	}
	if got := steps(p); !slices.Equal(got, want) {
		t.Errorf("steps:\n got %q\nwant %q", got, want)
	}
}

func wantLine(t *testing.T, what string, lines []string, parts ...string) {
	t.Helper()
	for _, l := range lines {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(l, p)
		}
		if all {
			return
		}
	}
	t.Errorf("no %s with %q among %q", what, parts, lines)
}

func wantNone(t *testing.T, what string, lines []string) {
	t.Helper()
	if len(lines) > 0 {
		t.Errorf("%s: %q", what, lines)
	}
}

func mustItem(t *testing.T, p *Plan, key string) Item {
	t.Helper()
	it, ok := p.Item(key)
	if !ok {
		t.Fatalf("no item %q among %q", key, keysOf(p))
	}
	return it
}

func keysOf(p *Plan) []string {
	keys := []string{}
	for _, it := range p.Items {
		keys = append(keys, it.Key)
	}
	return keys
}
