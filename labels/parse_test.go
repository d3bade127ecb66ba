package labels

import (
	"reflect"
	"strings"
	"testing"
)

// shop is a service with one of each kind of mount.
func shop(labels ...string) Source {
	src := Source{Service: "db", Labels: map[string]string{"com.example.other": "x"}, Mounts: []Mount{
		{Kind: KindVolume, Volume: "data", Target: "/var/lib/postgresql/data"},
		{Kind: KindVolume, Volume: "uploads", Target: "/uploads"},
		{Kind: KindVolume, Target: "/scratch"},
		{Kind: KindBind, Source: "/srv/conf", Target: "/etc/app"},
		{Kind: KindTmpfs, Target: "/tmp"},
	}}
	for i := 0; i+1 < len(labels); i += 2 {
		src.Labels["ripplebak."+labels[i]] = labels[i+1]
	}
	return src
}

func TestParseFillsInDefaults(t *testing.T) {
	base := Spec{Service: "db", Volumes: Selection{Mode: Default}, Binds: Selection{Mode: Default}, During: Live, OnError: Fail}
	with := func(change func(*Spec)) Spec {
		s := base
		s.Enabled, s.Labelled = true, true
		change(&s)
		return s
	}
	for _, c := range []struct {
		labels []string
		want   Spec
	}{
		{nil, base},
		{[]string{"enable", "true"}, with(func(s *Spec) { s.Asked = true })},
		{[]string{"enable", "true", "dump", "none"}, with(func(s *Spec) { s.Asked, s.NoDump = true, true })},
		{[]string{"enable", "false", "dump", "pg_dump"}, with(func(s *Spec) { s.Enabled, s.Dump = false, &Dump{Engine: "pg_dump"} })},
		{[]string{"dump", "pg_dump"}, with(func(s *Spec) { s.Dump = &Dump{Engine: "pg_dump"} })},
		{[]string{"dump", "pg_dump", "dump.databases", "all"}, with(func(s *Spec) { s.Dump = &Dump{Engine: "pg_dump"} })},
		{[]string{"dump", " pg_dump ", "dump.databases", "shop , my-db 1,shop,Ünïcode", "dump.user", "admin@x"}, with(func(s *Spec) {
			s.Dump = &Dump{Engine: "pg_dump", Databases: []string{"shop", "my-db 1", "Ünïcode"}, User: "admin@x"}
		})},
		{[]string{"dump", "pg_dump", "dump.exclude-table-data", `log.*, "Cache",sess?`}, with(func(s *Spec) {
			s.Dump = &Dump{Engine: "pg_dump", ExcludeTableData: []string{"log.*", `"Cache"`, "sess?"}}
		})},
		{[]string{"volumes", "all"}, with(func(s *Spec) { s.Volumes = Selection{Mode: All} })},
		{[]string{"volumes", "none", "binds", "none"}, with(func(s *Spec) { s.Volumes, s.Binds = Selection{Mode: None}, Selection{Mode: None} })},
		{[]string{"volumes", "uploads, /var/lib/postgresql/data/,/uploads,/scratch"}, with(func(s *Spec) {
			s.Volumes = Selection{Mode: Listed, Names: []string{"uploads", "data", "/scratch"}}
		})},
		{[]string{"exclude", `/cache,*.tmp, **/node_modules ,a\,b,{x\,y},[!a]z`}, with(func(s *Spec) {
			s.Exclude = []string{"/cache", "*.tmp", "**/node_modules", "a,b", "{x,y}", "[!a]z"}
		})},
		{[]string{"during", "stop", "on-error", "warn", "group", "shop.1_a-b"}, with(func(s *Spec) { s.During, s.OnError, s.Group = Stop, Warn, "shop.1_a-b" })},
		{[]string{"enable", "true", "schedule", " 0  2 * * * "}, with(func(s *Spec) { s.Asked, s.Schedule = true, "0 2 * * *" })},
		{[]string{"during", "pause"}, with(func(s *Spec) { s.During = Pause })},
		{[]string{"pre", "sync\n\techo \"$X\"\n", "post", "rm -f /lock"}, with(func(s *Spec) { s.Pre, s.Post = "sync\n\techo \"$X\"", "rm -f /lock" })},
	} {
		got, problems := Parse(shop(c.labels...))
		if len(problems) != 0 || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q:\n got %+v %v\nwant %+v", c.labels, got, problems, c.want)
		}
	}
}

// message parses labels that have exactly one problem.
func message(t *testing.T, labels ...string) string {
	t.Helper()
	_, problems := Parse(shop(labels...))
	if len(problems) != 1 {
		t.Errorf("%q: %d problems: %v", labels, len(problems), problems)
		return ""
	}
	return problems[0].Error()
}

func TestProblemsNameTheNearest(t *testing.T) {
	for _, c := range []struct{ label, value, want string }{
		{"enable", "yes", `service db: label ripplebak.enable: "yes" is not one of true, false; did you mean "true"?`},
		{"enable", "off", `service db: label ripplebak.enable: "off" is not one of true, false; did you mean "false"?`},
		{"enable", "True", `service db: label ripplebak.enable: "True" is in the wrong case; did you mean "true"?`},
		{"enable", "", `service db: label ripplebak.enable: is empty; give it a value or remove it`},
		{"dump", "postgres", `"postgres" is not one of pg_dump, mariadb-dump, mysqldump, mongodump, redis, etcd, influxdb, sqlite, slapd, neo4j, command, none; did you mean "pg_dump"?`},
		{"dump", "pgdump", `did you mean "pg_dump"?`},
		{"dump", "PG_DUMP", `"PG_DUMP" is in the wrong case; did you mean "pg_dump"?`},
		{"dump", "mysql", `did you mean "mysqldump"?`},
		{"dump", "oracle", `neo4j, command`},
		{"during", "stopp", `service db: label ripplebak.during: "stopp" is not one of live, pause, stop; did you mean "stop"?`},
		{"on-error", "ignore", `"ignore" is not one of fail, warn`},
		{"group", "a b", `"a b" is not a group name`},
		{"group", strings.Repeat("g", 64), "is longer than 63 bytes"},
		{"volumes", "uplods", `service db: label ripplebak.volumes: "uplods" is not mounted by the service, which mounts /scratch, /uploads, /var/lib/postgresql/data, data, uploads; did you mean "uploads"?`},
		{"volumes", "shop_data", `did you mean "data"?`},
		{"volumes", "/upload", `did you mean "/uploads"?`},
		{"volumes", "/etc/app", `"/etc/app" is a bind mount, not a volume; bind mounts are for ripplebak.binds`},
		{"volumes", "/tmp", `"/tmp" is a tmpfs mount, which holds nothing to save`},
		{"volumes", "ALL", `"ALL" stands alone and in lower case; did you mean "all"?`},
		{"volumes", "data,,uploads", "has an empty item in its list"},
		{"volumes", strings.Repeat("data,", 300), "lists more than 256 items"},
		{"binds", "/srv/conf", `service db: label ripplebak.binds: "/srv/conf" is a path on the host; a bind mount is named by its path in the container; did you mean "/etc/app"?`},
		{"binds", "uploads", `"uploads" is a volume, not a bind mount; volumes are for ripplebak.volumes`},
		{"binds", "/etc/ap", `did you mean "/etc/app"?`},
		{"exclude", "!keep", `"!keep" is negated, which patterns cannot be`},
		{"exclude", "cache/", `"cache/" ends with a slash and never matches`},
		{"exclude", "[a", `"[a" is not a pattern: a [ or { is not closed (a comma in braces is written \,) or a \ stands at the end`},
		{"exclude", "/**", `"/**" leaves everything out; ripplebak.volumes chooses whole volumes`},
		{"exclude", "*.{jpg", `a comma in braces is written \,`},
		{"exclude", strings.Repeat(`{a\,b}`, 7), "has more than 64 alternatives"},
		{"exclude", "../x", `"../x" has a path element that is empty, . or .. and never matches`},
		{"exclude", strings.Repeat("a*", 40), "has more than 32 wildcards"},
		{"dump.databases", "shop", `service db: label ripplebak.dump.databases: needs ripplebak.dump beside it`},
		{"dump.databases", "all", `needs ripplebak.dump beside it`},
		{"dump.exclude-table-data", "log.*", `needs ripplebak.dump beside it`},
		{"dump.exclude-table-data", "-a", `begins with a dash`},
		{"dump.exclude-table-data", "a;b", `has a character that stands in no pattern of tables`},
	} {
		if got := message(t, c.label, c.value); !strings.Contains(got, c.want) {
			t.Errorf("%s=%.40q:\n got %s\nwant %s", c.label, c.value, got, c.want)
		}
	}
}

func TestUnknownLabels(t *testing.T) {
	for label, want := range map[string]string{
		"ripplebak.dmup":           `service db: label ripplebak.dmup: is not a label that ripplebak knows; did you mean "ripplebak.dump"?`,
		"ripplebak.Dump":           `service db: label ripplebak.Dump: is in the wrong case; did you mean "ripplebak.dump"?`,
		"RIPPLEBAK.ENABLE":         `is in the wrong case; did you mean "ripplebak.enable"?`,
		"ripplebak.on_error":       `did you mean "ripplebak.on-error"?`,
		"ripplebak.dump.database":  `did you mean "ripplebak.dump.databases"?`,
		"ripplebak.user":           `did you mean "ripplebak.dump.user"?`,
		"ripplebak.cron":           `did you mean "ripplebak.schedule"?`,
		"ripplebak.volume":         `did you mean "ripplebak.volumes"?`,
		"ripplebak.foo":            `is not a label that ripplebak knows`,
		"ripplebak":                `did you mean "ripplebak.enable"?`,
		"ripplebak.":               `did you mean "ripplebak.enable"?`,
		"ripplebak-dump":           `did you mean "ripplebak.dump"?`,
		"ripplebak_dump.databases": `did you mean "ripplebak.dump.databases"?`,
		"riplebak.dump":            `label riplebak.dump: is not a label that ripplebak knows; did you mean "ripplebak.dump"?`,
		"rippleback.during":        `did you mean "ripplebak.during"?`,
		"ripplebak.dump.":          `did you mean "ripplebak.dump"?`,
		"ripplebak.\ndump":         `label "ripplebak.\ndump": is not`,
	} {
		_, problems := Parse(Source{Service: "db", Labels: map[string]string{label: "sesame"}})
		if len(problems) != 1 || !strings.Contains(problems[0].Error(), want) || strings.Contains(problems[0].Error(), "sesame") {
			t.Errorf("%s: %v", label, problems)
		}
	}
	if got := message(t, "foo", "x"); strings.Contains(got, "did you mean") {
		t.Errorf("nothing is near: %s", got)
	}
	for _, label := range []string{"ripple.dump", "com.ripplebak.dump", "ripplebaked", "io.ripplebak.sidecar", "traefik.enable", ""} {
		if Ours(label) {
			t.Errorf("%q is not ours", label)
		}
	}
}

func TestAllProblemsAtOnceAndInOrder(t *testing.T) {
	src := shop("during", "halt", "enable", "1", "dump", "oracle", "dump.user", "-x", "volumes", "nix,data,nox", "password", "p", "zzz", "")
	_, first := Parse(src)
	var got []string
	for _, p := range first {
		got = append(got, p.Label)
	}
	want := "ripplebak.dump ripplebak.dump.user ripplebak.during ripplebak.enable ripplebak.password ripplebak.volumes ripplebak.volumes ripplebak.zzz"
	if strings.Join(got, " ") != want {
		t.Errorf("got %s", strings.Join(got, " "))
	}
	if _, again := Parse(src); !reflect.DeepEqual(first, again) {
		t.Error("not the same twice")
	}
}

func TestEngineAndItsLabels(t *testing.T) {
	if got := message(t, "dump", "pg_dump", "dump.path", "relative"); !strings.Contains(got, `"relative" is not an absolute path`) {
		t.Error(got)
	}
	for name, engine := range map[string]string{"dump.databases": "sqlite", "dump.path": "pg_dump", "dump.command": "redis", "restore.command": "pg_dump", "dump.user": "neo4j"} {
		if takes(engine, name) != no {
			t.Errorf("%s takes %s", engine, name)
		}
	}
	for _, e := range engines() {
		if meant := engineMeant(e); meant != "" {
			t.Errorf("%s is an engine and means %s", e, meant)
		}
	}
	p := &parser{seen: map[string]bool{"dump": true}, keys: serviceKeys()}
	p.spec.Dump = &Dump{Engine: "command"}
	p.together()
	if len(p.problems) != 1 || p.problems[0].Error() != `service : label ripplebak.dump: command needs ripplebak.dump.command beside it` {
		t.Errorf("%v", p.problems)
	}
	p = &parser{seen: map[string]bool{"dump": true, "dump.path": true}, keys: serviceKeys()}
	p.spec.Dump = &Dump{Engine: "pg_dump"}
	p.together()
	if len(p.problems) != 1 || !strings.Contains(p.problems[0].Error(), "does not go with ripplebak.dump pg_dump") {
		t.Errorf("%v", p.problems)
	}
}

func TestParseVolume(t *testing.T) {
	spec, problems := ParseVolume("data", map[string]string{"ripplebak.enable": "false", "ripplebak.exclude": "/tmp,*.log", "com.docker.compose.volume": "data"})
	if len(problems) != 0 || spec.Enabled == nil || *spec.Enabled || !reflect.DeepEqual(spec.Exclude, []string{"/tmp", "*.log"}) {
		t.Errorf("%+v %v", spec, problems)
	}
	if spec, problems := ParseVolume("data", nil); spec.Enabled != nil || spec.Exclude != nil || problems != nil {
		t.Errorf("%+v %v", spec, problems)
	}
	for label, want := range map[string]string{
		"ripplebak.during":   `volume data: label ripplebak.during: belongs on a service, not on a volume`,
		"ripplebak.exlude":   `volume data: label ripplebak.exlude: is not a label that ripplebak knows; did you mean "ripplebak.exclude"?`,
		"ripplebak.password": `volume data: label ripplebak.password: would be a setting of the whole sidecar`,
		"ripplebak.Enable":   `did you mean "ripplebak.enable"?`,
	} {
		_, problems := ParseVolume("data", map[string]string{label: "true"})
		if len(problems) != 1 || !strings.Contains(problems[0].Error(), want) {
			t.Errorf("%s: %v", label, problems)
		}
	}
}
