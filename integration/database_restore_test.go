package integration

import (
	"strings"
	"testing"
)

// odd is a database that has everything which a restore by a rename could
// lose: it belongs to nobody's default, and its name needs quotes.
const odd = `we"ird 'db'`

// dressed makes databases, roles and what belongs to a database itself.
const dressed = `
CREATE ROLE boss LOGIN PASSWORD 'boss-password' CREATEROLE;
CREATE ROLE clerk LOGIN PASSWORD 'clerk-password' CONNECTION LIMIT 7;
CREATE ROLE staff NOLOGIN;
GRANT staff TO clerk WITH ADMIN OPTION;
GRANT staff TO boss;
ALTER ROLE clerk SET work_mem = '9MB';
CREATE DATABASE shop OWNER boss;
CREATE DATABASE "we""ird 'db'" OWNER clerk ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0 CONNECTION LIMIT 11;
REVOKE CONNECT ON DATABASE shop FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE shop TO staff WITH GRANT OPTION;
ALTER DATABASE shop SET statement_timeout = '17s';
ALTER DATABASE shop SET search_path = app, "$user", public;
ALTER ROLE clerk IN DATABASE shop SET lock_timeout = '3s';
COMMENT ON DATABASE shop IS 'it''s the shop';
COMMENT ON ROLE clerk IS 'at the counter';
`

// belongings is what the server says of all that.
const belongings = `
SELECT 'db', datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datconnlimit, datacl::text, shobj_description(oid, 'pg_database')
	FROM pg_database WHERE datname IN ('shop', 'we"ird ''db''') ORDER BY datname;
SELECT 'setting', COALESCE(d.datname, '-'), COALESCE(r.rolname, '-'), s.setconfig::text
	FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_roles r ON r.oid = s.setrole ORDER BY 2, 3;
SELECT 'role', rolname, rolcanlogin, rolcreaterole, rolconnlimit, shobj_description(a.oid, 'pg_authid') FROM pg_authid a WHERE rolname IN ('boss', 'clerk', 'staff') ORDER BY 2;
SELECT 'member', roleid::regrole, member::regrole, admin_option FROM pg_auth_members WHERE roleid::regrole::text = 'staff' ORDER BY 3;`

func dress(f *dumpFault) {
	f.sql("postgres", dressed)
	f.sql("shop", `CREATE EXTENSION pg_trgm; CREATE EXTENSION hstore; CREATE SCHEMA app AUTHORIZATION boss;
		CREATE TABLE app.things(id serial PRIMARY KEY, h hstore, t text); ALTER TABLE app.things OWNER TO boss;
		INSERT INTO app.things(h, t) SELECT hstore('k', i::text), 'thing number ' || i FROM generate_series(1, 500) i;
		CREATE INDEX ON app.things USING gin (t gin_trgm_ops);
		SELECT lo_from_bytea(4242, decode(repeat('00ff42', 100000), 'hex')); COMMENT ON LARGE OBJECT 4242 IS 'a big one'; GRANT SELECT ON LARGE OBJECT 4242 TO clerk;`)
	f.sql(odd, `CREATE TABLE "T""x"(x int); INSERT INTO "T""x" VALUES (42)`)
}

const content = `SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM app.things t; SELECT md5(lo_get(4242)); SELECT lomacl::text FROM pg_largeobject_metadata;
	SELECT string_agg(extname, ',' ORDER BY extname) FROM pg_extension; SELECT nextval('app.things_id_seq') > 500; SELECT count(*) FROM app.things WHERE t LIKE '%number 77%'`

func TestDatabaseComesBackWithEverythingThatBelongsToIt(t *testing.T) {
	t.Parallel()
	f := newDatabase(t)
	dress(f)
	before, rows := f.sql("postgres", belongings), f.sql("shop", content)
	f.backup()

	t.Run("in_place", func(t *testing.T) {
		f := f.with(t)
		f.sql("shop", "DROP SCHEMA app CASCADE; SELECT lo_unlink(4242); DROP EXTENSION hstore")
		f.sql("postgres", `ALTER ROLE clerk PASSWORD 'new-password'; REVOKE ALL ON DATABASE shop FROM staff; ALTER DATABASE shop RESET ALL; COMMENT ON DATABASE shop IS 'gone'`)
		f.sql(odd, `DROP TABLE "T""x"`)
		hash := f.sql("postgres", "SELECT rolpassword FROM pg_authid WHERE rolname = 'clerk'")
		events := f.events()
		report := f.mustRestore("latest")
		assertEvents(t, events(), "stop worker", "stop app", "start app", "start worker")
		for _, i := range report.Items {
			t.Logf("%s: %s", i.Key, seconds(i.Seconds))
		}
		f.want("postgres", belongings, before)
		f.want("shop", content, rows)
		f.want(odd, `SELECT x FROM "T""x"`, "42")
		f.want("postgres", "SELECT rolpassword FROM pg_authid WHERE rolname = 'clerk'", hash)
		if report.Safety == "" {
			t.Error("there is no safety snapshot")
		}
		f.noLeftovers()
		f.assertCalm(allServices()...)
	})
	t.Run("the_safety_snapshot_undoes_it", func(t *testing.T) {
		f := f.with(t)
		var safety string
		for _, s := range f.snapshots() {
			if s.Safety {
				safety = s.ID
			}
		}
		f.mustRestore(safety, "--no-safety-snapshot", "--database", "db/shop")
		f.want("shop", "SELECT string_agg(extname, ',' ORDER BY extname) FROM pg_extension", "pg_trgm,plpgsql")
		f.want("postgres", "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'shop'", "gone")
	})
	t.Run("globals_bring_passwords_back", func(t *testing.T) {
		f := f.with(t)
		f.mustRestore("latest", "--globals", "--no-safety-snapshot")
		f.want("postgres", belongings, before)
		r := command(t, f.dir, f.environ(), "", "docker", "compose", "exec", "-T", "-e", "PGPASSWORD=clerk-password", "db",
			"psql", "-h", "db", "-U", "clerk", "-d", "shop", "-qAtc", "SELECT current_setting('lock_timeout')")
		if r.code != 0 || strings.TrimSpace(r.stdout) != "3s" {
			t.Errorf("the role does not log in with its old password: %s", r)
		}
	})
	t.Run("dropped_with_its_roles", func(t *testing.T) {
		f := f.with(t)
		f.sql("postgres", `DROP DATABASE shop`)
		f.sql("postgres", `DROP DATABASE "we""ird 'db'"`)
		f.sql("postgres", `DROP ROLE boss; DROP ROLE clerk; DROP ROLE staff`)
		f.mustRestore("latest")
		f.want("postgres", belongings, before)
		f.want("shop", content, rows)
	})
	t.Run("from_a_fresh_volume", func(t *testing.T) {
		f := f.with(t)
		f.mustCompose("down", "-t", "5")
		must(t, "docker", "volume", "rm", f.name+"_db")
		f.up(allServices()...)
		f.mustRestore("latest")
		f.want("postgres", belongings, before)
		f.want("shop", content, rows)
		f.assertCalm(allServices()...)
	})
}

func assertEvents(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Errorf("containers: %s\nwant: %s", strings.Join(got, ", "), strings.Join(want, ", "))
	}
}
