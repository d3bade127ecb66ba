package dump

import (
	"errors"
	"strings"
	"testing"
)

func TestPatternsOfTables(t *testing.T) {
	for _, c := range []struct{ pattern, passed, fits, not string }{
		{"audit_*", "*.audit_*", "public.audit_log other.audit_", "public.audit public.my_audit_log"},
		{"log.*", "log.*", "log.a log.b.c", "public.log"},
		{"Log?", "*.Log?", "public.log1 a.logx", "public.Log1 public.log public.log12"},
		{`"Log?"`, `*."Log?"`, "public.Log?", "public.log1 public.Log1"},
		{`s."a.b""c"`, `s."a.b""c"`, `s.a.b"c`, "s.a t.a.b"},
		{`"é*"é*`, `*."é*"é*`, "x.é*é x.é*éa", "x.éé"},
		{"a+", "*.a+", "x.a+", "x.aa"},
	} {
		p, err := parsePattern(c.pattern)
		if err != nil || p.String() != c.passed {
			t.Errorf("%s: passed as %s, %v", c.pattern, p, err)
			continue
		}
		for want, list := range map[bool]string{true: c.fits, false: c.not} {
			for _, name := range strings.Fields(list) {
				schema, table, _ := strings.Cut(name, ".")
				if p.fits(schema, table) != want {
					t.Errorf("%s and %s: %v, want %v", c.pattern, name, !want, want)
				}
			}
		}
	}
	for pattern, want := range map[string]string{
		"": "empty part", ".a": "empty part", "a.": "empty part", `""`: "empty part", "a.b.c": "more parts", `"a`: "without its other",
		"*": "every table", "*.*": "every table", "?*": "every table", "-a": "dash",
	} {
		if _, err := parsePattern(pattern); !errors.Is(err, ErrBadRequest) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", pattern, err, want)
		}
	}
	if err := (Postgres{}).Check(Request{ExcludeTableData: []string{"ok", "*"}}); !errors.Is(err, ErrBadRequest) {
		t.Errorf("Check: %v", err)
	}
}

// judgeLacking proves an archive as one that may lack the data of what fits.
func judgeLacking(t *testing.T, b []byte, patterns ...string) error {
	t.Helper()
	p, err := parsePatterns(patterns)
	if err != nil {
		t.Fatal(err)
	}
	proof := newArchiveProof("shop")
	proof.lacking = &lackingData{patterns: p}
	proof.Write(b)
	return proof.Finish()
}

func TestDumpWithoutTheRowsOfSomeTables(t *testing.T) {
	s := startPostgres(t, "")
	s.sql("postgres", rolesSQL+"CREATE DATABASE shop")
	// Definitions that are longer than what is kept of other texts.
	wide := strings.Repeat(", a_column_with_a_rather_long_name_@ text DEFAULT 'PARTITION BY'", 40)
	for i := range 40 {
		wide = strings.Replace(wide, "@", string(rune('a'+i%26))+string(rune('a'+i/26)), 1)
	}
	s.sql("shop", shopSQL+`CREATE SCHEMA log; CREATE TABLE log.visit (id int`+wide+`); INSERT INTO log.visit SELECT generate_series(1, 500);
		CREATE TABLE log.parent (id int`+wide+`) PARTITION BY RANGE (id); CREATE TABLE "Session" (id int`+wide+`); INSERT INTO "Session" VALUES (1); CREATE TABLE session (id int); INSERT INTO session VALUES (2);
		CREATE UNLOGGED TABLE scratch (x int); ALTER DATABASE shop SET default_transaction_isolation = 'serializable'`)
	b := s.backup(Request{ExcludeTableData: []string{"log.*", `"Session"`}})
	files, err := (Postgres{}).Files(Request{ExcludeTableData: []string{"log.*", `"Session"`}}, b.facts)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name != "shop.dump" {
			continue
		}
		proof := f.NewProof()
		proof.Write(b.files[f.Name])
		if err := proof.Finish(); err != nil {
			t.Error(err)
		}
		for _, want := range []string{" --serializable-deferrable", " --exclude-table-data='log.*'", ` --exclude-table-data='*."Session"'`} {
			if !strings.Contains(f.Command.Show, want) {
				t.Errorf("%q is not in %s", want, f.Command.Show)
			}
		}
	}
	dump := b.files["shop.dump"]
	for missing, patterns := range map[string][]string{`log.visit`: {`"Session"`}, `Session`: {"log.*", "session"}} {
		if err := judgeLacking(t, dump, patterns...); !errors.Is(err, ErrBadDump) || !strings.Contains(err.Error(), missing) {
			t.Errorf("%s has no data, and %q do not say so: %v", missing, patterns, err)
		}
	}
	whole := s.backup(Request{}).files["shop.dump"]
	if err := judgeLacking(t, whole, "nothing"); err != nil { // nothing but what has no rows of its own
		t.Errorf("all have data: %v", err)
	}
	again := Postgres{}.Judge(RoleDatabase, "shop") // by a restore, which knows no labels
	again.Write(dump)
	if err := again.Finish(); err != nil {
		t.Error(err)
	}
	s.sql("shop", `CREATE TABLE "Ref ""erred" (id int PRIMARY KEY); CREATE TABLE log.refers (r int REFERENCES "Ref ""erred"); INSERT INTO "Ref ""erred" VALUES (1); INSERT INTO log.refers VALUES (1)`)
	facts := s.facts(Request{})
	for patterns, want := range map[string]string{`"Ref ""erred"`: "table log.refers has a foreign key into", `"Ref ""erred",log.*`: "", "log.refers": ""} {
		p, err := parsePatterns(strings.Split(patterns, ","))
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.run(databaseCommand(facts, "shop", p), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := judgeLacking(t, out, strings.Split(patterns, ",")...); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: %v, want %q", patterns, err, want)
		}
	}
	s.sql("postgres", "DROP DATABASE shop")
	if err := s.restore(b, "shop", ""); err != nil {
		t.Fatal(err)
	}
	if got := s.sql("shop", `SELECT (SELECT count(*) FROM log.visit), (SELECT count(*) FROM "Session"), (SELECT count(*) FROM session), (SELECT count(*) FROM customer)`); got != "0|0|1|5000" {
		t.Errorf("restored: %s", got)
	}
}

func TestSerializableDumpsAreMadeWhereSessionsAre(t *testing.T) {
	facts := Facts{Databases: []Database{{Name: "strict", Serializable: true}, {Name: "usual"}}}
	option := func(name string) bool {
		return strings.Contains(strings.Join(databaseCommand(facts, name, nil).Argv, " "), "--serializable-deferrable")
	}
	if !option("strict") || option("usual") {
		t.Error("strict", option("strict"), "usual", option("usual"))
	}
	facts.Standby = true // which can have no such transaction
	if option("strict") {
		t.Error("on a standby")
	}
}
