package plan

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/labels"
)

func TestF17_EachVolumeIsSavedOnceUnderItsComposeName(t *testing.T) {
	w := world{name: "shop", services: []svc{
		{name: "stopped", state: compose.StateExited, mounts: []string{"a:/a"}, labels: l("enable=true")},
		{name: "one", mounts: []string{"b:/b", "b:/again"}, labels: l("enable=true")},
		{name: "two", mounts: []string{"b:/b:ro", "=nfs:/nfs", "=oddly-named:/odd"}, labels: l("enable=true")},
		{name: "reader", mounts: []string{"c:/c:ro"}, labels: l("enable=true")},
		{name: "lost", mounts: []string{"gone:/gone"}, labels: l("enable=true")},
	},
		volumes:  map[string]map[string]string{"nobodys": l("enable=true"), "unasked": nil},
		external: []string{"nfs", "oddly-named"}, gone: []string{"shop_gone"},
	}
	p := Make(w.input(t))
	wantNone(t, "problems", p.Problems)
	// A volume that does not exist was never inspected: only its name is known.
	want := []string{"volume a", "volume b", "volume c", "volume gone", "volume nfs", "volume nobodys", "volume oddly-named"}
	if got := keysOf(p); !slices.Equal(got, want) {
		t.Fatalf("items %q, want %q", got, want)
	}
	if b := mustItem(t, p, "volume b").Volume; b.Docker != "shop_b" || !slices.Equal(b.Owners, []string{"one", "two"}) || !slices.Equal(b.UsedBy, []string{"one", "two"}) {
		t.Errorf("volume of two: %+v", b)
	}
	if !mustItem(t, p, "volume nfs").Volume.Volume.External {
		t.Error("the external volume is not known for one")
	}
	gone := mustItem(t, p, "volume gone")
	if !strings.Contains(gone.Broken, "shop_gone does not exist") {
		t.Errorf("the volume that does not exist: %q", gone.Broken)
	}
	for _, op := range p.Operations {
		if slices.Contains(op.Items, "volume gone") {
			t.Errorf("%q would make Docker create the volume", op)
		}
	}
	if n := p.Unlabelled; len(n) != 1 || n[0].Service != "" || !slices.Equal(n[0].Holds, []string{"volume unasked"}) {
		t.Errorf("unlabelled: %+v", n)
	}
}

func TestF31_ProjectsOfSimilarNamesDoNotMix(t *testing.T) {
	w := world{name: "app", services: []svc{{name: "s", mounts: []string{"x:/x"}, labels: l("enable=true")}}}
	other := world{name: "app2"}
	w.others = []compose.Container{other.container(svc{name: "s", mounts: []string{"x:/x", "y:/y"}, labels: l("enable=true", "during=stop")})}
	p := Make(w.input(t))
	wantSteps(t, p, "walk volume x")
	if d := mustItem(t, p, "volume x").Volume.Docker; d != "app_x" {
		t.Errorf("volume %s", d)
	}
	if deviceID("app", "2x") == deviceID("app2", "x") {
		t.Error("volumes of two projects have one device")
	}
}

func TestF45_LabelsOfOthersAndOfImagesAreIgnoredAndReported(t *testing.T) {
	w := world{name: "shop", services: []svc{
		{name: "baked", mounts: []string{"b:/b"}, imageLabels: map[string]string{"ripplebak.enable": "true", "ripplebak.pre": "rm -rf /"}},
		{name: "app", mounts: []string{"a:/a"}, labels: l("enable=true")},
	}}
	w.others = []compose.Container{world{name: "evil"}.container(svc{name: "db", labels: l("dump=pg_dump", "pre=x")})}
	p := Make(w.input(t))
	wantSteps(t, p, "walk volume a")
	wantLine(t, "warning", p.Warnings, "service baked", "ripplebak.pre", "is ignored")
	wantLine(t, "warning", p.Warnings, "evil-db-1", "ignored")
	if len(p.Unlabelled) != 1 || p.Unlabelled[0].Service != "baked" {
		t.Errorf("unlabelled: %+v", p.Unlabelled)
	}
}

func TestF47_RefusedLabelsAreProblemsAllAtOnce(t *testing.T) {
	w := world{name: "shop", services: []svc{
		{name: "a", mounts: []string{"a:/a"}, labels: l("password=x", "privileged=true")},
		{name: "b", mounts: []string{"b:/b"}, labels: l("binds=/etc", "volumes=nope")},
		{name: "c", mounts: []string{"c:/c"}, labels: l("during=halt")},
	}, volumes: map[string]map[string]string{"c": l("during=stop")}}
	p := Make(w.input(t))
	for _, part := range []string{"ripplebak.password", "ripplebak.privileged", "ripplebak.binds", `"nope"`, `"halt"`, "volume c"} {
		wantLine(t, "problem", p.Problems, part)
	}
	var b strings.Builder
	if err := p.Print(&b); err != nil || strings.Contains(b.String(), "in this order") || !strings.Contains(b.String(), "nothing runs until") {
		t.Errorf("printed (%v):\n%s", err, b.String())
	}
}

func pgWorld(more ...string) world {
	return world{name: "shop", services: []svc{{
		name: "db", image: "registry.example:5000/postgres:17@sha256:00", labels: l(append(more, "dump=pg_dump")...),
		mounts: []string{"pg:/var/lib/postgresql/data", "ts:/ts", "etc:/etc/postgresql", "anon:/var/lib/postgresql"},
	}}}
}

func TestDumpsAreOneItemPerDatabaseAndTheRoles(t *testing.T) {
	w := pgWorld()
	in := w.input(t)
	probe := in.Probes["db"]
	probe.Facts = facts("postgres", "shop", "template0", "template1")
	probe.Facts.Databases[0].AllowConn = false
	probe.Facts.DataDirs = []string{"/var/lib/postgresql/data/pgdata", "/ts/PG_17"}
	in.Probes["db"] = probe
	p := Make(in)
	wantSteps(t, p, "dump db (globals)", "dump db/shop", "walk volume etc")
	d := mustItem(t, p, "dump db/shop").Dump
	if d.Container != "id-db" || !slices.Equal(d.DataVolumes, []string{"pg", "ts"}) || len(d.Files) != 2 || !strings.HasPrefix(d.Commands[0], "pg_dump --format=custom") {
		t.Errorf("got %+v", d)
	}
	wantLine(t, "warning", p.Warnings, `service "db"`, "not dumped", "postgres")
	// The anonymous volume of the image has nothing of the database: say so.
	wantLine(t, "warning", p.Warnings, "/var/lib/postgresql has no name")
}

func TestDatabaseThatCannotBeAskedBreaksItsOwnItems(t *testing.T) {
	w := pgWorld()
	w.services = append(w.services, svc{name: "app", mounts: []string{"files:/f"}, labels: l("enable=true")})
	w.services[0].state = compose.StateExited
	p := Make(w.input(t))
	// By environment and image, its own files stay out all the same.
	wantSteps(t, p, "walk volume etc, volume ts", "walk volume files")
	if it := mustItem(t, p, "dump db/all"); !strings.Contains(it.Broken, "is not running") {
		t.Errorf("broken: %q", it.Broken)
	}
	w.services[0].labels = l("dump=pg_dump", "dump.databases=shop,blog", "volumes=none")
	p = Make(w.input(t))
	if got := keysOf(p); !slices.Equal(got, []string{"dump db/shop", "dump db/blog", "volume files"}) {
		t.Errorf("items %q", got)
	}
}

func TestDatabaseThatIsNotThereBreaksNoOther(t *testing.T) {
	p := Make(pgWorld("dump.databases=shop,shpo", "volumes=none").input(t))
	wantSteps(t, p, "dump db (globals)", "dump db/shop")
	if it := mustItem(t, p, "dump db/shpo"); !strings.HasPrefix(it.Broken, `there is no database "shpo"`) {
		t.Errorf("broken: %q", it.Broken)
	}
}

func TestMissingClientIsAProblem(t *testing.T) {
	in := pgWorld().input(t)
	in.Probes["db"] = Probe{Container: "id-db", Missing: "the client is not in the container", Err: errors.New("exit 127")}
	p := Make(in)
	wantLine(t, "problem", p.Problems, `service "db"`, "ripplebak.dump", "client is not in the container")
}

func TestSurroundings(t *testing.T) {
	w := world{name: "shop", services: []svc{{name: "app", mounts: []string{"a:/a"}, labels: l("during=stop")}}}
	in := w.input(t)
	in.HasState, in.HasSocket = false, false
	p := Make(in)
	wantLine(t, "problem", p.Problems, "nothing is ever stopped without", "\n    volumes:\n      - ripplebak:/var/lib/ripplebak")
	wantLine(t, "problem", p.Problems, "\n    volumes:\n      - ripplebak-run:/run/ripplebak")

	w.services[0].labels = l("enable=true")
	in = w.input(t)
	in.HasState = false
	in.LocalRepository = "/backups"
	in.ForeignWriters = map[string][]string{"shop_a": {"container spy"}}
	p = Make(in)
	wantSteps(t, p, "walk volume a")
	wantLine(t, "warning", p.Warnings, "/backups is on the same machine")
	if v := mustItem(t, p, "volume a").Volume; !strings.Contains(v.Inconsistent, "container spy") {
		t.Errorf("a foreign writer leaves the item %+v", v)
	}
}

func TestNothingToSaveIsAProblem(t *testing.T) {
	w := world{name: "shop", services: []svc{{name: "app", mounts: []string{"a:/a"}}}}
	wantLine(t, "problem", Make(w.input(t)).Problems, "nothing to save")
	w.services[0] = svc{name: "app", mounts: []string{"bind:/data", "bind:/conf:ro"}, labels: l("enable=true")}
	p := Make(w.input(t))
	wantLine(t, "problem", p.Problems, "nothing to save")
	wantLine(t, "warning", p.Warnings, `service "app" is labelled, and nothing of it is saved`, "(/data) are saved only with ripplebak.binds")
}

func TestSelection(t *testing.T) {
	w := world{name: "shop", services: []svc{
		{name: "a", mounts: []string{"x:/x", "s:/s"}, labels: l("enable=true")},
		{name: "b", mounts: []string{"y:/y", "s:/s"}, labels: l("during=stop")},
		{name: "none", labels: l("enable=true")},
		{name: "off", mounts: []string{"z:/z"}, labels: l("enable=false")},
		{name: "plain", mounts: []string{"z:/z"}},
	}}
	in := w.input(t)
	in.Select = []string{"a"}
	p := Make(in)
	wantSteps(t, p, "walk volume s", "stop b", "stop a", "rewalk volume s", "resume a", "resume b", "walk volume x")
	if it := mustItem(t, p, "volume y"); it.Skip == "" {
		t.Error("volume y is not left out")
	}
	in.Select = []string{"none", "off", "plain", "nope"}
	p = Make(in)
	wantLine(t, "problem", p.Problems, `"none" has nothing to save`)
	wantLine(t, "problem", p.Problems, `"off" is left out by its label`)
	wantLine(t, "problem", p.Problems, `"plain" is not labelled`)
	wantLine(t, "problem", p.Problems, `no service "nope"`)
}

func TestVolumesSayThemselves(t *testing.T) {
	w := world{name: "shop", services: []svc{
		{name: "a", mounts: []string{"x:/x", "y:/y", "z:/z"}, labels: l("volumes=none", "during=stop")},
		{name: "b", mounts: []string{"y:/y", "n:/n"}, labels: l("volumes=y,n")},
	}, volumes: map[string]map[string]string{"x": l("enable=true"), "y": l("enable=true"), "n": l("enable=false")}}
	p := Make(w.input(t))
	wantLine(t, "problem", p.Problems, `service "b"`, `names volume "n"`, `"false"`)
	if x := mustItem(t, p, "volume x"); x.Volume.During != labels.Stop || x.Cause != "label ripplebak.enable of the volume" {
		t.Errorf("got %+v", x)
	}
	if got := keysOf(p); !slices.Equal(got, []string{"volume x", "volume y"}) {
		t.Errorf("items %q", got)
	}
}

func TestAnonymousVolumes(t *testing.T) {
	w := world{name: "shop", services: []svc{{name: "a", mounts: []string{"anon:/data"}, labels: l("volumes=/data")}}}
	wantLine(t, "problem", Make(w.input(t)).Problems, "the volume at /data has no name")
	w.services[0].labels = l("enable=true")
	wantLine(t, "warning", Make(w.input(t)).Warnings, "the volume at /data has no name", "not saved")
	w.services[0] = svc{name: "db", image: "postgres", mounts: []string{"anon:/var/lib/postgresql/data"}, labels: l("dump=pg_dump")}
	wantNone(t, "warnings about the database's own files", Make(w.input(t)).Warnings)
}

func TestCopyUnderARunningDatabaseIsWarnedOf(t *testing.T) {
	w := pgWorld("volumes=pg")
	wantLine(t, "warning", Make(w.input(t)).Warnings, "volume pg", "may not start", "the dumps are what counts")
	w.services[0].labels = l("enable=true", "volumes=pg")
	wantLine(t, "warning", Make(w.input(t)).Warnings, "volume pg", "looks like PostgreSQL", "put ripplebak.dump: pg_dump")
	w.services[0].labels = l("during=stop", "volumes=pg")
	wantNone(t, "warnings", Make(w.input(t)).Warnings)
	w.services[0].labels, w.services[0].state = l("enable=true", "volumes=pg"), compose.StateExited
	wantNone(t, "warnings", Make(w.input(t)).Warnings)
}

func TestDatabasesAreKnownByTheirImages(t *testing.T) {
	for image, want := range map[string]string{
		"postgres": "PostgreSQL", "docker.io/library/postgres:17-alpine": "PostgreSQL", "localhost:5000/x/postgresql@sha256:00": "PostgreSQL",
		"ghcr.io/immich-app/postgres:16": "PostgreSQL", "timescale/timescaledb-ha:pg17": "PostgreSQL", "pgvector/pgvector:pg17": "PostgreSQL",
		"bitnami/postgresql-repmgr": "PostgreSQL", "lscr.io/linuxserver/mariadb": "MariaDB", "mysql/mysql-server:8": "MySQL", "mongo:7": "MongoDB",
		"redis/redis-stack-server": "Redis", "valkey/valkey:8": "Redis", "neo4j:5": "Neo4j",
		"postgrest/postgrest": "", "prometheuscommunity/postgres-exporter": "", "prodrigestivill/postgres-backup-local": "", "mongo-express": "",
		"redis/redisinsight": "", "dpage/pgadmin4": "", "edoburu/pgbouncer": "", "phpmyadmin": "", "sha256:00aa": "", "": "", "nginx": "",
	} {
		db, _ := databaseOf(compose.Service{Image: image})
		if db.name != want {
			t.Errorf("%q is %q, want %q", image, db.name, want)
		}
	}
	if db, ok := databaseOf(compose.Service{Image: "shop-db", EnvNames: []string{"PGDATA"}}); !ok || db.name != "PostgreSQL" {
		t.Error("an image built on postgres is not known by PGDATA")
	}
}

func TestUnlabelledServicesThatHoldData(t *testing.T) {
	w := world{name: "shop", services: []svc{
		{name: "app", mounts: []string{"a:/a"}, labels: l("enable=true")},
		{name: "helper", mounts: []string{"a:/a"}}, // its volume is saved already
		{name: "ro", mounts: []string{"b:/b:ro"}},  // it cannot hold what it cannot write
		{name: "pg", image: "example/postgres:17"}, // a database without a volume
		{name: "cache", image: "redis", mounts: []string{"r:/data"}},
		{name: "off", mounts: []string{"o:/o"}, labels: l("enable=false")},
		{name: "scratch", mounts: []string{"tmp:/tmp"}},
	}, volumes: map[string]map[string]string{"tmp": l("enable=false")}}
	got := Make(w.input(t)).Unlabelled
	want := []Unlabelled{
		{Service: "cache", Holds: []string{"a Redis database, by its image", "volume r"}, Advice: "ripplebak.dump: redis"},
		{Service: "pg", Holds: []string{"a PostgreSQL database, by its image"}, Advice: "ripplebak.dump: pg_dump"},
	}
	if !slices.EqualFunc(got, want, func(a, b Unlabelled) bool {
		return a.Service == b.Service && a.Advice == b.Advice && slices.Equal(a.Holds, b.Holds)
	}) {
		t.Errorf("got %+v", got)
	}
}

func TestCircleIsAProblem(t *testing.T) {
	w := world{name: "shop", services: []svc{
		{name: "a", deps: []string{"b"}, mounts: []string{"a:/a"}, labels: l("during=stop")},
		{name: "b", deps: []string{"a!"}},
	}}
	wantLine(t, "problem", Make(w.input(t)).Problems, "in a circle")
}

func TestPlanOfComposeFilesIsADraft(t *testing.T) {
	w := pgWorld("during=stop", "volumes=pg")
	in := w.input(t)
	s := &in.Project.Services[0]
	s.Containers = nil // as from a file
	in.Probes["db"] = Probe{Later: "which databases there are", DataDirs: []string{"/var/lib/postgresql/data"}}
	p := Make(in)
	wantSteps(t, p, "dump db/all", "walk volume pg", "stop db", "rewalk volume pg", "resume db")
	var b strings.Builder
	if err := p.Print(&b); err != nil || !p.Draft || strings.Contains(b.String(), "will fail") || !strings.Contains(b.String(), "not known yet: which databases there are") {
		t.Errorf("draft %v (%v):\n%s", p.Draft, err, b.String())
	}
}
