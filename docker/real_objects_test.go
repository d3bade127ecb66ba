package docker_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"github.com/ripplebak/ripplebak/docker"
)

// volume creates a volume by our own call and removes it after the test.
func (r *real) volume(t *testing.T, labels map[string]string) string {
	t.Helper()
	name := unique()
	if err := r.CreateVolume(t.Context(), docker.Volume{Name: name, Labels: labels}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.cli.VolumeRemove(context.Background(), name, true); err != nil {
			t.Error(err)
		}
	})
	return name
}

func TestEngineInfo(t *testing.T) {
	r := realEngine(t, docker.Options{})
	i, err := r.Info(t.Context())
	if err != nil || i.ID == "" || i.Name == "" || i.ServerVersion == "" || i.APIVersion < "1.41" || i.OSType != "linux" {
		t.Fatalf("%+v, %v", i, err)
	}
}

func TestEngineProjectAndVolumes(t *testing.T) {
	r := realEngine(t, docker.Options{})
	project := unique()
	vol := r.volume(t, ofProject(project))
	id := r.run(t, container.Config{Labels: ofProject(project), Env: []string{"PGDATA=/x"}, Healthcheck: &container.HealthConfig{Test: []string{"CMD", "true"}, Interval: 200 * time.Millisecond}},
		container.HostConfig{Mounts: []mount.Mount{{Type: mount.TypeVolume, Source: vol, Target: "/data"}}})
	foreign := r.run(t, container.Config{}, container.HostConfig{Mounts: []mount.Mount{{Type: mount.TypeVolume, Source: vol, Target: "/d", ReadOnly: true}}})
	if err := r.Stop(t.Context(), foreign, nil); err != nil {
		t.Fatal(err)
	}
	cs, err := r.ProjectContainers(t.Context(), project)
	if err != nil || len(cs) != 1 || cs[0].ID != id || cs[0].Image != busyboxImage || !strings.HasPrefix(cs[0].ImageID, "sha256:") || !cs[0].HasHealthcheck {
		t.Fatalf("%+v, %v", cs, err)
	}
	if v, ok := cs[0].LookupEnv("PGDATA"); !ok || v != "/x" {
		t.Fatal(v, ok)
	}
	if err := r.WaitHealthy(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	vs, err := r.ProjectVolumes(t.Context(), project)
	if err != nil || len(vs) != 1 || vs[0].Name != vol || vs[0].Mountpoint == "" {
		t.Fatalf("%+v, %v", vs, err)
	}
	users, err := r.VolumeUsers(t.Context(), vol)
	if err != nil || len(users) != 2 {
		t.Fatalf("%q, %v", names(users), err)
	}
	labels, err := r.ImageLabels(t.Context(), cs[0].ImageID)
	if err != nil || labels["rbt-image"] != "yes" {
		t.Fatal(labels, err)
	}
}

func TestEngineLifecycle(t *testing.T) {
	r := realEngine(t, docker.Options{})
	id := r.run(t, container.Config{}, container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "always"}})
	ctx := t.Context()
	second := time.Second
	for _, step := range []struct {
		name  string
		do    func() error
		state string
	}{
		{"pause", func() error { return r.Pause(ctx, id) }, "paused"},
		{"unpause", func() error { return r.Unpause(ctx, id) }, "running"},
		{"stop", func() error { return r.Stop(ctx, id, &second) }, "exited"},
		{"start", func() error { return r.Start(ctx, id) }, "running"},
		{"pause", func() error { return r.Pause(ctx, id) }, "paused"},
		{"stop", func() error { return r.Stop(ctx, id, &second) }, "exited"},
		{"unpause", func() error { return r.Unpause(ctx, id) }, "exited"},
		{"start", func() error { return r.Start(ctx, id) }, "running"},
	} {
		for range 2 {
			if err := step.do(); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
			if c, err := r.Inspect(ctx, id); err != nil || c.State != step.state {
				t.Fatalf("%s: %s, %v", step.name, c.State, err)
			}
		}
	}
	job := r.run(t, container.Config{Cmd: []string{"true"}}, container.HostConfig{})
	if end, err := r.HelperExit(ctx, job); err != nil || end.Code != 0 {
		t.Fatal(end, err)
	}
	if err := r.Start(ctx, job); err != nil { // it is over before anyone looks
		t.Fatal(err)
	}
}

func TestEngineHelper(t *testing.T) {
	r := realEngine(t, docker.Options{})
	ctx := t.Context()
	vol, run := r.volume(t, nil), r.volume(t, nil)
	script := `exec >/run/ripplebak/report 2>&1
grep -E '^(CapEff|NoNewPrivs)' /proc/self/status
touch /x; touch /v/data/x
ls /sys/class/net | tr '\n' ' '
env | grep -c RIPPLEBAK
exit 3`
	name := unique()
	h, err := r.StartHelper(ctx, docker.HelperSpec{
		Image: busyboxImage, Name: name, Argv: []string{"/bin/sh", "-c", script}, SocketVolume: run,
		Labels: map[string]string{testLabel: "yes", name: "yes"}, CapAdd: []string{"DAC_READ_SEARCH"},
		Mounts: []docker.HelperMount{{Volume: vol, Target: "/v/data", ReadOnly: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.RemoveHelper(context.Background(), h.ID) })
	end, err := r.HelperExit(ctx, h.ID)
	if err != nil || end.Code != 3 {
		t.Fatalf("%+v, %v", end, err)
	}
	found, err := r.Helpers(ctx, map[string]string{name: "yes"})
	if err != nil || len(found) != 1 || !found[0].ReadOnly || found[0].NetworkMode != "none" {
		t.Fatalf("%+v, %v", found, err)
	}
	reader := r.run(t, container.Config{}, container.HostConfig{Mounts: []mount.Mount{{Type: mount.TypeVolume, Source: run, Target: "/r"}}})
	out, _, err := r.Run(ctx, sh(reader, "cat /r/report"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CapEff:\t0000000000000004", "NoNewPrivs:\t1", "/x: Read-only", "/v/data/x: Read-only", "lo 0\n"} {
		if !strings.Contains("\n"+string(out), want) {
			t.Errorf("no %q in what the helper saw:\n%s", want, out)
		}
	}
	if strings.Contains(string(out), "eth") {
		t.Errorf("the helper has a network:\n%s", out)
	}
	for range 2 {
		if err := r.RemoveHelper(ctx, h.ID); err != nil {
			t.Fatal(err)
		}
	}
	_, err = r.Inspect(ctx, h.ID)
	wantIs(t, err, docker.ErrNoContainer)
}

func TestF17_EngineLookingNeverCreates(t *testing.T) {
	r := realEngine(t, docker.Options{})
	none := unique()
	_, err := r.StartHelper(t.Context(), docker.HelperSpec{Image: busyboxImage, Argv: []string{"true"}, Mounts: []docker.HelperMount{{Volume: none, Target: "/v"}}})
	wantIs(t, err, docker.ErrNoVolume)
	_, err = r.Volume(t.Context(), none)
	wantIs(t, err, docker.ErrNoVolume)
}

func TestEngineHelperThatCannotStart(t *testing.T) {
	r := realEngine(t, docker.Options{})
	name := unique()
	_, err := r.StartHelper(t.Context(), docker.HelperSpec{Image: busyboxImage, Name: name, Argv: []string{"/no/such"}})
	if err == nil {
		t.Fatal("started")
	}
	_, err = r.Inspect(t.Context(), name)
	wantIs(t, err, docker.ErrNoContainer)
	_, err = r.StartHelper(t.Context(), docker.HelperSpec{Image: "ripplebak-test/none:none", Argv: []string{"x"}})
	wantIs(t, err, docker.ErrNoImage)
}

func TestEngineSelf(t *testing.T) {
	r := realEngine(t, docker.Options{})
	ctx := t.Context()
	for _, config := range []container.Config{{}, {Hostname: "db"}} {
		id := r.run(t, config, container.HostConfig{})
		see := func(what string) string {
			out, _, err := r.Run(ctx, docker.ExecRequest{Container: id, Argv: []string{"cat", what}, Gate: true})
			if err != nil {
				t.Fatal(err)
			}
			return string(out)
		}
		hints := docker.SelfHints{Hostname: strings.TrimSpace(see("/proc/sys/kernel/hostname")), Mountinfo: see("/proc/self/mountinfo"), Cgroup: see("/proc/self/cgroup")}
		c, err := r.Self(ctx, hints)
		if err != nil || c.ID != id {
			t.Fatalf("%s, %v; want %s", c.ID, err, id)
		}
	}
	if _, err := os.Stat("/.dockerenv"); err == nil {
		return // these tests themselves run in a container
	}
	_, err := r.Self(ctx, docker.ReadSelfHints())
	wantIs(t, err, docker.ErrNotInContainer)
}

func TestF11_EngineOtherShells(t *testing.T) {
	// The scripts must do in dash and bash what they do in busybox.
	r := realEngine(t, docker.Options{Grace: 500 * time.Millisecond})
	const debian = "ripplebak-standin/debian:bookworm"
	if _, err := r.cli.ImageInspect(t.Context(), debian); err != nil {
		t.Skipf("no image %s (scripts/ensure-image.sh debian makes it): %v", debian, err)
	}
	for _, shell := range []string{"dash", "bash"} {
		t.Run(shell, func(t *testing.T) {
			id := r.run(t, container.Config{Image: debian, Cmd: []string{"/bin/sleep", "600"}}, container.HostConfig{})
			if _, _, err := r.Run(t.Context(), sh(id, "ln -sf "+shell+" /bin/sh")); err != nil {
				t.Fatal(err)
			}
			out, _, err := r.Run(t.Context(), docker.ExecRequest{Container: id, Argv: []string{"printf", "%s-%s", "a b", "$c '\""}, Gate: true})
			if err != nil || string(out) != "a b-$c '\"" {
				t.Fatalf("%q, %v", out, err)
			}
			_, _, err = r.Run(t.Context(), docker.ExecRequest{Container: id, Argv: []string{"pg_dump"}, Gate: true})
			wantExit(t, err, 127)
			for name, script := range map[string]string{
				"child": "sleep 4245; true", "deaf": "trap '' TERM; sleep 4245; while :; do sleep 4245; done",
				"su": "su nobody -s /bin/sh -c 'sleep 4245; true'", "own session": "setsid sleep 4245 & sleep 4245",
			} {
				req := sh(id, script)
				req.Deadline = 700 * time.Millisecond
				_, _, err := r.Run(t.Context(), req)
				if !errors.Is(err, docker.ErrDeadline) || errors.Is(err, docker.ErrStillRuns) {
					t.Fatalf("%s: %v", name, err)
				}
				if left := r.processes(t, id, "4245"); len(left) > 0 {
					t.Fatalf("%s: still runs: %q", name, left)
				}
			}
		})
	}
}
