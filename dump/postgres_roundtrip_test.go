package dump

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// shopSQL has what a dump must carry, one of each kind.
const shopSQL = `
CREATE EXTENSION hstore; CREATE EXTENSION pg_trgm;
CREATE TABLE customer (id serial PRIMARY KEY, name text NOT NULL, tags hstore);
INSERT INTO customer (name, tags) SELECT 'name ' || i, hstore('k', i::text) FROM generate_series(1, 5000) i;
CREATE INDEX ON customer USING gin (name gin_trgm_ops);
CREATE TABLE event (at date NOT NULL, what text) PARTITION BY RANGE (at);
CREATE TABLE event_2023 PARTITION OF event FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE event_2024 PARTITION OF event FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
INSERT INTO event SELECT date '2023-06-01' + i, repeat('x', i) FROM generate_series(1, 400) i;
CREATE VIEW loyal AS SELECT c.id, c.name FROM customer c WHERE id < 10;
CREATE VIEW loyal_names AS SELECT name FROM loyal;
CREATE MATERIALIZED VIEW total AS SELECT count(*) FROM event;
CREATE FUNCTION twice(i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN i * 2; END $$;
CREATE TABLE empty_one (x int);
CREATE TABLE wide (b bytea); INSERT INTO wide VALUES (decode(repeat('00ff', 200000), 'hex'));
SELECT lo_from_bytea(0, 'hello'), lo_from_bytea(3000000001, decode(repeat('ab', 100000), 'hex')), lo_from_bytea(0, '');
GRANT SELECT ON customer TO reader; ALTER TABLE event OWNER TO writer; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader;
`

// rolesSQL makes roles with all that belongs to them.
const rolesSQL = `
CREATE ROLE reader; CREATE ROLE writer LOGIN PASSWORD 'w''r\ite' CONNECTION LIMIT 7 VALID UNTIL '2040-01-01';
CREATE ROLE "o'dd ""role" LOGIN CREATEDB; GRANT reader TO writer WITH ADMIN OPTION; GRANT reader TO "o'dd ""role" GRANTED BY writer;
COMMENT ON ROLE writer IS E'line one\n\\! touch /tmp/never\nit''s'; ALTER ROLE writer SET search_path TO "A b", public;
ALTER ROLE writer SET work_mem = '5MB'; GRANT SET ON PARAMETER log_min_messages TO writer;
`

// propertiesSQL is what belongs to the database DB itself.
const propertiesSQL = `
GRANT CONNECT ON DATABASE DB TO reader; GRANT CREATE ON DATABASE DB TO writer WITH GRANT OPTION; REVOKE CONNECT ON DATABASE DB FROM PUBLIC;
SET SESSION AUTHORIZATION writer; GRANT CREATE ON DATABASE DB TO reader; RESET SESSION AUTHORIZATION;
ALTER DATABASE DB SET search_path TO "$user", public, "odd, one", "q""q"; ALTER DATABASE DB SET work_mem = '7MB';
ALTER DATABASE DB SET "my.secret" = E'it''s \\ a\nb=c'; ALTER DATABASE DB SET default_transaction_read_only = on;
ALTER ROLE writer IN DATABASE DB SET search_path TO writer; ALTER ROLE "o'dd ""role" IN DATABASE DB SET DateStyle = 'ISO, DMY';
COMMENT ON DATABASE DB IS E'the shop''s\n\\connect evil'; ALTER DATABASE DB CONNECTION LIMIT 42;
`

func TestPostgresRoundTrip(t *testing.T) {
	s := startPostgres(t, "")
	s.sql("postgres", rolesSQL)
	names := []string{"shop", `we/ird db`, `-dash`, `"quo'ted"\`, "naïve ☃", "host=evil dbname=x", "postgresql://evil/x", "globals", "..", "100%"}
	before := map[string]string{}
	for _, name := range names {
		s.sql("postgres", "CREATE DATABASE "+quoteIdent(name))
		s.sql(name, shopSQL)
		s.sql("postgres", "ALTER DATABASE "+quoteIdent(name)+" OWNER TO writer")
		s.sql("postgres", strings.ReplaceAll(propertiesSQL, "DB", quoteIdent(name)))
		before[name] = s.fingerprint(name)
	}
	s.sql("postgres", `CREATE DATABASE tpl IS_TEMPLATE true; CREATE DATABASE "de" TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de-DE'`)
	before["tpl"], before["de"], before["postgres"] = s.fingerprint("tpl"), s.fingerprint("de"), s.fingerprint("postgres")
	roles := s.roles()
	b := s.backup(Request{})
	if want := 1 + 2*len(before); len(b.files) != want {
		t.Fatalf("%d files, want %d", len(b.files), want)
	}

	for name := range before {
		switch name {
		case "shop": // there, and damaged
			s.sql(name, "SET default_transaction_read_only = off; DROP TABLE customer CASCADE; CREATE TABLE later (x int)")
			s.sql("postgres", "GRANT ALL ON DATABASE shop TO PUBLIC; ALTER DATABASE shop RESET ALL; ALTER DATABASE shop SET work_mem = '1MB'")
		case "tpl", "postgres": // as it was
		default:
			s.sql("postgres", "DROP DATABASE "+quoteIdent(name))
		}
	}
	s.sql("shop", "SET default_transaction_read_only = off; DROP OWNED BY \"o'dd \"\"role\"")
	s.sql("postgres", `DROP ROLE "o'dd ""role"`)
	s.restoreGlobals(b, false)
	for name, want := range before {
		if err := s.restore(b, name, ""); err != nil {
			t.Fatalf("restore %q: %v", name, err)
		}
		if got := s.fingerprint(name); got != want {
			t.Errorf("%q differs\n--- before\n%s\n--- after\n%s", name, firstDifference(want, got), firstDifference(got, want))
		}
	}
	// Who granted a membership is not kept, everything else is.
	if got := s.roles(); got != roles {
		t.Errorf("roles differ\n--- before\n%s\n--- after\n%s", roles, got)
	}
	if left := (Postgres{}).Leftovers(s.facts(Request{})); left != nil {
		t.Errorf("left behind: %q", left)
	}
	if got := s.sql("shop", "SELECT count(*), (SELECT count(*) FROM pg_largeobject_metadata) FROM customer"); got != "5000|3" {
		t.Errorf("rows and large objects: %s", got)
	}
}

// roles is pg_dumpall's account of the roles, without grantors.
func (s *pgServer) roles() string {
	s.t.Helper()
	return s.sql("postgres", `SELECT a.rolname, a.rolsuper, a.rolcanlogin, a.rolcreatedb, a.rolconnlimit, a.rolvaliduntil, a.rolpassword, d.description, s.setconfig,
(SELECT string_agg(r.rolname || m.admin_option, ',' ORDER BY r.rolname) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid WHERE m.member = a.oid)
FROM pg_authid a LEFT JOIN pg_shdescription d ON d.objoid = a.oid AND d.classoid = 'pg_authid'::regclass LEFT JOIN pg_db_role_setting s ON s.setrole = a.oid AND s.setdatabase = 0
ORDER BY a.rolname`)
}

// firstDifference is the lines around the first one in which a differs from b.
func firstDifference(a, b string) string {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range as {
		if i >= len(bs) || as[i] != bs[i] {
			return strings.Join(as[max(0, i-2):min(len(as), i+4)], "\n")
		}
	}
	return "(a prefix of the other)"
}

// sortedLines is a dump without its order and its commands to the client.
func sortedLines(s string) string {
	lines := slices.DeleteFunc(strings.Split(s, "\n"), func(line string) bool { return strings.HasPrefix(line, `\`) })
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestPostgresRestoresIntoAnEmptyServer(t *testing.T) {
	s := startPostgres(t, "")
	s.sql("postgres", rolesSQL+"CREATE DATABASE shop OWNER writer")
	s.sql("shop", shopSQL)
	s.sql("postgres", strings.ReplaceAll(propertiesSQL, "DB", "shop"))
	want, roles := s.fingerprint("shop"), s.roles()
	b := s.backup(Request{Databases: []string{"shop"}})

	fresh := startPostgres(t, "")
	fresh.restoreGlobals(b, false)
	if err := fresh.restore(b, "shop", ""); err != nil {
		t.Fatal(err)
	}
	// Settings come in the order of object numbers, which are new.
	if got := sortedLines(fresh.fingerprint("shop")); got != sortedLines(want) {
		t.Errorf("differs: %s, was %s", firstDifference(got, sortedLines(want)), firstDifference(sortedLines(want), got))
	}
	if got := fresh.roles(); got != roles {
		t.Errorf("roles:\n%s\nwere\n%s", got, roles)
	}
	// Under another name it keeps everything but its name.
	if err := fresh.restore(b, "shop", "the=copy"); err != nil {
		t.Fatal(err)
	}
	got := sortedLines(strings.NewReplacer(`"dbname='the=copy'"`, "shop", `"the=copy"`, "shop", "the=copy", "shop", " -reuse-previous=on", "").Replace(fresh.fingerprint("the=copy")))
	if got != sortedLines(want) {
		t.Errorf("the copy differs: %s, was %s", firstDifference(got, sortedLines(want)), firstDifference(sortedLines(want), got))
	}
	if _, err := (Postgres{}).Restore(RestoreRequest{ID: "1", Dumped: b.facts, Target: fresh.facts(Request{}), Database: "shop", NewName: "postgres"}); !errors.Is(err, ErrBadRequest) {
		t.Errorf("a new name that exists: %v", err)
	}
}

func TestPostgresGlobalsKeepExistingRoles(t *testing.T) {
	s := startPostgres(t, "")
	s.sql("postgres", rolesSQL)
	b := s.backup(Request{})
	roles := s.roles()
	s.sql("postgres", "ALTER ROLE writer PASSWORD 'new' CREATEROLE; COMMENT ON ROLE writer IS 'changed'; ALTER ROLE admin CONNECTION LIMIT 99")
	changed := s.roles()
	s.restoreGlobals(b, false)
	if got := s.roles(); got != changed {
		t.Errorf("existing roles changed:\n%s", firstDifference(got, changed))
	}
	notes := s.restoreGlobals(b, true)
	if got := strings.Replace(s.roles(), "99", "-1", 1); got != roles {
		t.Errorf("replaced roles differ:\n%s\nwere\n%s", got, roles)
	}
	if !strings.Contains(strings.Join(notes, "\n"), `"admin"`) {
		t.Errorf("no note about the connecting role: %q", notes)
	}
}
