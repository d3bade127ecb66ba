package docker_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/docker/dockertest"
)

// TestDoubleIsConfined: it sees what the other container sees, and takes part in
// nothing.
func TestDoubleIsConfined(t *testing.T) {
	f, e := fake(t)
	f.AddImage("img", nil)
	f.AddVolume(dockertest.Volume{Name: "data"})
	conf := t.TempDir()
	f.AddContainer(dockertest.Container{
		Name: "db", Image: "img", ImageID: "img", User: "999", Env: []string{"PASSWORD=planted-secret"}, NetworkMode: "host", RestartPolicy: "always",
		Labels: map[string]string{"traefik.enable": "true", "ripplebak.dump": "slapd"},
		Mounts: []dockertest.Mount{{Volume: "data", Target: "/data"}, {Bind: conf, Target: "/conf", ReadOnly: true}},
	})
	of, err := e.Inspect(t.Context(), "db")
	if err != nil {
		t.Fatal(err)
	}
	h, err := e.StartDouble(t.Context(), docker.DoubleSpec{Of: of, Labels: map[string]string{"ripplebak.run": "r1"}})
	if err != nil {
		t.Fatal(err)
	}
	hc := f.HostConfig(h.ID)
	if hc.NetworkMode != "none" || len(hc.PortBindings) != 0 || hc.PublishAllPorts || hc.Privileged || hc.AutoRemove || hc.RestartPolicy.Name != "no" ||
		hc.LogConfig.Type != "none" || !slices.Equal(hc.CapDrop, []string{"ALL"}) || !slices.Contains(hc.SecurityOpt, "no-new-privileges") || hc.PidsLimit == nil {
		t.Errorf("%+v", hc)
	}
	for _, c := range hc.CapAdd {
		if !slices.Contains([]string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_SETGID", "CAP_SETUID"}, c) {
			t.Errorf("it has %s", c)
		}
	}
	if len(hc.Mounts) != 2 {
		t.Fatalf("%+v", hc.Mounts)
	}
	for _, m := range hc.Mounts {
		switch {
		case m.Target == "/data" && m.Source == "data" && !m.ReadOnly && m.VolumeOptions.NoCopy:
		case m.Target == "/conf" && m.Source == conf && m.ReadOnly:
		default:
			t.Errorf("%+v", m)
		}
	}
	double, err := e.Inspect(t.Context(), h.ID)
	if err != nil || double.User != "999" || !slices.Equal(double.EnvNames(), []string{"PASSWORD"}) || double.Labels["traefik.enable"] != "" || double.Labels["ripplebak.dump"] != "" {
		t.Errorf("%+v, %v", double, err)
	}
	if err := e.RemoveHelper(t.Context(), h.ID); err != nil {
		t.Fatal(err)
	}
	if c := f.Containers(); len(c) != 1 || c[0].Name != "db" || c[0].State != "running" {
		t.Errorf("%+v", c)
	}
}

// TestDoubleMakesNothing: what is gone is not made again, and nothing is left of
// a double that cannot be.
func TestDoubleMakesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		gone func(f *dockertest.Engine, bind string)
		want string
	}{
		"a volume": {func(f *dockertest.Engine, _ string) { f.RemoveVolume("data") }, "no such volume"},
		"a path":   {func(_ *dockertest.Engine, bind string) { _ = os.Remove(bind) }, "does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			f, e := fake(t)
			f.AddImage("img", nil)
			f.AddVolume(dockertest.Volume{Name: "data"})
			bind := t.TempDir()
			f.AddContainer(dockertest.Container{Name: "db", Image: "img", ImageID: "img", State: "exited", Mounts: []dockertest.Mount{{Volume: "data", Target: "/data"}, {Bind: bind, Target: "/conf"}}})
			of, err := e.Inspect(t.Context(), "db")
			if err != nil {
				t.Fatal(err)
			}
			c.gone(f, bind)
			if _, err := e.StartDouble(t.Context(), docker.DoubleSpec{Of: of}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
			if left := f.Containers(); len(left) != 1 {
				t.Errorf("left behind: %+v", left)
			}
			if _, err := os.Stat(bind); name == "a path" && err == nil {
				t.Error("the path was made")
			}
			if _, err := e.Volume(t.Context(), "data"); name == "a volume" && err == nil {
				t.Error("the volume was made")
			}
		})
	}
}
