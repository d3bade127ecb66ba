package dump

import (
	"errors"
	"strings"
	"testing"
)

func globalsText(body string) string {
	return "--\n-- PostgreSQL database cluster dump\n--\n\n" + body + "\n--\n-- PostgreSQL database cluster dump complete\n--\n\n"
}

func judgeText(role Role, s string) error {
	p := Postgres{}.Judge(role, "shop")
	for _, b := range []byte(s) {
		p.Write([]byte{b})
	}
	return p.Finish()
}

func TestF02_EmptyDump(t *testing.T) {
	for _, role := range []Role{RoleDatabase, RoleProperties, RoleGlobals} {
		if err := judgeText(role, ""); !errors.Is(err, ErrEmptyDump) || err.Error() != "produced no data" {
			t.Errorf("%s: %v", role, err)
		}
	}
}

// TestF09_HiddenFailure: what a failure behind a pipe leaves is no dump.
func TestF09_HiddenFailure(t *testing.T) {
	whole := globalsText("CREATE ROLE a;\n" + strings.Repeat("-- padding\n", 500))
	properties := pgPropertiesHead + "\nCOMMENT ON DATABASE shop IS 'x';\n" + pgPropertiesEnd + "\n"
	for _, good := range []string{whole, strings.ReplaceAll(whole, "complete\n--\n", "complete\n--\n\n\\unrestrict aB3\n")} {
		if err := judgeText(RoleGlobals, good); err != nil {
			t.Errorf("%v", err)
		}
	}
	if err := judgeText(RoleProperties, properties); err != nil {
		t.Errorf("%v", err)
	}
	trailer := strings.Index(whole, "complete\n") + len("complete\n")
	for n := 1; n < trailer; n++ {
		if judgeText(RoleGlobals, whole[:n]) == nil {
			t.Fatalf("globals cut at %d", n)
		}
	}
	for n := range properties {
		if judgeText(RoleProperties, properties[:n]) == nil {
			t.Fatalf("properties cut at %d", n)
		}
	}
	for _, bad := range []string{whole + "SELECT 1;\n", whole + "pg_dumpall: error\n", "pg_dumpall: error: x\n" + whole} {
		if judgeText(RoleGlobals, bad) == nil {
			t.Errorf("taken: %.60q", bad)
		}
	}
}

func TestF51_StoredSQLRunsNoCommands(t *testing.T) {
	for _, hostile := range []string{
		`\! touch /tmp/x`, "CREATE ROLE a; \\! id\n", "CREATE ROLE a \\gexec\n", `\connect evil`, "\\restrict a b\n", "\\restrict \n", "CREATE ROLE a\n\\restrict x\n;",
		"COPY t TO PROGRAM $$id$$;", "SELECT :'x';", "SELECT `id`;", "DO $$ BEGIN END $$;", "CREATE ROLE U&\"\\0061\";", "COMMENT ON ROLE a IS B'1';", "/* x */",
		"CREATE ROLE a", "CREATE ROLE \"a", "COMMENT ON ROLE a IS 'x", "COMMENT ON ROLE a IS E'x\\'", "COMMENT ON ROLE a IS 'a\x00b';",
	} {
		if s, err := parseSQL([]byte(hostile)); !errors.Is(err, ErrHostileSQL) && !errors.Is(err, ErrCutDump) {
			t.Errorf("%q: %v, %v", hostile, s, err)
		}
	}
	// What parses and is of no known shape is never passed on.
	target := sampleFacts()
	for _, odd := range []string{
		"COPY t TO PROGRAM 'id';", "ALTER SYSTEM SET archive_command TO 'id';", "CREATE ROLE b SUPERUSER;", "GRANT b TO c; DROP ROLE c;", "SELECT 1;",
		"ALTER ROLE b WITH SUPERUSER (1);", "GRANT SET ON PARAMETER a TO b, c;", "CREATE TABLESPACE x LOCATION '/';", "ALTER DATABASE shop SET x TO 'y';", "CREATE EXTENSION plpythonu;",
	} {
		steps, notes, err := Postgres{}.RestoreGlobals(GlobalsRequest{Dumped: target, Target: target, SQL: []byte("CREATE ROLE b;" + odd), Replace: true})
		if err != nil {
			t.Errorf("%s: %v", odd, err)
			continue
		}
		for _, word := range []string{"COPY", "SYSTEM", "DROP", "SELECT 1", "(", "c", "TABLESPACE", "DATABASE", "EXTENSION", "b SUPERUSER"} {
			if sql := strings.ReplaceAll(string(steps[0].Literal), quiet(target), ""); word != "c" && strings.Contains(sql, word) {
				t.Errorf("%s: passed on: %s", odd, sql)
			}
		}
		if len(notes) == 0 {
			t.Errorf("%s: left out without a note", odd)
		}
	}
	for _, odd := range []string{
		"DROP DATABASE shop;", "ALTER DATABASE other SET work_mem TO '1MB';", "ALTER DATABASE shop SET work_mem TO '1MB' , x;", "ALTER DATABASE shop SET work_mem TO SELECT;",
		"ALTER DATABASE shop OWNER TO x;", "GRANT ALL ON TABLE shop TO x;", "SET ROLE x;", "COPY shop TO PROGRAM 'id';", "CREATE ROLE a;", "COMMENT ON DATABASE shop IS 'a' 'b';",
	} {
		if sql, err := rewriteProperties([]byte(odd), "shop", "shop", target); !errors.Is(err, ErrHostileSQL) {
			t.Errorf("%s: %q, %v", odd, sql, err)
		}
	}
}

func TestGlobalsMakeMissingRolesOnly(t *testing.T) {
	sql := globalsText(`\restrict abc
SET default_transaction_read_only = off;
CREATE ROLE admin;
ALTER ROLE admin WITH SUPERUSER PASSWORD 'SCRAM-SHA-256$a';
CREATE ROLE app;
ALTER ROLE app WITH LOGIN PASSWORD 'old';
ALTER ROLE app SET work_mem TO '1MB';
CREATE ROLE "New Role";
ALTER ROLE "New Role" WITH NOLOGIN CONNECTION LIMIT -1 PASSWORD E'x\'\\y';
ALTER ROLE "New Role" SET search_path TO 'a', 'b';
COMMENT ON ROLE "New Role" IS 'it''s
\! not a command';
CREATE TABLESPACE fast OWNER admin LOCATION '/fast';
GRANT CREATE ON TABLESPACE fast TO app;
GRANT app TO "New Role" WITH ADMIN OPTION, INHERIT FALSE GRANTED BY admin;
GRANT admin TO app GRANTED BY admin;
GRANT pg_read_all_data TO "New Role";
GRANT SET ON PARAMETER work_mem TO "New Role" WITH GRANT OPTION;
GRANT ALTER SYSTEM ON PARAMETER my.param TO app;
SECURITY LABEL FOR selinux ON ROLE "New Role" IS 'x';
\unrestrict abc`)
	steps, notes, err := Postgres{}.RestoreGlobals(GlobalsRequest{Dumped: sampleFacts(), Target: sampleFacts(), SQL: []byte(sql)})
	if err != nil {
		t.Fatal(err)
	}
	want := `CREATE ROLE "New Role";
ALTER ROLE "New Role" WITH NOLOGIN CONNECTION LIMIT - 1 PASSWORD E'x\'\\y';
ALTER ROLE "New Role" SET search_path TO 'a' , 'b';
COMMENT ON ROLE "New Role" IS 'it''s
\! not a command';
GRANT app TO "New Role" WITH ADMIN OPTION , INHERIT FALSE;
GRANT pg_read_all_data TO "New Role";
GRANT SET ON PARAMETER work_mem TO "New Role" WITH GRANT OPTION;
SECURITY LABEL FOR selinux ON ROLE "New Role" IS 'x';
`
	if got := string(steps[0].Literal); got != string(transaction(quiet(sampleFacts())+want)) {
		t.Errorf("got\n%s", got)
	}
	if len(notes) != 1 || !strings.Contains(notes[0], "fast") {
		t.Errorf("notes %q", notes)
	}
	if s := steps[0]; strings.Contains(s.Cause+s.Command.Show+strings.Join(s.Command.Argv, " "), "SCRAM") || s.Input != InputLiteral {
		t.Errorf("%+v", s)
	}
	all := sampleFacts()
	all.Roles = append(all.Roles, "New Role")
	if steps, _, err := (Postgres{}).RestoreGlobals(GlobalsRequest{Dumped: all, Target: all, SQL: []byte(sql)}); err != nil || steps != nil {
		t.Errorf("nothing is missing: %v, %v", steps, err)
	}
}

func TestPropertiesUnderAnotherName(t *testing.T) {
	sql := pgPropertiesHead + `
COMMENT ON DATABASE "we/ird" IS 'about "we/ird"';
SET SESSION AUTHORIZATION app;
GRANT CREATE ON DATABASE "we/ird" TO PUBLIC;
RESET SESSION AUTHORIZATION;
ALTER ROLE app IN DATABASE "we/ird" SET "my.x" TO E'a\\';
` + pgPropertiesEnd + "\n"
	got, err := rewriteProperties([]byte(sql), "we/ird", `n"ew`, Facts{})
	want := `COMMENT ON DATABASE "n""ew" IS 'about "we/ird"';
GRANT CREATE ON DATABASE "n""ew" TO PUBLIC;
ALTER ROLE app IN DATABASE "n""ew" SET "my.x" TO E'a\\';
`
	if err != nil || got != want {
		t.Errorf("%v\n%s", err, got)
	}
}

func FuzzParseSQL(f *testing.F) {
	f.Add([]byte(globalsText("CREATE ROLE \"a\"\"b\"; ALTER ROLE a WITH PASSWORD E'\\'';\n\\restrict x\n")))
	f.Add([]byte("GRANT SET ON PARAMETER a.b TO c WITH GRANT OPTION;"))
	f.Fuzz(func(t *testing.T, b []byte) {
		statements, err := parseSQL(b)
		if err != nil {
			return
		}
		var again strings.Builder
		for _, s := range statements {
			again.WriteString(s.String())
		}
		// What is written reads as the same again.
		twice, err := parseSQL([]byte(again.String()))
		if err != nil || len(twice) != len(statements) {
			t.Fatalf("%q: %v", again.String(), err)
		}
		for i, s := range twice {
			if s.String() != statements[i].String() {
				t.Fatalf("%q became %q", statements[i].String(), s.String())
			}
		}
	})
}
