package plan

import (
	"testing"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/labels"
)

func TestServicesGoDownOnceInReverseAndComeBackInOrder(t *testing.T) {
	w := world{name: "shop", services: []svc{
		{name: "web", deps: []string{"app"}, mounts: []string{"up:/up"}},
		{name: "app", deps: []string{"db"}, mounts: []string{"up:/up", "cache:/cache"}, labels: l("during=stop")},
		{name: "db", mounts: []string{"cache:/c"}},
		{name: "reader", mounts: []string{"up:/up:ro"}},
	}}
	p := Make(w.input(t))
	wantSteps(t, p, "walk volume cache, volume up", "stop web", "stop app", "stop db", "rewalk volume cache, volume up", "resume db", "resume app", "resume web")
	for _, op := range p.Operations {
		if op.Do == Quiesce && op.Service == "web" && op.Cause != "writes to volume up (ripplebak.during=stop of app)" {
			t.Errorf("cause of stopping the unlabelled writer: %q", op.Cause)
		}
	}
}

func TestLiveVolumesStayOutOfTheDowntime(t *testing.T) {
	w := world{name: "shop", services: []svc{
		{name: "app", mounts: []string{"data:/data", "logs:/logs"}, labels: l("enable=true")},
		{name: "strict", mounts: []string{"data:/data"}, labels: l("during=stop", "volumes=data")},
		{name: "shipper", mounts: []string{"logs:/logs"}},
	}}
	// shipper writes to logs only, which nobody wants at rest.
	wantSteps(t, Make(w.input(t)), "walk volume data", "stop strict", "stop app", "rewalk volume data", "resume app", "resume strict", "walk volume logs")
}

func TestGroupIsOnePointInTime(t *testing.T) {
	w := world{name: "shop", services: []svc{
		{name: "app", deps: []string{"db"}, mounts: []string{"files:/files"}, labels: l("group=g", "during=stop")},
		{name: "search", mounts: []string{"index:/index"}, labels: l("group=g", "enable=true")},
		{name: "db", image: "postgres:17", mounts: []string{"pg:/var/lib/postgresql/data"}, labels: l("group=g", "dump=pg_dump")},
		{name: "frozen", mounts: []string{"ice:/ice"}, labels: l("group=g", "during=pause")},
	}}
	p := Make(w.input(t))
	// The database is dumped while nobody writes to it, and stays up.
	wantSteps(t, p, "walk volume files, volume ice, volume index", "stop search", "pause frozen", "stop app",
		"dump db (globals)", "dump db/shop", "dump db/blog",
		"rewalk volume files, volume ice, volume index", "resume app", "resume frozen", "resume search")
	if d := mustItem(t, p, "volume index").Volume.During; d != labels.Stop {
		t.Errorf("volume of a member that does not say: %q", d)
	}
	if d := mustItem(t, p, "volume ice").Volume.During; d != labels.Pause {
		t.Errorf("volume of a member that is paused: %q", d)
	}
}

func TestGroupWithoutPointInTimeIsSaidSo(t *testing.T) {
	w := world{name: "shop", services: []svc{
		{name: "a", mounts: []string{"a:/a"}, labels: l("group=g")},
		{name: "b", mounts: []string{"b:/b"}, labels: l("group=g")},
		{name: "c", mounts: []string{"c:/c"}, labels: l("group=gg", "during=stop")},
	}}
	p := Make(w.input(t))
	wantSteps(t, p, "walk volume a, volume b", "walk volume c", "stop c", "rewalk volume c", "resume c")
	wantLine(t, "warning", p.Warnings, `group "g"`, "no single point in time")
	wantLine(t, "warning", p.Warnings, `group "gg"`, "misspelt")
}

func TestSharedVolumeTakesTheStrictestWishes(t *testing.T) {
	w := world{name: "shop", services: []svc{
		{name: "a", mounts: []string{"data:/a"}, labels: l("during=pause", "on-error=warn", "exclude=*.tmp,/cache")},
		{name: "b", mounts: []string{"data:/b"}, labels: l("during=stop", "on-error=fail", "exclude=/cache")},
		{name: "c", mounts: []string{"data:/c"}, labels: l("enable=true", "on-error=warn", "exclude=/cache")},
	}, volumes: map[string]map[string]string{"data": l("exclude=/lock,/cache")}}
	p := Make(w.input(t))
	wantSteps(t, p, "walk volume data", "stop c", "stop b", "stop a", "rewalk volume data", "resume a", "resume b", "resume c")
	v := mustItem(t, p, "volume data").Volume
	if v.During != labels.Stop || v.OnError != labels.Fail || len(v.Exclude) != 2 || v.Exclude[0] != "/cache" || v.Exclude[1] != "/lock" {
		t.Errorf("got %+v", v)
	}
	wantLine(t, "warning", p.Warnings, `volume data`, "exclude different files")
}

func TestCompanionsAreStoppedWithTheService(t *testing.T) {
	w := world{name: "shop", services: []svc{
		{name: "vpn", mounts: []string{"conf:/conf"}, labels: l("during=stop")},
		{name: "torrent", network: "container:id-vpn", deps: []string{"vpn"}},
		{name: "proxy", deps: []string{"torrent!"}},
		{name: "other", deps: []string{"vpn"}},
		{name: "idle", state: compose.StateExited, deps: []string{"vpn!"}},
	}}
	p := Make(w.input(t))
	wantSteps(t, p, "walk volume conf", "stop proxy", "stop torrent", "stop vpn", "rewalk volume conf", "resume vpn", "resume torrent", "resume proxy")
	w.services[0].labels = l("during=pause")
	wantSteps(t, Make(w.input(t)), "walk volume conf", "pause vpn", "rewalk volume conf", "resume vpn")
}

func TestOnlyWhatIsUpGoesDown(t *testing.T) {
	for state, want := range map[string][]string{
		compose.StateExited:     {"walk volume data"},
		compose.StateCreated:    {"walk volume data"},
		compose.StatePaused:     {"walk volume data"},
		compose.StateRunning:    {"walk volume data", "pause app", "rewalk volume data", "resume app"},
		compose.StateRestarting: {"walk volume data", "stop app", "rewalk volume data", "resume app"}, // it cannot be paused
	} {
		w := world{name: "shop", services: []svc{{name: "app", state: state, mounts: []string{"data:/d"}, labels: l("during=pause")}}}
		t.Run(state, func(t *testing.T) { wantSteps(t, Make(w.input(t)), want...) })
	}
}

func TestHooksRunAroundTheirItemsOnly(t *testing.T) {
	hooks := func(more ...string) map[string]string { return l(append(more, "pre=lock", "post=unlock")...) }
	t.Run("around dumps and volumes", func(t *testing.T) {
		w := world{name: "shop", services: []svc{
			{name: "db", mounts: []string{"pg:/var/lib/postgresql/data", "wal:/wal"}, labels: hooks("dump=pg_dump", "dump.databases=shop", "during=stop")},
			{name: "app", mounts: []string{"a:/a"}, labels: hooks("enable=true")},
		}}
		wantSteps(t, Make(w.input(t)), "pre db", "dump db (globals)", "dump db/shop",
			"pre app", "walk volume a", "post app", "walk volume wal", "stop db", "rewalk volume wal", "resume db", "post db")
	})
	t.Run("none where every item is left out or broken", func(t *testing.T) {
		w := world{name: "shop", services: []svc{
			{name: "app", mounts: []string{"a:/a"}, labels: l("enable=true")},
			{name: "skipped", mounts: []string{"b:/b"}, labels: hooks()},
			{name: "gone", mounts: []string{"c:/c"}, labels: hooks()},
		}, gone: []string{"shop_c"}}
		in := w.input(t)
		in.Select = []string{"app", "gone"}
		wantSteps(t, Make(in), "walk volume a")
	})
	t.Run("none in a service that does not run", func(t *testing.T) {
		w := world{name: "shop", services: []svc{{name: "app", state: compose.StateExited, mounts: []string{"a:/a"}, labels: hooks()}}}
		p := Make(w.input(t))
		wantSteps(t, p, "walk volume a")
		wantLine(t, "warning", p.Warnings, `service "app" does not run`, "ripplebak.pre")
	})
}

// TestCopiesOfAGroupAreMadeBefore: their service is one of the group like any
// other, and their volume is read without them.
// A service that has nothing to save, and goes down with its group, is prepared for
// that as well.
func TestHooksRunAroundGoingDownWithAGroup(t *testing.T) {
	w := world{name: "shop", services: []svc{
		{name: "app", mounts: []string{"files:/files"}, labels: l("group=g", "during=stop")},
		{name: "worker", labels: l("group=g", "pre=drain", "post=fill")},
		{name: "other", labels: l("enable=true", "pre=never")},
	}}
	wantSteps(t, Make(w.input(t)), "pre worker", "walk volume files", "stop worker", "stop app", "rewalk volume files", "resume app", "resume worker", "post worker")
}

func TestCopiesOfAGroupAreMadeBefore(t *testing.T) {
	w := world{name: "shop", services: []svc{
		{name: "app", mounts: []string{"data:/data"}, labels: l("group=g", "during=stop", "dump=sqlite", "dump.path=/data/app.db")},
		{name: "files", mounts: []string{"files:/files"}, labels: l("group=g", "enable=true")},
	}}
	in := w.input(t)
	in.Probes["app"] = Probe{Container: "id-app", Facts: dump.Facts{Engine: "sqlite", SQLite: &dump.SQLiteFacts{
		Files: []dump.SQLiteFile{{Name: "data/app.db", Volume: "data", Path: "app.db"}},
	}}}
	wantSteps(t, Make(in), "dump app/data/app.db", "walk volume data, volume files", "stop files", "stop app", "rewalk volume data, volume files", "resume app", "resume files")
}

// TestDumpsOfAGroupAreMadeWhileItsOthersAreDown, and what is dumped is up.
func TestDumpsOfAGroupAreMadeWhileItsOthersAreDown(t *testing.T) {
	db := svc{name: "db", image: "postgres:17", mounts: []string{"pg:/var/lib/postgresql/data"}, labels: l("group=g", "dump=pg_dump", "dump.databases=shop")}
	t.Run("without any volume", func(t *testing.T) {
		w := world{name: "shop", services: []svc{db, {name: "app", deps: []string{"db"}, labels: l("group=g", "during=pause", "enable=true")}}}
		wantSteps(t, Make(w.input(t)), "pause app", "dump db (globals)", "dump db/shop", "resume app")
	})
	t.Run("and goes down after its dump where it has to", func(t *testing.T) {
		wal := db
		wal.mounts, wal.deps = append(wal.mounts, "wal:/wal"), []string{"setup"}
		w := world{name: "shop", services: []svc{
			{name: "setup", mounts: []string{"conf:/conf"}, labels: l("group=g", "enable=true")},
			wal,
			{name: "app", deps: []string{"db"}, mounts: []string{"files:/files"}, labels: l("group=g", "during=stop")},
		}}
		wantSteps(t, Make(w.input(t)), "walk volume conf, volume files, volume wal", "stop app", "dump db (globals)", "dump db/shop",
			"stop db", "stop setup", "rewalk volume conf, volume files, volume wal", "resume setup", "resume db", "resume app")
	})
	t.Run("commands run around the window", func(t *testing.T) {
		hooked := db
		hooked.labels = l("group=g", "dump=pg_dump", "dump.databases=shop", "pre=lock", "post=unlock")
		w := world{name: "shop", services: []svc{hooked, {name: "app", mounts: []string{"files:/files"}, labels: l("group=g", "during=stop", "pre=a", "post=b")}}}
		wantSteps(t, Make(w.input(t)), "pre app", "pre db", "walk volume files", "stop app", "dump db (globals)", "dump db/shop",
			"rewalk volume files", "resume app", "post app", "post db")
	})
	t.Run("before everything where nobody has to be down", func(t *testing.T) {
		w := world{name: "shop", services: []svc{db, {name: "app", mounts: []string{"files:/files"}, labels: l("group=g", "enable=true")}}}
		wantSteps(t, Make(w.input(t)), "dump db (globals)", "dump db/shop", "walk volume files")
		w.services[1].labels, w.services[1].state = l("group=g", "during=stop"), compose.StateExited
		wantSteps(t, Make(w.input(t)), "dump db (globals)", "dump db/shop", "walk volume files")
	})
	t.Run("not those of other groups", func(t *testing.T) {
		other := svc{name: "other", image: "postgres:17", labels: l("group=h", "dump=pg_dump", "dump.databases=blog")}
		w := world{name: "shop", services: []svc{db, other, {name: "app", labels: l("group=g", "during=stop")}, {name: "live", labels: l("group=h", "enable=true")}}}
		wantSteps(t, Make(w.input(t)), "dump other (globals)", "dump other/blog", "stop app", "dump db (globals)", "dump db/shop", "resume app")
	})
}

func TestCommandsOfTheRun(t *testing.T) {
	w := world{name: "shop", services: []svc{
		{name: "app", mounts: []string{"a:/a"}, labels: l("during=stop", "pre=lock")},
		{name: "mail", state: compose.StateExited},
	}}
	in := w.input(t)
	in.Pre, in.Post = Hook{"app", "artisan down"}, Hook{"mail", "tell"}
	p := Make(in)
	wantSteps(t, p, "pre-run app: artisan down", "pre app", "walk volume a", "stop app", "rewalk volume a", "resume app", "post-run mail: tell")
	wantLine(t, "warning", p.Warnings, `RIPPLEBAK_POST: service "mail" does not run`, "it would not be run")
	if last := p.Operations[len(p.Operations)-1]; last.Do != PostRun || last.Cause != "setting RIPPLEBAK_POST" {
		t.Errorf("the last operation is %+v", last)
	}
	in.Pre = Hook{"ap", "artisan down"}
	wantLine(t, "problem", Make(in).Problems, `RIPPLEBAK_PRE: project "shop" has no service "ap"`, "app, mail")
}
