package docker_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/docker/dockertest"
)

func ofProject(name string) map[string]string {
	return map[string]string{"com.docker.compose.project": name}
}

func names(cs []docker.Container) []string {
	var out []string
	for _, c := range cs {
		out = append(out, c.Name)
	}
	return out
}

func TestProjectContainers(t *testing.T) {
	f, e := fake(t)
	f.AddContainer(dockertest.Container{Name: "web", Labels: ofProject("app"), State: "exited"})
	f.AddContainer(dockertest.Container{Name: "db", Labels: ofProject("app")})
	f.AddContainer(dockertest.Container{Name: "other", Labels: ofProject("app2")})
	f.AddContainer(dockertest.Container{Name: "loose"})
	got, err := e.ProjectContainers(t.Context(), "app")
	if err != nil || !slices.Equal(names(got), []string{"db", "web"}) {
		t.Fatalf("%q, %v", names(got), err)
	}
	if _, err := e.ProjectContainers(t.Context(), ""); err == nil {
		t.Fatal("every project is no project")
	}
}

func TestF45_OnlyTheInspectedProjectCounts(t *testing.T) {
	f, e := fake(t)
	f.AddContainer(dockertest.Container{Name: "db", Labels: ofProject("app")})
	f.AddContainer(dockertest.Container{Name: "foreign", Labels: ofProject("app2")})
	f.IgnoreFilters()
	got, err := e.ProjectContainers(t.Context(), "app")
	if err != nil || !slices.Equal(names(got), []string{"db"}) {
		t.Fatalf("%q, %v", names(got), err)
	}
}

// TestStandaloneContainers are those that Compose has not made, each as a service
// by its own name, whatever it says of itself.
func TestStandaloneContainers(t *testing.T) {
	f, e := fake(t)
	f.AddContainer(dockertest.Container{Name: "made", Labels: ofProject("app")})
	f.AddContainer(dockertest.Container{Name: "loose", Labels: map[string]string{"ripplebak.enable": "true"}})
	f.AddContainer(dockertest.Container{Name: "sly", Labels: map[string]string{
		"com.docker.compose.project": docker.Standalone, "com.docker.compose.service": "loose", "com.docker.compose.oneoff": "True",
		"com.docker.compose.project.config_files": "/etc/shadow",
	}})
	f.AddContainer(dockertest.Container{Name: "helper", Labels: map[string]string{"ripplebak.helper": "x"}})
	f.AddContainer(dockertest.Container{Name: "double", Labels: map[string]string{"com.docker.compose.project": ""}})
	got, err := e.ProjectContainers(t.Context(), docker.Standalone)
	if err != nil || !slices.Equal(names(got), []string{"loose", "sly"}) {
		t.Fatalf("%q, %v", names(got), err)
	}
	for _, c := range got {
		if c.Project() != docker.Standalone || c.Labels["com.docker.compose.service"] != c.Name || c.Labels["com.docker.compose.oneoff"] != "" || c.Labels["com.docker.compose.project.config_files"] != "" {
			t.Errorf("%s: %v", c.Name, c.Labels)
		}
	}
	if got[0].Labels["ripplebak.enable"] != "true" {
		t.Errorf("%v", got[0].Labels)
	}
	list, err := e.Listed(t.Context())
	if err != nil || len(list) != 5 {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, c := range list {
		if want := map[string]string{"made": "app", "loose": docker.Standalone, "sly": docker.Standalone}[c.Name]; c.Project() != want {
			t.Errorf("%s is of project %q", c.Name, c.Project())
		}
	}
}

func TestContainerThatVanishesBetweenListAndInspect(t *testing.T) {
	f, e := fake(t)
	f.AddContainer(dockertest.Container{Name: "db", Labels: ofProject("app")})
	f.Fail(dockertest.Fault{Call: "GET /containers/{id}/json", Status: 404, Message: "No such container"})
	got, err := e.ProjectContainers(t.Context(), "app")
	if err != nil || len(got) != 0 {
		t.Fatalf("%q, %v", names(got), err)
	}
	f.Fail(dockertest.Fault{Call: "GET /containers/{id}/json", Status: 500, Message: "broken"})
	if _, err := e.ProjectContainers(t.Context(), "app"); err == nil {
		t.Fatal("a failed inspect was taken for a container that is gone")
	}
}

func TestInspect(t *testing.T) {
	f, e := fake(t)
	stop := 42
	id := f.AddContainer(dockertest.Container{
		Name: "db", Image: "postgres:17", Labels: ofProject("app"), Env: []string{"POSTGRES_PASSWORD=hunter2", "PGDATA=/data"},
		Mounts:      []dockertest.Mount{{Volume: "app_data", Target: "/data"}, {Bind: "/srv", Target: "/bind", ReadOnly: true}},
		Health:      "healthy",
		StopTimeout: &stop, User: "999", RestartPolicy: "always",
	})
	c, err := e.Inspect(t.Context(), id[:12])
	if err != nil {
		t.Fatal(err)
	}
	if c.ID != id || c.Name != "db" || c.Image != "postgres:17" || !c.Running || c.Paused || c.Health != "healthy" ||
		!c.HasHealthcheck || *c.StopTimeout != 42 || c.User != "999" || c.RestartPolicy != "always" || c.StartedAt.IsZero() || !c.FinishedAt.IsZero() {
		t.Fatalf("%+v", c)
	}
	if len(c.Mounts) != 2 || c.Mounts[0].Source != "/srv" || c.Mounts[0].RW || c.Mounts[1].Name != "app_data" || !c.Mounts[1].RW {
		t.Fatalf("%+v", c.Mounts)
	}
	if !slices.Equal(c.EnvNames(), []string{"PGDATA", "POSTGRES_PASSWORD"}) {
		t.Fatalf("%q", c.EnvNames())
	}
	if v, ok := c.LookupEnv("PGDATA"); !ok || v != "/data" {
		t.Fatal(v, ok)
	}
	if _, err := e.Inspect(t.Context(), "nope"); !errors.Is(err, docker.ErrNoContainer) {
		t.Fatal(err)
	}
}

func TestF48_EnvironmentIsNotPrinted(t *testing.T) {
	c := docker.Container{Name: "db"}.WithEnv("POSTGRES_PASSWORD=hunter2")
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{string(b), fmt.Sprint(c), fmt.Sprintf("%v %+v %#v", c, &c, []docker.Container{c})} {
		if strings.Contains(s, "hunter2") {
			t.Fatalf("the password is in %s", s)
		}
	}
}

func TestVolumes(t *testing.T) {
	f, e := fake(t)
	f.AddVolume(dockertest.Volume{Name: "app_data", Labels: ofProject("app")})
	f.AddVolume(dockertest.Volume{Name: "app2_data", Labels: ofProject("app2")})
	f.AddVolume(dockertest.Volume{Name: "nas", Options: map[string]string{"type": "none", "o": "bind", "device": "/srv/nas"}})
	f.AddContainer(dockertest.Container{Name: "a", Mounts: []dockertest.Mount{{Volume: "app_data", Target: "/d"}}})
	f.AddContainer(dockertest.Container{Name: "b", State: "exited", Mounts: []dockertest.Mount{{Volume: "app_data", Target: "/x", ReadOnly: true}}})
	f.AddContainer(dockertest.Container{Name: "bind", Mounts: []dockertest.Mount{{Bind: "/var/lib/docker/volumes/app_data/_data/sub", Target: "/x"}}})
	f.AddContainer(dockertest.Container{Name: "nasbind", Mounts: []dockertest.Mount{{Bind: "/srv/nas/", Target: "/x"}}})
	f.AddContainer(dockertest.Container{Name: "no", Mounts: []dockertest.Mount{{Volume: "app2_data", Target: "/app_data"}, {Bind: "/srv/nas2", Target: "/app_data2"}}})
	ctx := t.Context()
	v, err := e.Volume(ctx, "app_data")
	if err != nil || v.Driver != "local" || v.Labels["com.docker.compose.project"] != "app" {
		t.Fatalf("%+v, %v", v, err)
	}
	vs, err := e.ProjectVolumes(ctx, "app")
	if err != nil || len(vs) != 1 || vs[0].Name != "app_data" {
		t.Fatalf("%+v, %v", vs, err)
	}
	users, err := e.VolumeUsers(ctx, "app_data")
	if err != nil || !slices.Equal(names(users), []string{"a", "b", "bind"}) {
		t.Fatalf("%q, %v", names(users), err)
	}
	users, err = e.VolumeUsers(ctx, "nas")
	if err != nil || !slices.Equal(names(users), []string{"nasbind"}) {
		t.Fatalf("%q, %v", names(users), err)
	}
}

func TestF17_LookingNeverCreates(t *testing.T) {
	f, e := fake(t)
	f.AddImage("img", nil)
	f.Command("helper", print(""))
	ctx := t.Context()
	_, err := e.Volume(ctx, "none")
	wantIs(t, err, docker.ErrNoVolume)
	_, err = e.VolumeUsers(ctx, "none")
	wantIs(t, err, docker.ErrNoVolume)
	spec := docker.HelperSpec{Image: "img", Argv: []string{"helper"}, Mounts: []docker.HelperMount{{Volume: "none", Target: "/v", ReadOnly: true}}}
	_, err = e.StartHelper(ctx, spec)
	wantIs(t, err, docker.ErrNoVolume)
	// The volume goes away between our look and the Engine's.
	f.AddVolume(dockertest.Volume{Name: "none"})
	f.BeforeCreate(func() { f.RemoveVolume("none") })
	_, err = e.StartHelper(ctx, spec)
	wantIs(t, err, docker.ErrNoVolume)
	if vs, cs := f.Volumes(), f.Containers(); len(vs) != 0 || len(cs) != 0 {
		t.Fatalf("left behind: %q, %+v", vs, cs)
	}
}

func TestCreateVolume(t *testing.T) {
	f, e := fake(t)
	ctx := t.Context()
	want := docker.Volume{Name: "app_data", Labels: map[string]string{"com.docker.compose.project": "app", "com.docker.compose.volume": "data"}}
	for range 2 { // the second time it exists
		if err := e.CreateVolume(ctx, want); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(f.Volumes(), []string{"app_data"}) {
		t.Fatal(f.Volumes())
	}
	other := want
	other.Labels = map[string]string{"com.docker.compose.project": "app2"}
	wantIs(t, e.CreateVolume(ctx, other), docker.ErrVolumeDiffers)
	other = want
	other.Driver = "nfs"
	wantIs(t, e.CreateVolume(ctx, other), docker.ErrVolumeDiffers)
}

func TestLifecycleIsIdempotent(t *testing.T) {
	f, e := fake(t)
	id := f.AddContainer(dockertest.Container{Name: "db"})
	ctx := t.Context()
	is := func(state string) {
		t.Helper()
		if c := f.Containers()[0]; c.State != state {
			t.Fatalf("%s, want %s", c.State, state)
		}
	}
	for range 2 {
		if err := e.Pause(ctx, id); err != nil {
			t.Fatal(err)
		}
		is("paused")
	}
	for range 2 {
		if err := e.Unpause(ctx, id); err != nil {
			t.Fatal(err)
		}
		is("running")
	}
	for range 2 {
		if err := e.Stop(ctx, id, nil); err != nil {
			t.Fatal(err)
		}
		is("exited")
	}
	if err := e.Unpause(ctx, id); err != nil {
		t.Fatal(err)
	}
	if err := e.Pause(ctx, id); err == nil {
		t.Fatal("a stopped container was paused")
	}
	for range 2 {
		if err := e.Start(ctx, id); err != nil {
			t.Fatal(err)
		}
		is("running")
	}
	for name, do := range map[string]func(string) error{
		"stop": func(id string) error { return e.Stop(ctx, id, nil) }, "start": func(id string) error { return e.Start(ctx, id) },
		"pause": func(id string) error { return e.Pause(ctx, id) }, "unpause": func(id string) error { return e.Unpause(ctx, id) },
	} {
		if err := do("gone"); !errors.Is(err, docker.ErrNoContainer) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWaitHealthy(t *testing.T) {
	f, e := fake(t)
	ctx := t.Context()
	for health, want := range map[string]error{"": nil, "healthy": nil, "unhealthy": docker.ErrUnhealthy} {
		id := f.AddContainer(dockertest.Container{Health: health})
		if err := e.WaitHealthy(ctx, id); !errors.Is(err, want) {
			t.Errorf("%q: %v", health, err)
		}
	}
	wantIs(t, e.WaitHealthy(ctx, f.AddContainer(dockertest.Container{State: "exited", ExitCode: 1})), docker.ErrUnhealthy)
}

func TestSelf(t *testing.T) {
	f, e := fake(t)
	id := f.AddContainer(dockertest.Container{Name: "backup"})
	f.AddContainer(dockertest.Container{Name: id[:11] + "f"}) // a name like an ID
	ctx := t.Context()
	c, err := e.Self(ctx, docker.SelfHints{Hostname: id[:12]})
	if err != nil || c.ID != id {
		t.Fatalf("%s, %v", c.ID, err)
	}
	for _, h := range []docker.SelfHints{{}, {Hostname: "backup"}, {Hostname: id[:11] + "f"}, {Cgroup: strings.Repeat("ab", 32)}} {
		_, err := e.Self(ctx, h)
		wantIs(t, err, docker.ErrNotInContainer)
	}
	f.KillContainer(id)
	_, err = e.Self(ctx, docker.SelfHints{Hostname: id[:12]})
	wantIs(t, err, docker.ErrNotInContainer)
}

func TestImageLabels(t *testing.T) {
	f, e := fake(t)
	f.AddImage("sha256:ab", map[string]string{"ripplebak.enable": "true"})
	l, err := e.ImageLabels(t.Context(), "sha256:ab")
	if err != nil || l["ripplebak.enable"] != "true" {
		t.Fatal(l, err)
	}
	_, err = e.ImageLabels(t.Context(), "sha256:cd")
	wantIs(t, err, docker.ErrNoImage)
}
