package plan

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/labels"
	"github.com/ripplebak/ripplebak/manifest"
)

func night(day int) time.Time { return time.Date(2025, 11, day, 2, 0, 0, 0, time.UTC) }

func volumeSource(project, key string) Source {
	return Source{Snapshot: "0123456789abcdef", Time: night(9), Item: manifest.Item{
		Kind: manifest.Volume, Name: key, State: manifest.Good, Bytes: 3 << 20, During: "live",
		VolumeInfo: &manifest.VolumeInfo{DockerName: project + "_" + key, Driver: "local", Labels: map[string]string{
			compose.LabelProject: project, compose.LabelVolume: key, "own": "label",
		}},
	}}
}

func dumpSource(service, database string, volumes ...string) Source {
	return Source{Snapshot: "0123456789abcdef", Time: night(9), Item: manifest.Item{
		Kind: manifest.Dump, Service: service, Name: database, State: manifest.Good, Bytes: 1 << 20,
		DumpInfo: &manifest.DumpInfo{Engine: "pg_dump", ServerVersion: "17.2", Volumes: volumes},
	}}
}

func (w world) restore(t testing.TB, sources ...Source) RestoreInput {
	return RestoreInput{Project: w.project(t), Sources: sources, Safety: true, HasState: true, HasSocket: true}
}

func restoreSteps(r *Restore) []string {
	var out []string
	for _, op := range r.Operations {
		what := op.Service
		if what == "" || op.Do == LoadDump {
			what = strings.Join(op.Items, ", ")
		}
		out = append(out, string(op.Do)+" "+what)
	}
	return out
}

func wantRestore(t *testing.T, r *Restore, want ...string) {
	t.Helper()
	wantNone(t, "problems", r.Problems)
	if got := restoreSteps(r); !slices.Equal(got, want) {
		t.Errorf("steps:\n got %q\nwant %q", got, want)
	}
}

func shopWorld() world {
	return world{name: "shop", services: []svc{
		{name: "db", image: "postgres:17", mounts: []string{"pg:/var/lib/postgresql/data"}, labels: l("dump=pg_dump")},
		{name: "app", deps: []string{"db"}, mounts: []string{"files:/files"}, labels: l("enable=true")},
		{name: "web", deps: []string{"app"}},
		{name: "stats", mounts: []string{"files:/f:ro"}},
		{name: "mail"},
	}}
}

func TestF21_UsersOfAVolumeAreStoppedFirstAndStartedAfter(t *testing.T) {
	in := shopWorld().restore(t, volumeSource("shop", "files"))
	wantRestore(t, MakeRestore(in), "safety volume files", "stop stats", "stop app", "restore-volume volume files", "start app", "start stats")

	in.ForeignUsers = map[string][]string{"shop_files": {"container spy"}}
	wantLine(t, "problem", MakeRestore(in).Problems, "volume files", "container spy", "outside the project")
}

func TestRestoreStopsWhatDependsOnADatabase(t *testing.T) {
	w := shopWorld()
	in := w.restore(t, volumeSource("shop", "files"), dumpSource("db", "shop", "pg"), dumpSource("db", "", "pg"))
	r := MakeRestore(in)
	wantRestore(t, r, "safety volume files, dump db/shop, dump db (globals)",
		"stop web", "stop stats", "stop app", "restore-volume volume files",
		"start-database db", "restore-dump dump db (globals)", "restore-dump dump db/shop", "start app", "start stats", "start web")
	for _, op := range r.Operations {
		if op.Service == "web" && op.Do == StopService && op.Cause != "depends on db, whose data is restored" {
			t.Errorf("cause: %q", op.Cause)
		}
	}
}

func TestRestoreSaysWhichTablesComeBackEmpty(t *testing.T) {
	whole, lacking := dumpSource("db", "blog"), dumpSource("db", "shop")
	lacking.Item.DumpInfo.ExcludeTableData = []string{"log.*", "sessions"}
	r := MakeRestore(shopWorld().restore(t, whole, lacking))
	wantLine(t, "warning", r.Warnings, "dump db/shop", "tables that fit log.*, sessions come back without rows")
	if len(r.Warnings) != 1 {
		t.Errorf("%q", r.Warnings)
	}
}

func TestDatabaseThatWasDownIsStoppedAgain(t *testing.T) {
	w := shopWorld()
	for i := range w.services {
		w.services[i].state = compose.StateCreated
	}
	wantRestore(t, MakeRestore(w.restore(t, dumpSource("db", "shop"))),
		"safety dump db/shop", "start-database db", "restore-dump dump db/shop", "stop-database db")
}

func TestDatabasesComeBackOneAfterTheOther(t *testing.T) {
	w := world{name: "shop", services: []svc{
		{name: "vault", mounts: []string{"keys:/keys"}},
		{name: "one", image: "postgres", deps: []string{"vault"}},
		{name: "app", deps: []string{"one"}},
		{name: "two", image: "postgres", deps: []string{"app"}},
	}}
	wantRestore(t, MakeRestore(w.restore(t, volumeSource("shop", "keys"), dumpSource("one", "a"), dumpSource("two", "b"))),
		"safety volume keys, dump one/a, dump two/b", "stop two", "stop app", "stop vault", "restore-volume volume keys",
		"start vault", "start-database one", "restore-dump dump one/a", "start app", "start-database two", "restore-dump dump two/b")
}

func TestDatabaseWhoseOwnVolumeComesBackToo(t *testing.T) {
	volume := volumeSource("shop", "pg")
	in := shopWorld().restore(t, volume, dumpSource("db", "shop", "pg"))
	r := MakeRestore(in)
	wantRestore(t, r, "safety dump db/shop", "stop web", "stop app", "start-database db", "restore-dump dump db/shop", "start app", "start web")
	wantLine(t, "warning", r.Warnings, "volume pg is not restored", "copied while that ran", "its dumps")

	volume.Item.During = "stop" // such a copy starts: the files first, then the dumps over them
	in.Sources[0] = volume
	wantRestore(t, MakeRestore(in), "safety volume pg, dump db/shop", "stop web", "stop app", "stop db", "restore-volume volume pg",
		"start-database db", "restore-dump dump db/shop", "start app", "start web")

	// By itself, because it was named, a volume is restored in any case, and
	// what depends on the database is stopped.
	in.Sources = []Source{volumeSource("shop", "pg")}
	wantRestore(t, MakeRestore(in), "safety volume pg", "stop web", "stop app", "stop db", "restore-volume volume pg", "start db", "start app", "start web")
}

func TestRestoreAndStatesOfContainers(t *testing.T) {
	w := shopWorld()
	w.services[0].state = compose.StatePaused
	r := MakeRestore(w.restore(t, dumpSource("db", "shop"), dumpSource("db", "blog"), volumeSource("shop", "pg")))
	if n := len(r.Problems); n != 1 {
		t.Errorf("%d problems: %q", n, r.Problems)
	}
	wantLine(t, "problem", r.Problems, `service "db" is paused`, `docker compose unpause db`)

	// What keeps restarting would come up in the middle of it.
	w.services[0].state, w.services[1].state = compose.StateRestarting, compose.StateRestarting
	volume := volumeSource("shop", "pg")
	volume.Item.During = "stop"
	r = MakeRestore(w.restore(t, dumpSource("db", "shop", "pg"), volume))
	wantRestore(t, r, "safety dump db/shop, volume pg", "stop web", "stop app", "stop db", "restore-volume volume pg",
		"start-database db", "restore-dump dump db/shop", "start app", "start web")
	wantLine(t, "warning", r.Warnings, `service "db" keeps restarting`)

	r = MakeRestore(shopWorld().restore(t, dumpSource("gone", "x"), dumpSource("gone", "y")))
	if len(r.Problems) != 1 {
		t.Errorf("problems: %q", r.Problems)
	}
	wantLine(t, "problem", r.Problems, `service "gone"`, "docker compose up -d gone")
}

func TestMissingVolumesAreMadeWithComposesLabels(t *testing.T) {
	source := volumeSource("shop", "old")
	in := world{name: "copy", services: []svc{{name: "app"}}}.restore(t, source)
	if got := Targets(in.Project, in.Sources); !slices.Equal(got, []string{"copy_old"}) {
		t.Errorf("targets %q", got)
	}
	r := MakeRestore(in)
	wantRestore(t, r, "create-volume volume old", "restore-volume volume old")
	v := r.Items[0].Volume
	if v.Docker != "copy_old" || !v.Create || v.Spec.Labels[compose.LabelProject] != "copy" || v.Spec.Labels[compose.LabelVolume] != "old" || v.Spec.Labels["own"] != "label" {
		t.Errorf("created: %+v", v)
	}
	if source.Item.VolumeInfo.Labels[compose.LabelProject] != "shop" {
		t.Error("the manifest was changed")
	}

	// One that is mounted, and lost all the same, is made as it was.
	w := world{name: "shop", services: []svc{{name: "app", mounts: []string{"old:/o"}}}, gone: []string{"shop_old"}}
	v = MakeRestore(w.restore(t, source)).Items[0].Volume
	if v.Docker != "shop_old" || !v.Create || v.Spec.Labels[compose.LabelVolume] != "old" || v.Spec.Driver != "local" {
		t.Errorf("created: %+v", v)
	}
}

func TestVolumesThatTheHostHasAreNotTakenForMissing(t *testing.T) {
	custom := volumeSource("shop", "data")
	custom.Item.VolumeInfo.DockerName = "custom"
	external := volumeSource("shop", "ext")
	external.Item.VolumeInfo = &manifest.VolumeInfo{DockerName: "ext", External: true}
	in := world{name: "copy", services: []svc{{name: "app"}}}.restore(t, custom, external, volumeSource("shop", "plain"))
	if got := Targets(in.Project, in.Sources); !slices.Equal(got, []string{"copy_plain", "custom", "ext"}) {
		t.Fatalf("targets %q", got)
	}
	in.Found = map[string]compose.Volume{
		"custom":     {Name: "custom", Labels: map[string]string{compose.LabelProject: "shop"}},
		"ext":        {Name: "ext", Labels: map[string]string{compose.LabelProject: "third"}},
		"copy_plain": {Name: "copy_plain"},
	}
	r := MakeRestore(in)
	if len(r.Problems) != 1 {
		t.Errorf("problems: %q", r.Problems)
	}
	wantLine(t, "problem", r.Problems, "volume data", `custom belongs to project "shop"`, "not overwritten")
	for _, op := range r.Operations {
		if op.Do == CreateVolume {
			t.Errorf("creates what exists: %s", op)
		}
		if op.Do == Safety && len(op.Items) != 3 {
			t.Errorf("safety of %q", op.Items)
		}
	}
	in.ForeignUsers = map[string][]string{"ext": {"container x"}}
	wantLine(t, "problem", MakeRestore(in).Problems, "volume ext", "container x")
}

func TestRestoreRefusesWhatItCannotDo(t *testing.T) {
	bare := Source{Item: manifest.Item{Kind: manifest.Volume, Name: "x"}}
	hostile := volumeSource("shop", "../../etc")
	bind := Source{Item: manifest.Item{Kind: manifest.Bind, Service: "app", Name: "/etc"}}
	same := volumeSource("shop", "b")
	same.Item.VolumeInfo.External, same.Item.VolumeInfo.DockerName = true, "shop_a"
	in := shopWorld().restore(t, bare, hostile, bind, volumeSource("shop", "a"), same)
	in.HasState, in.HasSocket = false, false
	r := MakeRestore(in)
	wantLine(t, "problem", r.Problems, "volume x", "does not describe")
	wantLine(t, "problem", r.Problems, "is no name of a volume")
	wantLine(t, "problem", r.Problems, "bind app:/etc", "has no bind mount at /etc today")
	wantLine(t, "problem", r.Problems, "volume a and volume b are both the volume shop_a")
	wantLine(t, "problem", r.Problems, "no state volume", "ripplebak:/var/lib/ripplebak")
	wantLine(t, "problem", r.Problems, "ripplebak-run:/run/ripplebak")
	wantLine(t, "problem", MakeRestore(shopWorld().restore(t)).Problems, "nothing to restore")
}

func TestItemsOfDifferentNightsAreWarnedOf(t *testing.T) {
	old := volumeSource("shop", "files")
	old.Time = night(3)
	in := shopWorld().restore(t, old, dumpSource("db", "shop"))
	in.Safety = false
	r := MakeRestore(in)
	wantLine(t, "warning", r.Warnings, "volume files is of 2025-11-03T02:00:00Z", "2025-11-09")
	wantLine(t, "warning", r.Warnings, "not saved first")
	if len(r.Warnings) != 2 {
		t.Errorf("warnings: %q", r.Warnings)
	}
}

func (w world) safety(t testing.TB, probe Probe, sources ...Source) *Plan {
	r := MakeRestore(w.restore(t, sources...))
	return MakeSafety(SafetyInput{Project: w.project(t), Restore: r, Probes: map[string]Probe{"db": probe}, Engine: dump.Lookup})
}

func TestSafetySavesWhatIsThere(t *testing.T) {
	w := shopWorld()
	up := Probe{Container: "id-db", Facts: facts("shop", "other")}
	missing := volumeSource("shop", "new")
	p := w.safety(t, up, dumpSource("db", "shop"), dumpSource("db", "gone"), volumeSource("shop", "files"), missing)
	wantSteps(t, p, "dump db (globals)", "dump db/shop", "walk volume files")
	if it := mustItem(t, p, "volume files"); it.Volume.OnError != labels.Warn {
		t.Error("a file that cannot be read fails the safety: the restore may be its cure")
	}
	// Roles alone, as --globals overwrites them, are saved too.
	wantSteps(t, w.safety(t, up, dumpSource("db", "")), "dump db (globals)")
}

func TestSafetyOfADatabaseThatCannotBeDumpedIsItsColdVolume(t *testing.T) {
	w := shopWorld()
	dirs := []string{"/var/lib/postgresql/data"}
	cold := []string{"walk volume pg", "stop db", "rewalk volume pg", "resume db"}
	wantSteps(t, w.safety(t, Probe{Err: errors.New("no entry in pg_hba.conf"), DataDirs: dirs}, dumpSource("db", "shop")), cold...)
	wantSteps(t, w.safety(t, Probe{Missing: "no pg_dump", DataDirs: dirs}, dumpSource("db", "shop")), cold...)
	closed := Probe{Container: "id-db", Facts: facts("shop")}
	closed.Facts.Databases[0].AllowConn = false
	wantSteps(t, w.safety(t, closed, dumpSource("db", "shop")), cold...)
	// The manifest knows where the files are when the environment does not.
	wantSteps(t, w.safety(t, Probe{Err: errors.New("down")}, dumpSource("db", "shop", "pg")), cold...)

	w.services[0].state = compose.StateExited
	wantSteps(t, w.safety(t, Probe{Err: errors.New("down"), DataDirs: dirs}, dumpSource("db", "shop")), "walk volume pg")

	w.services[0].mounts = []string{"bind:/var/lib/postgresql/data"}
	p := w.safety(t, Probe{Err: errors.New("down"), DataDirs: dirs}, dumpSource("db", "shop"))
	wantLine(t, "problem", p.Problems, `service "db"`, "down", "--no-safety-snapshot")
}

func TestSafetyOfARunningDatabasesFilesIsRead(t *testing.T) {
	p := shopWorld().safety(t, Probe{}, volumeSource("shop", "pg"))
	wantSteps(t, p, "walk volume pg", "stop db", "rewalk volume pg", "resume db")
}

func TestRestoreStopsCompanions(t *testing.T) {
	w := world{name: "shop", services: []svc{
		{name: "vpn", mounts: []string{"conf:/conf"}},
		{name: "torrent", network: "container:id-vpn", deps: []string{"vpn"}},
		{name: "proxy", deps: []string{"torrent!"}},
		{name: "other", deps: []string{"vpn"}},
	}}
	wantRestore(t, MakeRestore(w.restore(t, volumeSource("shop", "conf"))), "safety volume conf",
		"stop proxy", "stop torrent", "stop vpn", "restore-volume volume conf", "start vpn", "start torrent", "start proxy")
}
