package plan

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/dump"
)

// recognised is the plan's input after the images were looked at, with
// databases that answer.
func (w world) recognised(t *testing.T, auto bool) Input {
	t.Helper()
	in := w.input(t)
	in.Specs = Recognise(in.Project, in.Specs, auto)
	for _, s := range in.Project.Services {
		if d := in.Specs[s.Name].Dump; d != nil {
			probe := answer(s)
			probe.Facts.Engine = d.Engine
			if d.Engine == "redis" {
				probe.Facts.DataDirs, probe.Facts.Redis = []string{"/data"}, &dump.RedisFacts{}
			}
			in.Probes[s.Name] = probe
		}
	}
	return in
}

func TestEnginesAreRecognisedByTheLastElementAlone(t *testing.T) {
	for image, want := range map[string]string{
		"postgres": "pg_dump", "docker.io/library/Postgres:17-alpine": "pg_dump", "localhost:5000/x/postgresql@sha256:00": "pg_dump",
		"timescale/timescaledb:2.17-pg17": "pg_dump", "postgis/postgis": "pg_dump", "pgvector/pgvector:pg17@sha256:00": "pg_dump",
		"lscr.io/linuxserver/mariadb:10": "mariadb-dump", "percona": "mysqldump", "valkey/valkey:8": "redis",
		"my/postgres-exporter": "", "postgres/exporter:1": "", "postgres.example/app": "", "postgres:5000/web": "", "redis/redis-stack-server": "", "bitnami/redis-cluster": "",
		"mypostgres": "", "mongo": "", "etcd": "", "sha256:00aa": "", "": "", "/": "",
	} {
		if db, _ := engineOf(image); db.engine != want {
			t.Errorf("%q is dumped by %q, want %q", image, db.engine, want)
		}
	}
	for _, k := range servers() {
		if _, ok := dump.Lookup(k.engine); k.engine != "" && !ok || (k.engine == "") != (k.images == nil) {
			t.Errorf("%s: engine %q, images %q", k.name, k.engine, k.images)
		}
		for _, image := range k.images {
			if hint, _ := databaseOf(compose.Service{Image: image}); hint.name != k.name {
				t.Errorf("%s is dumped as %s and looks like %q", image, k.name, hint.name)
			}
		}
	}
}

func TestEnabledDatabaseIsDumpedByItsImage(t *testing.T) {
	w := world{name: "shop", services: []svc{{name: "db", image: "registry/x/postgres:17", mounts: []string{"pg:/var/lib/postgresql/data", "conf:/conf"}, labels: l("enable=true")}}}
	p := Make(w.recognised(t, false))
	wantSteps(t, p, "dump db (globals)", "dump db/shop", "dump db/blog", "walk volume conf")
	wantNone(t, "warnings", p.Warnings)
	it := mustItem(t, p, "dump db/shop")
	if it.Cause != `ripplebak.enable: "true", and image registry/x/postgres:17 is PostgreSQL; ripplebak.dump: none refuses the dump` {
		t.Error(it.Cause)
	}
	for _, labels := range []string{"during=stop", "enable=false"} { // not asked for, refused
		w.services[0].labels = l(labels)
		for _, it := range Make(w.recognised(t, false)).Items {
			if it.Dump != nil {
				t.Errorf("%s: %s", labels, it.Key)
			}
		}
	}
	w.services[0].labels = l("enable=true", "dump=none")
	p = Make(w.recognised(t, false))
	wantSteps(t, p, "walk volume conf, volume pg")
	wantLine(t, "warning", p.Warnings, "volume pg", "looks like PostgreSQL", "put ripplebak.during: stop")
}

func TestRecognisedDumpThatCannotBeIsNotMade(t *testing.T) {
	w := world{name: "shop", services: []svc{{name: "db", image: "postgres", mounts: []string{"pg:/var/lib/postgresql/data"}, labels: l("enable=true")}}}
	in := w.recognised(t, false)
	in.Probes["db"] = Probe{Container: "id-db", Missing: "psql is not in the container", Err: errors.New("exit 127")}
	p := Make(in)
	wantSteps(t, p, "walk volume pg")
	wantLine(t, "warning", p.Warnings, `service "db"`, "not dumped", "image postgres", "psql is not in the container")
	if in.Specs["db"].Dump == nil {
		t.Error("the input was changed")
	}
	// A database that does not answer is no reason to be content with less.
	in.Probes["db"] = Probe{Container: "id-db", Err: errors.New("refused"), DataDirs: []string{"/var/lib/postgresql/data"}}
	p = Make(in)
	if it := mustItem(t, p, "dump db/all"); it.Broken != "refused" || len(p.Items) != 1 {
		t.Errorf("%+v", p.Items)
	}
	// What a label says stays a problem.
	w.services[0].labels = l("enable=true", "dump=pg_dump")
	in = w.recognised(t, false)
	in.Probes["db"] = Probe{Container: "id-db", Missing: "psql is not in the container"}
	wantLine(t, "problem", Make(in).Problems, "psql is not in the container")
}

func TestRedisWithoutAVolumeIsNotDumpedByItsImage(t *testing.T) {
	for mount, want := range map[string]bool{"r:/data": true, "anon:/data": false, "bind:/data": false, "conf:/etc/redis": false} {
		w := world{name: "shop", services: []svc{
			{name: "cache", image: "redis:7", mounts: []string{mount}, labels: l("enable=true")},
			{name: "app", mounts: []string{"a:/a"}, labels: l("enable=true")},
		}}
		p := Make(w.recognised(t, false))
		if ok := len(p.Items) > 0 && p.Items[0].Dump != nil; ok != want {
			t.Errorf("%s: %q, warnings %q", mount, keysOf(p), p.Warnings)
		}
		if !want {
			wantLine(t, "warning", p.Warnings, `service "cache"`, "on no named volume")
		}
	}
}

func TestAutoSavesAllThatDoesNotRefuse(t *testing.T) {
	w := world{name: "shop", services: []svc{
		{name: "db", image: "postgres:17", mounts: []string{"pg:/var/lib/postgresql/data"}},
		{name: "app", mounts: []string{"up:/up", "tmp:/tmp"}},
		{name: "cold", image: "postgres:12", mounts: []string{"old:/var/lib/postgresql/data"}, labels: l("during=stop", "dump=none")},
		{name: "off", image: "redis", mounts: []string{"r:/data"}, labels: l("enable=false")},
		{name: "baked", mounts: []string{"b:/b"}, imageLabels: map[string]string{"ripplebak.enable": "false"}},
		{name: "bound", mounts: []string{"bind:/srv"}},
		{name: "web"},
	}, volumes: map[string]map[string]string{"tmp": l("enable=false")}}
	p := Make(w.recognised(t, true))
	wantNone(t, "problems", p.Problems)
	if got := fmt.Sprint(keysOf(p)); got != "[dump db (globals) dump db/shop dump db/blog volume b volume old volume up]" {
		t.Error(got)
	}
	if len(p.Unlabelled) != 0 {
		t.Errorf("%+v", p.Unlabelled)
	}
	for key, cause := range map[string]string{"dump db/shop": "RIPPLEBAK_AUTO, and image postgres:17 is PostgreSQL", "volume up": "RIPPLEBAK_AUTO: mounted by app", "volume old": "mounted by cold"} {
		if it := mustItem(t, p, key); !strings.HasPrefix(it.Cause, cause) {
			t.Errorf("%s: %s", key, it.Cause)
		}
	}
	wantLine(t, "warning", p.Warnings, `service "bound"`, "nothing of it is saved", "/srv")
	for _, warning := range p.Warnings {
		if strings.Contains(warning, `"web"`) {
			t.Error(warning)
		}
	}
	if p := Make(w.recognised(t, false)); len(p.Items) != 1 {
		t.Errorf("without RIPPLEBAK_AUTO: %q", keysOf(p))
	}
}
