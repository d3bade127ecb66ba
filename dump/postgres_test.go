package dump

import (
	"errors"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sampleFacts is a server as a probe would describe it.
func sampleFacts() Facts {
	return Facts{
		Engine: "pg_dump", ServerVersion: "17.2", ServerMajor: 17, ClientVersion: "17.2", ClientMajor: 17,
		User: "admin", Superuser: true, CreateDB: true, CreateRole: true, Connect: "postgres", Roles: []string{"admin", "app"},
		Databases: []Database{
			{Name: "postgres", Owner: "admin", Encoding: "UTF8", Collate: "C", CType: "C", LocaleProvider: "libc", AllowConn: true, Size: 7 << 20},
			{Name: "shop", Owner: "app", Encoding: "UTF8", Collate: "C", CType: "C", LocaleProvider: "builtin", Locale: "C.UTF-8", AllowConn: true, Size: 1 << 30},
			{Name: "template0", Template: true}, {Name: "template1", Template: true, AllowConn: true},
			{Name: "shut", Owner: "app"}, {Name: "half", AllowConn: true, Invalid: true},
			{Name: "ripplebak_old_f00_01234567", AllowConn: true},
		},
	}
}

func TestFilesOfAllDatabases(t *testing.T) {
	files, err := Postgres{}.Files(Request{}, sampleFacts())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, f.Name+": "+f.Command.Show)
		if !f.Command.Gate || f.Command.Stdin {
			t.Errorf("%s: %+v", f.Name, f.Command)
		}
	}
	want := []string{
		"globals.sql: pg_dumpall --globals-only",
		"postgres.dump: pg_dump --format=custom --compress=0 --dbname=postgres",
		"postgres.properties.sql: psql --dbname=postgres (grants, settings and comments on the database)",
		"shop.dump: pg_dump --format=custom --compress=0 --dbname=shop",
		"shop.properties.sql: psql --dbname=shop (grants, settings and comments on the database)",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	argv := files[3].Command.Argv
	if tail := argv[4:]; !slices.Equal(tail, []string{"admin", "", "pg_dump", "--format=custom", "--compress=0", "--no-password", "--dbname=dbname='shop'"}) || !slices.Equal(argv[:2], []string{"sh", "-c"}) {
		t.Errorf("arguments %q", argv)
	}
	if s := (Postgres{}).Skipped(Request{}, sampleFacts()); len(s) != 3 {
		t.Errorf("skipped %q", s)
	}
	facts := sampleFacts()
	facts.Superuser = false
	files, _ = Postgres{}.Files(Request{}, facts)
	if files[0].Command.Show != "pg_dumpall --globals-only --no-role-passwords" {
		t.Errorf("without rights: %s", files[0].Command.Show)
	}
}

func TestF46_HostileNames(t *testing.T) {
	for _, name := range []string{"", "template0", "template1", strings.Repeat("x", 64), strings.Repeat("x", 1<<20), "a\x00b", "ripplebak_new_x"} {
		if err := (Postgres{}).Check(Request{Databases: []string{name}}); !errors.Is(err, ErrBadRequest) || len(err.Error()) > 200 {
			t.Errorf("%.40q: %v", name, err)
		}
	}
	if err := (Postgres{}).Check(Request{Databases: []string{"a", "a"}}); !errors.Is(err, ErrBadRequest) {
		t.Errorf("twice: %v", err)
	}
	if err := (Postgres{}).Check(Request{User: "a\x00"}); !errors.Is(err, ErrBadRequest) {
		t.Errorf("user: %v", err)
	}
	// What is no database of the server is refused before anything runs, with
	// the names that there are.
	for _, name := range []string{"--file=/x", "host=evil dbname=x", "$(id)", "a'; DROP", "shop\n", "../x", "shut", "half"} {
		_, err := Postgres{}.Files(Request{Databases: []string{name}}, sampleFacts())
		if !errors.Is(err, ErrBadRequest) {
			t.Errorf("%q: %v", name, err)
		}
	}
	// And where there is such a database, its name is data.
	for _, name := range []string{"--file=/x", "host=evil dbname=x", "$(id)", `a'; \`, "postgresql://x/y"} {
		facts := sampleFacts()
		facts.Databases = append(facts.Databases, Database{Name: name, AllowConn: true})
		files, err := Postgres{}.Files(Request{Databases: []string{name}}, facts)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		last := files[1].Command.Argv[len(files[1].Command.Argv)-1]
		quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(name)
		if last != "--dbname=dbname='"+quoted+"'" || strings.Contains(files[1].Command.Argv[2], name) {
			t.Errorf("%q: %q", name, last)
		}
	}
}

func TestEscapeName(t *testing.T) {
	for name, want := range map[string]string{
		"shop": "shop", "a/b": "a%2Fb", ".": "%2E", "..": "%2E%2E", "...": "...", "100%": "100%25", "a\nb\x7f": "a%0Ab%7F", "\xff\xfe": "%FF%FE", "naïve ☃": "naïve ☃",
	} {
		got := EscapeName(name)
		if got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
		if back, err := UnescapeName(got); err != nil || back != name {
			t.Errorf("%q comes back as %q, %v", name, back, err)
		}
	}
	for _, bad := range []string{"%", "a%2", "%zz", "%+1"} {
		if got, err := UnescapeName(bad); err == nil {
			t.Errorf("%q: %q", bad, got)
		}
	}
}

func FuzzEscapeName(f *testing.F) {
	f.Add("a/b%\x00..")
	f.Fuzz(func(t *testing.T, name string) {
		e := EscapeName(name)
		if strings.ContainsAny(e, "/\x00\n") || e == "." || e == ".." {
			t.Fatalf("%q", e)
		}
		if back, err := UnescapeName(e); err != nil || back != name {
			t.Fatalf("%q, %v", back, err)
		}
	})
}

func TestCanRestore(t *testing.T) {
	newer, older := sampleFacts(), sampleFacts()
	older.ServerMajor, older.ClientMajor = 16, 16
	client := sampleFacts()
	client.ClientMajor = 16
	for _, c := range []struct {
		name           string
		dumped, target Facts
		want           error
	}{
		{"same", newer, newer, nil}, {"into newer", older, newer, nil}, {"into older", newer, older, ErrNewerDump}, {"by an older client", newer, client, ErrNewerDump},
		{"another engine", Facts{Engine: "mariadb-dump"}, newer, ErrBadRequest},
	} {
		if err := (Postgres{}).CanRestore(c.dumped, c.target); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestANewNameThatIsTaken: who asked for a new database has confirmed no loss,
// also where the name is the old one's own.
func TestANewNameThatIsTaken(t *testing.T) {
	f := sampleFacts()
	old := f.Databases[0].Name
	req := RestoreRequest{ID: "r1", Dumped: f, Target: f, Database: old, NewName: old}
	if _, err := (Postgres{}).Restore(req); !errors.Is(err, ErrBadRequest) || !strings.Contains(err.Error(), "exists") {
		t.Error(err)
	}
}

func TestCreateSQLByVersion(t *testing.T) {
	base := `CREATE DATABASE "n" WITH TEMPLATE = template0 OWNER = "o" ENCODING = 'UTF8' LC_COLLATE = 'C' LC_CTYPE = 'C'`
	for _, c := range []struct {
		d     Database
		major int
		want  string
	}{
		{Database{LocaleProvider: "libc"}, 14, ""},
		{Database{LocaleProvider: "libc"}, 15, " LOCALE_PROVIDER = libc"},
		{Database{LocaleProvider: "icu", Locale: "de-DE"}, 15, " LOCALE_PROVIDER = icu ICU_LOCALE = 'de-DE'"},
		{Database{LocaleProvider: "icu", Locale: "de", ICURules: "&a < b"}, 16, " LOCALE_PROVIDER = icu ICU_LOCALE = 'de' ICU_RULES = '&a < b'"},
		{Database{LocaleProvider: "builtin", Locale: "C.UTF-8"}, 17, " LOCALE_PROVIDER = builtin BUILTIN_LOCALE = 'C.UTF-8'"},
		{Database{Tablespace: "gone"}, 13, ""}, {Database{Tablespace: "fast"}, 13, ` TABLESPACE = "fast"`},
	} {
		c.d.Owner, c.d.Encoding, c.d.Collate, c.d.CType = "o", "UTF8", "C", "C"
		if got := createSQL("n", c.d, Facts{ServerMajor: c.major, Tablespaces: []string{"fast"}}); got != base+c.want+";\n" {
			t.Errorf("%s", got)
		}
	}
}

func TestFallbackDataDirs(t *testing.T) {
	env := func(m map[string]string) func(string) string { return func(k string) string { return m[k] } }
	for _, c := range []struct {
		env    map[string]string
		mounts []string
		want   []string
	}{
		{nil, nil, []string{"/var/lib/postgresql/data"}},
		{nil, []string{"/var/lib/postgresql/data", "/files"}, []string{"/var/lib/postgresql/data"}},
		{map[string]string{"PGDATA": "/var/lib/postgresql/18/docker"}, []string{"/var/lib/postgresql"}, []string{"/var/lib/postgresql/18/docker", "/var/lib/postgresql"}},
		{map[string]string{"PGDATA": "/data/pg/", "POSTGRES_INITDB_WALDIR": "/wal"}, []string{"/var/lib/postgresql-files"}, []string{"/data/pg", "/wal"}},
	} {
		if got := (Postgres{}).FallbackDataDirs(env(c.env), c.mounts); !slices.Equal(got, c.want) {
			t.Errorf("%v %v: %v", c.env, c.mounts, got)
		}
	}
}

func TestParseProbeInsistsOnItsEnd(t *testing.T) {
	record := func(fields ...string) string { return strings.Join(fields, "\x00") + "\x00" }
	pad := func(n int, fields ...string) string {
		return record(append(fields, make([]string, n-len(fields))...)...)
	}
	whole := record("connect", "", "postgres") + record("client", "pg_dump (PostgreSQL) 17.2 (Debian 17.2-1.pgdg12+1)") +
		record("dir", "/var/lib/postgresql/data") + record("df", "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/my disk 100 40 60 40% /a b") +
		pad(pgFactsColumns, "server", "18beta1", "180000", "admin", "true", "false", "false", "false") +
		pad(pgFactsColumns, "tablespace", "fast", "/ts") + pad(pgFactsColumns, "role", "a\nb") +
		pad(pgFactsColumns, "database", "end", "o", "UTF8", "C", "C", "b", "C.UTF-8", "", "", "123", "true", "false", "false") + record("end")
	f, err := Postgres{}.ParseProbe(Request{}, []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	if f.ServerMajor != 18 || f.ClientMajor != 17 || f.FreeBytes != 60*1024 || !f.CreateDB || !slices.Equal(f.DataDirs, []string{"/var/lib/postgresql/data", "/ts"}) ||
		f.Databases[0].LocaleProvider != "builtin" || f.Databases[0].Size != 123 || f.Roles[0] != "a\nb" {
		t.Errorf("%+v", f)
	}
	for n := range len(whole) - 1 {
		if _, err := (Postgres{}).ParseProbe(Request{}, []byte(whole[:n])); err == nil {
			t.Fatalf("cut at %d: no error", n)
		}
	}
}

func FuzzParseProbe(f *testing.F) {
	f.Add([]byte("client\x00pg_dump (PostgreSQL) 15\x00df\x00x 1 2%\x00end\x00"))
	f.Add([]byte("database\x00\x00\x00\x00end\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if f, err := (Postgres{}).ParseProbe(Request{}, b); err == nil && (f.ServerMajor == 0 || f.ClientMajor == 0) {
			t.Fatalf("%+v", f)
		}
	})
}

func TestSpaceNeeded(t *testing.T) {
	if got := (Postgres{}).SpaceNeeded(sampleFacts(), "shop", 1<<20); got != 5<<28+pgSpaceSlack {
		t.Errorf("%d", got)
	}
	if got := (Postgres{}).SpaceNeeded(Facts{}, "shop", 4<<20); got != 5<<20+pgSpaceSlack {
		t.Errorf("%d", got)
	}
}

func TestLookup(t *testing.T) {
	if e, ok := Lookup("pg_dump"); !ok || e.Name() != "pg_dump" {
		t.Error("pg_dump is not found")
	}
	if _, ok := Lookup("PG_DUMP"); ok {
		t.Error("wrong case is found")
	}
}

// TestPure: this package runs nothing and knows nothing of Docker. The one
// foreign package reads the text of shell commands, and runs none.
func TestPure(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range file.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			if path == "github.com/bmatcuk/doublestar/v4" {
				continue // it compares a path with a pattern, here too
			}
			if path == "mvdan.cc/sh/v3/syntax" {
				continue // it reads shell commands, and runs none
			}
			if strings.Contains(path, ".") || path == "os" || path == "os/exec" || strings.HasPrefix(path, "net") {
				t.Errorf("%s imports %s", e.Name(), path)
			}
		}
	}
}
