package docker_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/docker/dockertest"
)

func TestHelperIsConfined(t *testing.T) {
	f, e := fake(t)
	ctx := t.Context()
	f.AddImage("img", nil)
	f.AddVolume(dockertest.Volume{Name: "data"})
	f.AddVolume(dockertest.Volume{Name: "run"})
	f.Command("helper", func(ctx context.Context, p *dockertest.Process) int {
		<-ctx.Done()
		return 0
	})
	h, err := e.StartHelper(ctx, docker.HelperSpec{
		Image: "img", Name: "h", Argv: []string{"helper", "walk"}, Env: []string{"A=b"},
		Labels: map[string]string{"ripplebak.run": "r1"}, CapAdd: []string{"DAC_READ_SEARCH"}, SocketVolume: "run",
		Mounts: []docker.HelperMount{{Volume: "data", Target: "/v/data", ReadOnly: true}, {Bind: "/srv", Target: "/b"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	hc := f.HostConfig(h.ID)
	if hc.NetworkMode != "none" || !hc.ReadonlyRootfs || !slices.Equal(hc.CapDrop, []string{"ALL"}) || !slices.Equal(hc.CapAdd, []string{"CAP_DAC_READ_SEARCH"}) ||
		!slices.Equal(hc.SecurityOpt, []string{"no-new-privileges", "label=disable"}) || hc.LogConfig.Type != "none" || hc.Privileged ||
		hc.AutoRemove || hc.RestartPolicy.Name != "no" || hc.PidsLimit == nil {
		t.Fatalf("%+v", hc)
	}
	if len(hc.Mounts) != 3 || !hc.Mounts[0].ReadOnly || !hc.Mounts[0].VolumeOptions.NoCopy || !hc.Mounts[2].VolumeOptions.NoCopy || hc.Mounts[2].Target != docker.SocketDir {
		t.Fatalf("%+v", hc.Mounts)
	}
	found, err := e.Helpers(ctx, map[string]string{"ripplebak.run": ""})
	if err != nil || !slices.Equal(names(found), []string{"h"}) {
		t.Fatalf("%q, %v", names(found), err)
	}
	if found, err = e.Helpers(ctx, map[string]string{"ripplebak.run": "r2"}); err != nil || len(found) != 0 {
		t.Fatalf("%q, %v", names(found), err)
	}
	if _, err := e.Helpers(ctx, nil); err == nil {
		t.Fatal("every container was taken for a helper")
	}
	for range 2 {
		if err := e.RemoveHelper(ctx, h.ID); err != nil {
			t.Fatal(err)
		}
	}
	if left := f.Containers(); len(left) != 0 {
		t.Fatalf("%+v", left)
	}
	_, err = e.HelperExit(ctx, h.ID)
	wantIs(t, err, docker.ErrNoContainer)
}

func TestHelperIsBounded(t *testing.T) {
	type bounds struct {
		nano, shares int64
		blkio        uint16
	}
	refused := dockertest.Fault{Call: "POST /containers/create", Status: 400, Message: "Range of blkio weight is from 10 to 1000"}
	failed := dockertest.Fault{Call: "POST /containers/{id}/start", Status: 500,
		Message: "failed to create task for container: OCI runtime create failed: error setting cgroup config: failed to write \"100\": open /sys/fs/cgroup/io.weight: no such file or directory"}
	for _, c := range []struct {
		name  string
		spec  docker.HelperSpec
		fault []dockertest.Fault
		want  bounds
		logs  int
	}{
		{"none", docker.HelperSpec{}, nil, bounds{}, 0},
		{"processors", docker.HelperSpec{CPUs: 1.5}, nil, bounds{nano: 1_500_000_000}, 0},
		{"background", docker.HelperSpec{Background: true}, nil, bounds{shares: 256, blkio: 100}, 0},
		{"both", docker.HelperSpec{CPUs: 0.5, Background: true}, nil, bounds{500_000_000, 256, 100}, 0},
		{"a weight is refused", docker.HelperSpec{CPUs: 2, Background: true}, []dockertest.Fault{refused}, bounds{nano: 2_000_000_000}, 1},
		{"a weight cannot be set", docker.HelperSpec{Background: true}, []dockertest.Fault{failed}, bounds{}, 1},
		{"nothing can be set", docker.HelperSpec{CPUs: 2, Background: true}, []dockertest.Fault{{Call: refused.Call, Times: 2, Status: 400, Message: "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler"}}, bounds{}, 2},
		{"more than there are", docker.HelperSpec{CPUs: 1000}, nil, bounds{}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := dockertest.New(t)
			f.AddImage("img", nil)
			f.Command("helper", func(ctx context.Context, p *dockertest.Process) int {
				<-ctx.Done()
				return 0
			})
			var logs []string
			e, err := docker.Connect(t.Context(), docker.Options{Host: f.Host(), Log: func(s string) { logs = append(logs, s) }})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			for _, fault := range c.fault {
				f.Fail(fault)
			}
			c.spec.Image, c.spec.Argv = "img", []string{"helper"}
			h, err := e.StartHelper(t.Context(), c.spec)
			if err != nil {
				t.Fatal(err)
			}
			hc := f.HostConfig(h.ID)
			if got := (bounds{hc.NanoCPUs, hc.CPUShares, hc.BlkioWeight}); got != c.want {
				t.Errorf("bounds %+v, want %+v", got, c.want)
			}
			if len(logs) != c.logs {
				t.Errorf("logged: %q", logs)
			}
			if n := len(f.Containers()); n != 1 {
				t.Errorf("%d containers are there", n)
			}
			if err := e.RemoveHelper(t.Context(), h.ID); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestHelperExit(t *testing.T) {
	f, e := fake(t)
	f.AddImage("img", nil)
	release := make(chan struct{})
	f.Command("helper", func(context.Context, *dockertest.Process) int {
		<-release
		return 7
	})
	h, err := e.StartHelper(t.Context(), docker.HelperSpec{Image: "img", Argv: []string{"helper"}})
	if err != nil {
		t.Fatal(err)
	}
	// The wait is broken off once, as by a proxy's time-out, and asked again.
	f.Fail(dockertest.Fault{Call: "POST /containers/{id}/wait", Drop: true})
	time.AfterFunc(50*time.Millisecond, func() { close(release) })
	end, err := e.HelperExit(t.Context(), h.ID)
	if err != nil || end.Code != 7 {
		t.Fatalf("%+v, %v", end, err)
	}
	if end, err = e.HelperExit(t.Context(), h.ID); err != nil || end.Code != 7 {
		t.Fatalf("a second time: %+v, %v", end, err)
	}
}

func TestHelperThatCannotStart(t *testing.T) {
	f, e := fake(t)
	f.AddImage("img", nil)
	spec := docker.HelperSpec{Image: "img", Argv: []string{"helper"}}
	f.Fail(dockertest.Fault{Call: "POST /containers/{id}/start", Status: 500, Message: "failed to mount local volume: no route to host"})
	_, err := e.StartHelper(t.Context(), spec)
	if err == nil || !strings.Contains(err.Error(), "no route to host") {
		t.Fatal(err)
	}
	if left := f.Containers(); len(left) != 0 {
		t.Fatalf("left behind: %+v", left)
	}
	spec.Image = "none"
	_, err = e.StartHelper(t.Context(), spec)
	wantIs(t, err, docker.ErrNoImage)
	for _, bad := range []docker.HelperSpec{
		{}, {Image: "img"}, {Image: "img", Argv: []string{"x"}, SocketVolume: "a", SocketBind: "/b"},
		{Image: "img", Argv: []string{"x"}, Mounts: []docker.HelperMount{{Volume: "v", Target: "rel"}}},
		{Image: "img", Argv: []string{"x"}, Mounts: []docker.HelperMount{{Target: "/v"}}},
		{Image: "img", Argv: []string{"x"}, Mounts: []docker.HelperMount{{Volume: "v", Bind: "/b", Target: "/v"}}},
	} {
		if _, err := e.StartHelper(t.Context(), bad); err == nil {
			t.Errorf("accepted: %+v", bad)
		}
	}
	if slices.Contains(f.Calls()[1:], "POST /volumes/create") {
		t.Fatal("a volume was created")
	}
}

func TestHelperStartIsCancelled(t *testing.T) {
	// As with a dead NFS server: the start hangs, the run is cancelled, and
	// nothing must be left.
	f, e := fake(t)
	f.AddImage("img", nil)
	ctx, cancel := context.WithCancel(t.Context())
	f.Fail(dockertest.Fault{Call: "POST /containers/{id}/start", Stall: true})
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := e.StartHelper(ctx, docker.HelperSpec{Image: "img", Argv: []string{"helper"}})
	wantIs(t, err, context.Canceled)
	if left := f.Containers(); len(left) != 0 {
		t.Fatalf("left behind: %+v", left)
	}
}

// TestHelperCreatedInVainIsRemoved: the context ends while the Engine makes the
// container, which it does all the same.
func TestHelperCreatedInVainIsRemoved(t *testing.T) {
	f, e := fake(t)
	f.AddImage("img", nil)
	f.AddContainer(dockertest.Container{Name: "of", Image: "img", ImageID: "img"})
	of, err := e.Inspect(t.Context(), "of")
	if err != nil {
		t.Fatal(err)
	}
	for name, start := range map[string]func(context.Context) (*docker.Helper, error){
		"helper": func(ctx context.Context) (*docker.Helper, error) {
			return e.StartHelper(ctx, docker.HelperSpec{Image: "img", Argv: []string{"helper"}})
		},
		"double": func(ctx context.Context) (*docker.Helper, error) {
			return e.StartDouble(ctx, docker.DoubleSpec{Of: of})
		},
		"look": func(ctx context.Context) (*docker.Helper, error) {
			_, err := e.HasPath(ctx, docker.HelperSpec{Image: "img", Argv: []string{"helper"}}, t.TempDir())
			if err == nil { // the answer has come in time
				err = ctx.Err()
			}
			return nil, err
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		f.BeforeCreate(func() {
			cancel()
			time.Sleep(100 * time.Millisecond) // so that who called it has left
		})
		_, err := start(ctx)
		wantIs(t, err, context.Canceled)
		time.Sleep(300 * time.Millisecond) // the Engine is done by then
		if left := f.Containers(); len(left) != 1 {
			t.Errorf("%s: left behind: %+v", name, left)
		}
	}
}

func TestF48_HelperCarriesNothingButWhatItWasGiven(t *testing.T) {
	t.Setenv("RIPPLEBAK_PASSWORD", "planted-secret")
	f, e := fake(t)
	f.AddImage("img", nil)
	f.Command("helper", print(""))
	if _, err := e.StartHelper(t.Context(), docker.HelperSpec{Image: "img", Argv: []string{"helper"}}); err != nil {
		t.Fatal(err)
	}
	if s := fmt.Sprintf("%+v", f.Containers()); strings.Contains(s, "planted-secret") {
		t.Fatal(s)
	}
}
