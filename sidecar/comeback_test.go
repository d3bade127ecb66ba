package sidecar

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/docker/dockertest"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// down adds a container of a service that was stopped, as a journal names it.
func (s *shop) down(name string) state.Quiesced {
	id := s.service(name, nil)
	s.f.KillContainer(id)
	return state.Quiesced{Service: name, Number: 1, Container: id, How: "stop"}
}

func (s *shop) state(id string) string {
	for _, c := range s.f.Containers() {
		if c.ID == id {
			return c.State
		}
	}
	return "gone"
}

func (s *shop) started(id string) time.Time {
	s.t.Helper()
	c, err := s.host().engine.Inspect(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return c.StartedAt
}

func TestServiceThatDoesNotComeBackKeepsNoOtherDown(t *testing.T) {
	s := newShop(t)
	list := []state.Quiesced{s.down("db"), s.down("app"), s.down("web"), {Service: "gone", Number: 1, Container: "0123456789ab"}}
	s.f.Fail(dockertest.Fault{Call: "POST /containers/{id}/start", Status: 500, Message: "port is already allocated"})
	var back []string
	needs := map[string][]string{"app": {"db"}, "web": {"app"}}
	left, err := s.host().bringBackAll(t.Context(), list, func(s string) []string { return needs[s] }, func(service string, awake bool) {
		if awake {
			t.Errorf("%s is said to have run", service)
		}
		back = append(back, service)
	})
	if err == nil || !strings.Contains(err.Error(), `"db"`) || !slices.Equal(left, list[:1]) {
		t.Errorf("left %+v, %v", left, err)
	}
	slices.Sort(back)
	if !slices.Equal(back, []string{"app", "gone", "web"}) || s.state(list[1].Container) != "running" || s.state(list[2].Container) != "running" {
		t.Errorf("back: %q", back)
	}
}

// TestDependenciesComeBackFirst: each start is of a service whose dependencies
// run by then.
func TestDependenciesComeBackFirst(t *testing.T) {
	s := newShop(t)
	list := []state.Quiesced{s.down("db"), s.down("app"), s.down("web")}
	needs := map[string][]string{"app": {"db"}, "web": {"app", "web"}}
	if _, err := s.host().bringBackAll(t.Context(), list, func(s string) []string { return needs[s] }, func(string, bool) {}); err != nil {
		t.Fatal(err)
	}
	if db, app, web := s.started(list[0].Container), s.started(list[1].Container), s.started(list[2].Container); !app.After(db) || !web.After(app) {
		t.Errorf("started at %s, %s, %s", db, app, web)
	}
}

// TestStopThatIsUnderWayIsWaitedFor: whoever was killed or cut off after asking
// for a stop finds the container running, and it ends only then.
func TestStopThatIsUnderWayIsWaitedFor(t *testing.T) {
	s := newShop(t)
	id := s.service("app", nil)
	before := s.started(id)
	timer := time.AfterFunc(300*time.Millisecond, func() { s.f.KillContainer(id) })
	defer timer.Stop()
	q := state.Quiesced{Service: "app", Number: 1, Container: id, How: "stop", At: time.Now()}
	if _, err := s.host().bringBack(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	if s.state(id) != "running" || !s.started(id).After(before) {
		t.Errorf("the service is %s, started at %s", s.state(id), s.started(id))
	}
	// Long after the time in which it would have been killed, nothing is.
	q.At = time.Now().Add(-time.Hour)
	began := time.Now()
	if awake, err := s.host().bringBack(t.Context(), q); err != nil || !awake || time.Since(began) > 5*time.Second {
		t.Errorf("a service that runs: %v, %v after %s", awake, err, time.Since(began))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	q.At = time.Now()
	s.f.KillContainer(id)
	if _, err := s.host().bringBack(ctx, q); err != nil {
		t.Errorf("a service that is down: %v", err)
	}
}

// TestStopIsAskedForToItsEnd: a run that is interrupted while the Engine stops
// a container waits for the answer.
func TestStopIsAskedForToItsEnd(t *testing.T) {
	s := newShop(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	list := []state.Quiesced{{Service: "app", Number: 1, Container: s.service("app", nil), How: "stop", At: time.Now()}}
	if err := s.host().quiet(ctx, list); err != nil || s.state(list[0].Container) != "exited" {
		t.Errorf("the service is %s: %v", s.state(list[0].Container), err)
	}
}

func (s *shop) journal(j state.Journal) *state.Dir {
	s.t.Helper()
	d, err := state.Open(s.path("state"))
	if err != nil {
		s.t.Fatal(err)
	}
	j.Project = "shop"
	if err := d.WriteJournal(&j); err != nil {
		s.t.Fatal(err)
	}
	return d
}

func TestRecoveryDoesWhatCanBeDone(t *testing.T) {
	s := newShop(t)
	a, b := s.down("a"), s.down("b")
	only := s.service("only", nil)
	s.journal(state.Journal{
		Run: "r1", Quiesced: []state.Quiesced{a, b}, ToStop: []state.Quiesced{{Service: "only", Number: 1, Container: only, How: "start"}},
		Databases: []state.DatabaseRestore{{ID: "r1", Engine: "pg_dump", Service: "gone", Database: "x"}},
	})
	damaged := s.path("state", "journal", "r0.json")
	if err := os.WriteFile(damaged, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.f.Fail(dockertest.Fault{Call: "POST /containers/{id}/start", Status: 500, Message: "port is already allocated"})
	if err := s.app.recoverNow(t.Context()); err != nil {
		t.Fatalf("what cannot be recovered keeps every command from running: %v", err)
	}
	if s.state(a.Container) != "exited" || s.state(b.Container) != "running" || s.state(only) != "exited" {
		t.Errorf("a is %s, b is %s, only is %s", s.state(a.Container), s.state(b.Container), s.state(only))
	}
	for _, want := range []string{"a journal cannot be read", filepath.Base(damaged), "port is already allocated", "gone/x"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("the log does not say %q", want)
		}
	}
	js, _ := state.At(s.path("state")).Journals()
	if len(js) != 1 || len(js[0].Quiesced) != 1 || js[0].Quiesced[0].Service != "a" || len(js[0].ToStop) != 0 || len(js[0].Databases) != 1 {
		t.Errorf("journals: %+v", js)
	}
	if err := s.app.recoverNow(t.Context()); err != nil || s.state(a.Container) != "running" {
		t.Errorf("the second time a is %s: %v", s.state(a.Container), err)
	}
}

// TestTornVolumeStopsEverything: it must be neither saved nor used.
func TestTornVolumeStopsEverything(t *testing.T) {
	s := newShop(t)
	app := s.down("app")
	s.service("other", map[string]string{"enable": "true"}, "data")
	s.journal(state.Journal{Run: "r1", Quiesced: []state.Quiesced{app}, Volumes: []state.VolumeRestore{{ID: "r1", Key: "data", Docker: "shop_data"}}})
	s.f.Fail(dockertest.Fault{Call: "POST /containers/create", Status: 500, Message: "no such device"})
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err == nil || !strings.Contains(err.Error(), "no such device") {
		t.Errorf("the backup ended with %v", err)
	}
	if s.state(app.Container) != "exited" || s.snapshots() != 0 {
		t.Error("something was done with the torn volume")
	}
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
		t.Errorf("once it can be put right: %v", err)
	}
	s.wantQuiet()
}

// TestNobodyRunsUponAVolumeThatIsPutRight: after a kill somebody has started the
// service again, or the Engine has, as it does for restart: always.
func TestNobodyRunsUponAVolumeThatIsPutRight(t *testing.T) {
	for name, v := range map[string]state.VolumeRestore{
		"a volume": {}, "files of a server": {Service: "app"}, "files upon which it runs": {Service: "app", Held: true}, "left running": {NoStop: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			id := s.service("app", nil, "data")
			v.ID, v.Key, v.Docker = "r1", "volume data", "shop_data"
			s.journal(state.Journal{Run: "r1", Volumes: []state.VolumeRestore{v}})
			var met []string
			s.f.Command("/ripplebak", func(ctx context.Context, p *dockertest.Process) int {
				met = append(met, s.state(id))
				return s.helper(ctx, p)
			})
			if err := s.app.recoverNow(t.Context()); err != nil {
				t.Fatal(err)
			}
			want := "exited"
			if v.NoStop {
				want = "running"
			}
			if !slices.Equal(met, []string{want}) {
				t.Errorf("the service is %q when the volume is put right, want %s", met, want)
			}
			s.wantQuiet()
		})
	}
}

// TestNoHelperWritesToAVolumeThatIsPutRight: one that outlived its restore and
// cannot be removed might be filling what is being emptied.
func TestNoHelperWritesToAVolumeThatIsPutRight(t *testing.T) {
	for _, readOnly := range []bool{false, true} {
		s := newShop(t)
		s.service("app", nil, "data")
		s.f.AddContainer(dockertest.Container{Name: "double", Image: "img", ImageID: "img", Mounts: []dockertest.Mount{{Volume: "shop_data", Target: "/data", ReadOnly: readOnly}},
			Labels: map[string]string{compose.LabelHelper: "r1", labelProject: "shop", labelOwner: "0123", labelState: stateOf(s.host())}})
		s.journal(state.Journal{Run: "r1", Volumes: []state.VolumeRestore{{ID: "r1", Key: "volume data", Docker: "shop_data"}}})
		began := false
		s.f.Command("/ripplebak", func(ctx context.Context, p *dockertest.Process) int {
			began = true
			return s.helper(ctx, p)
		})
		s.f.Fail(dockertest.Fault{Call: "DELETE /containers/{id}", Status: 500, Message: "device or resource busy"})
		err := s.app.recoverNow(t.Context())
		if readOnly {
			if err != nil || !began {
				t.Errorf("a helper that only reads is in the way: %v", err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "docker rm -f double") || began {
			t.Errorf("the volume was put right under a helper that writes (%t): %v", began, err)
		}
		if err := s.app.recoverNow(t.Context()); err != nil || !began {
			t.Errorf("once it can be removed: %v", err)
		}
		s.wantQuiet()
	}
}

// TestVolumeThatIsGoneIsNoHindrance: whoever removes it has given up its data.
func TestVolumeThatIsGoneIsNoHindrance(t *testing.T) {
	for _, held := range []bool{false, true} {
		s := newShop(t)
		s.service("app", map[string]string{"enable": "true"}, "data")
		s.journal(state.Journal{Run: "r1", Volumes: []state.VolumeRestore{{ID: "r1", Key: "volume gone", Docker: "shop_gone", Held: held, Service: "gone"}}})
		if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
			t.Errorf("held %t: %v", held, err)
		}
		s.wantQuiet()
	}
}

func TestReadingRecoversNothing(t *testing.T) {
	s := newShop(t)
	app := s.down("app")
	s.service("other", map[string]string{"enable": "true"}, "data")
	if _, err := s.app.Backup(t.Context(), BackupOptions{Services: []string{"other"}}); err != nil {
		t.Fatal(err)
	}
	s.journal(state.Journal{Run: "r1", Quiesced: []state.Quiesced{app}})
	if _, err := s.app.Plan(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if _, err := s.app.Snapshots(t.Context(), false); err != nil {
		t.Error(err)
	}
	if _, err := s.app.Check(t.Context(), CheckOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest", DryRun: true}); err != nil {
		t.Error(err)
	}
	if s.state(app.Container) != "exited" || len(s.files(s.path("state", "journal"))) != 1 {
		t.Error("a command that only reads has changed something")
	}
}

// TestOnlyOwnOrphansAreRemoved: a process outside of containers, with a state
// directory of its own, may be alive.
func TestOnlyOwnOrphansAreRemoved(t *testing.T) {
	s := newShop(t)
	h := s.host()
	helper := func(name, owner string) {
		s.f.AddContainer(dockertest.Container{Name: name, Image: "ripplebak:latest", Labels: map[string]string{
			compose.LabelHelper: "r1", labelOwner: owner, labelProject: "shop",
		}})
	}
	sidecar := s.service("backup", nil)
	helper("own", ownerOf(h))
	helper("other-state", ownerBare+"/somewhere/else")
	helper("of-sidecar", sidecar)
	helper("of-dead", strings.Repeat("d", 64))
	if err := s.app.recoverNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, c := range s.f.Containers() {
		if c.Labels[labelOwner] != "" {
			left = append(left, c.Name)
		}
	}
	if !slices.Equal(left, []string{"of-sidecar", "other-state"}) {
		t.Errorf("left: %q", left)
	}
}

func TestLocksOfOtherEnginesAreNotDead(t *testing.T) {
	s := newShop(t)
	h := s.host()
	alive := s.app.lockAlive(t.Context(), h)
	running := s.service("backup", nil)
	for holder, want := range map[string][2]bool{
		h.lockPrefix() + running:                 {true, true},
		h.lockPrefix() + strings.Repeat("e", 64): {false, true},
		h.info.Name + "/" + running:              {false, false}, // of a host of the same name
		h.info.Name + "~00000000/" + running:     {false, false},
		h.info.Name + "/bare":                    {false, false},
		h.lockPrefix():                           {false, false},
	} {
		if up, known := alive(holder); up != want[0] || known != want[1] {
			t.Errorf("%s: alive %v, known %v", holder, up, known)
		}
	}
}

// TestPostRunsAfterAKill: what a pre command began is ended by the next command.
func TestPostRunsAfterAKill(t *testing.T) {
	s := newShop(t)
	var h hooks
	s.f.Command("sh", h.run)
	s.service("app", map[string]string{"enable": "true", "pre": "freeze", "post": "thaw"}, "data")
	killed := ""
	s.crashAt("mid-stream", func() { // what a kill would leave of the journal
		for _, name := range s.files(s.path("state", "journal")) {
			b, err := os.ReadFile(s.path("state", "journal", name))
			if err != nil {
				t.Error(err)
			}
			killed = string(b)
		}
	})
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	s.wantQuiet()
	if killed == "" {
		t.Fatal("no journal was there")
	}
	if err := os.WriteFile(s.path("state", "journal", "killed.json"), []byte(killed), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.app.recoverNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(h.said, " "); got != "freeze thaw thaw" {
		t.Errorf("commands %q", got)
	}
}
