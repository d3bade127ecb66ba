package plan

import (
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/labels"
	"github.com/ripplebak/ripplebak/manifest"
)

func bindInput(mode labels.Mode, mounts ...compose.Mount) Input {
	sel := labels.Selection{Mode: mode}
	for i := range mounts {
		mounts[i].Kind = compose.KindBind
		if mode == labels.Listed {
			sel.Names = append(sel.Names, mounts[i].Target)
		}
	}
	return Input{
		Project:  compose.Project{Name: "shop", Services: []compose.Service{{Name: "app", Mounts: mounts}}},
		Specs:    map[string]labels.Spec{"app": {Service: "app", Enabled: true, Labelled: true, Binds: sel}},
		HasState: true, HasSocket: true,
		Own: []OwnPath{{Path: "/srv/[shop]/backups", What: "a repository"}, {Path: "/data/docker", What: "Docker's own data", But: "/data/docker/volumes"}},
	}
}

func TestBindsThatAreChosen(t *testing.T) {
	for name, c := range map[string]struct {
		mode    labels.Mode
		source  string
		saved   bool
		warns   string
		problem string
	}{
		"none":                      {labels.None, "/srv/data", false, "", ""},
		"no label":                  {labels.Default, "/srv/data", false, "", ""},
		"all":                       {labels.All, "/srv/data", true, "", ""},
		"listed":                    {labels.Listed, "/srv/data", true, "", ""},
		"the host's own, by all":    {labels.All, "/etc/localtime", false, "is the host's own", ""},
		"the host's own, by name":   {labels.Listed, "/etc/app", true, "", ""},
		"the socket, by all":        {labels.All, "/var/run/docker.sock", false, "holds nothing to save", ""},
		"the socket, by name":       {labels.Listed, "/var/run/docker.sock", false, "", "holds nothing to save"},
		"the kernel's":              {labels.Listed, "/proc", false, "", "holds nothing to save"},
		"all of the host":           {labels.Listed, "/", false, "", "is the whole host"},
		"the repository":            {labels.Listed, "/srv/[shop]/backups/x", false, "", "cannot save itself"},
		"Docker's data":             {labels.Listed, "/data/docker/overlay2", false, "", "cannot save itself"},
		"all volumes of Docker":     {labels.Listed, "/data/docker/volumes", false, "", "cannot save itself"},
		"one volume of Docker":      {labels.Listed, "/data/docker/volumes/x/_data", true, "", ""},
		"what Docker's data is in":  {labels.All, "/data", true, "/data/docker is left out", ""},
		"what the repository is in": {labels.All, "/srv/[shop]", true, "/srv/[shop]/backups is left out", ""},
	} {
		p := Make(bindInput(c.mode, compose.Mount{Source: c.source, Target: "/data"}))
		it, ok := p.Item("bind app:/data")
		if ok != c.saved || !strings.Contains(strings.Join(p.Warnings, "\n"), c.warns) || !strings.Contains(strings.Join(p.Problems, "\n"), c.problem) {
			t.Errorf("%s: %v, warnings %q, problems %q", name, ok, p.Warnings, p.Problems)
		}
		if ok && it.Volume.Docker != c.source {
			t.Errorf("%s: %+v", name, it.Volume)
		}
	}
	p := Make(bindInput(labels.All, compose.Mount{Source: "/srv/[shop]", Target: "/data"}))
	if it, _ := p.Item("bind app:/data"); len(it.Volume.Exclude) != 1 || it.Volume.Exclude[0] != "/backups" {
		t.Errorf("%+v", it.Volume)
	}
	if got := literal(`a*b?[c]{d}\e`); got != `a\*b\?\[c\]\{d\}\\e` {
		t.Errorf("%s", got)
	}
}

// A volume of Docker's own driver can be a directory of the host.
func TestVolumeThatIsADirectoryOfTheHostLeavesTheRepositoryOut(t *testing.T) {
	volume := compose.Volume{Key: "data", Name: "shop_data", Driver: "local", Options: map[string]string{"type": "none", "o": "bind,rw", "device": "/srv/[shop]"}, Exists: true}
	in := bindInput(labels.None)
	in.Project.Volumes = []compose.Volume{volume}
	in.Project.Services[0].Mounts = []compose.Mount{{Kind: compose.KindVolume, Volume: "data", Name: "shop_data", Target: "/data"}}
	p := Make(in)
	if it, ok := p.Item("volume data"); !ok || len(it.Volume.Exclude) != 1 || it.Volume.Exclude[0] != "/backups" {
		t.Errorf("%+v", p.Items)
	}
	r := MakeRestore(RestoreInput{Project: in.Project, Own: in.Own, HasState: true, HasSocket: true, Sources: []Source{{Snapshot: "id", Item: manifest.Item{
		Kind: manifest.Volume, Name: "data", State: manifest.Good, VolumeInfo: &manifest.VolumeInfo{DockerName: "shop_data"},
	}}}})
	if v := r.Items[0].Volume; len(v.Protect) != 1 || v.Protect[0] != "/backups" {
		t.Errorf("%+v, %q", v, r.Problems)
	}
	for _, o := range []map[string]string{nil, {"o": "bind"}, {"device": "/srv/[shop]"}, {"type": "nfs", "o": "addr=h", "device": ":/srv/[shop]"}} {
		if dir := onHost("shop_data", compose.Volume{Driver: "local", Options: o}); dir != "" {
			t.Errorf("%v is %s", o, dir)
		}
	}
}

func TestOneDirectoryIsOneItem(t *testing.T) {
	in := bindInput(labels.All, compose.Mount{Source: "/srv/data", Target: "/data"}, compose.Mount{Source: "/srv/data/", Target: "/again"})
	web := in.Project.Services[0]
	web.Name = "web"
	in.Project.Services = append(in.Project.Services, web)
	spec := in.Specs["app"]
	spec.Service, spec.During = "web", labels.Stop
	in.Specs["web"] = spec
	p := Make(in)
	if len(p.Items) != 1 || len(p.Items[0].Volume.Owners) != 2 || p.Items[0].Volume.During != labels.Stop || p.Items[0].Service != "app" {
		t.Fatalf("%+v", p.Items)
	}
	down := 0
	for _, op := range p.Operations {
		if op.Do == Quiesce {
			down++
		}
	}
	if down != 2 {
		t.Errorf("%d services are quiesced, and two write to it", down)
	}
}

// A single file comes back by the directory in which it lies today, and nothing
// else of that.
func TestBindOfASingleFileComesBackByItsDirectory(t *testing.T) {
	in := bindInput(labels.All, compose.Mount{Source: "/srv/x.conf", Target: "/x.conf"}, compose.Mount{Source: "/top", Target: "/top"})
	for name, c := range map[string]struct {
		target, file, absent, problem string
		isNew                         bool
	}{
		"there":                {"/x.conf", "x.conf", "", "", false},
		"gone":                 {"/x.conf", "x.conf", "/srv/x.conf", "", true},
		"no directory":         {"/x.conf", "x.conf", "/srv", "there is no directory /srv", false},
		"another name":         {"/x.conf", "passwd", "", "use --to-dir", false},
		"out of it":            {"/x.conf", "../etc", "", "use --to-dir", false},
		"in the host's root":   {"/top", "top", "", "use --to-dir", false},
		"the directory itself": {"/x.conf", ".", "", "use --to-dir", false},
	} {
		source := Source{Snapshot: "id", Item: manifest.Item{
			Kind: manifest.Bind, Service: "app", Name: c.target, State: manifest.Good, VolumeInfo: &manifest.VolumeInfo{HostPath: "/old/x", File: c.file},
		}}
		r := MakeRestore(RestoreInput{
			Project: in.Project, Sources: []Source{source}, HasState: true, HasSocket: true, Safety: true, Absent: map[string]bool{c.absent: c.absent != ""},
		})
		v, text := r.Items[0].Volume, strings.Join(r.Problems, "\n")
		if !strings.Contains(text, c.problem) || c.problem == "" && (text != "" || v.Place() != "/srv" || v.Docker != "/srv/x.conf" || v.New != c.isNew) {
			t.Errorf("%s: %+v, problems %q", name, v, r.Problems)
		}
		if saves := r.Operations[0].Do == Safety; c.problem == "" && saves == c.isNew {
			t.Errorf("%s: saved before: %v", name, saves)
		}
	}
}

// A manifest never names a path of the host that is written to.
func TestBindGoesWhereItsServiceMountsIt(t *testing.T) {
	item := func(service, name string) Source {
		return Source{Snapshot: "id", Item: manifest.Item{Kind: manifest.Bind, Service: service, Name: name, State: manifest.Good, VolumeInfo: &manifest.VolumeInfo{HostPath: "/etc"}}}
	}
	in := bindInput(labels.All, compose.Mount{Source: "/new/place", Target: "/data"}, compose.Mount{Source: "/", Target: "/host"}, compose.Mount{Source: "/run/x", Target: "/run/x"})
	for name, c := range map[string]struct {
		source  Source
		absent  string
		to      string
		problem string
	}{
		"where it is today":   {item("app", "/data"), "", "/new/place", ""},
		"nowhere":             {item("app", "/gone"), "", "", "has no bind mount at /gone today"},
		"no service":          {item("old", "/data"), "", "", "has no bind mount"},
		"not there":           {item("app", "/data"), "/new/place", "/new/place", "there is no directory /new/place"},
		"all of it today":     {item("app", "/host"), "", "", "which is not overwritten"},
		"what runs, today":    {item("app", "/run/x"), "", "", "which is not overwritten"},
		"a path of the host":  {item(manifest.HostService, "/home"), "", "/home", ""},
		"one that is not set": {item(manifest.HostService, "/etc"), "", "", "RIPPLEBAK_HOST_PATHS does not name it"},
		"one that leads away": {item(manifest.HostService, "/home/../etc"), "", "", "RIPPLEBAK_HOST_PATHS does not name it"},
		"all of the host":     {item(manifest.HostService, "/"), "", "", "RIPPLEBAK_HOST_PATHS does not name it"},
	} {
		r := MakeRestore(RestoreInput{
			Project: in.Project, Sources: []Source{c.source}, HostPaths: []string{"/home"}, HasState: true, HasSocket: true,
			Absent: map[string]bool{c.absent: c.absent != ""},
		})
		text := strings.Join(r.Problems, "\n")
		if r.Items[0].Volume.Docker != c.to || !strings.Contains(text, c.problem) || c.problem == "" && text != "" {
			t.Errorf("%s: to %q, problems %q", name, r.Items[0].Volume.Docker, r.Problems)
		}
	}
}
