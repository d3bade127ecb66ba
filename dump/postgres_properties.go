package dump

import "strings"

// The first and last line of a properties file. The last one says that the
// query ran to its end.
const (
	pgPropertiesHead = "-- ripplebak: properties of a PostgreSQL database, format 1"
	pgPropertiesEnd  = "-- ripplebak: properties complete"
)

// propertiesQuery writes, as SQL that may be run as it is, what belongs to the
// database NAME itself and is therefore dropped by a pg_restore that does not
// create the database: grants, settings (of roles in it too), comment,
// security labels, connection limit.
//
// A setting that is a list of identifiers (search_path and its kin) is stored
// as one string, and must be written as a list again.
func propertiesQuery(name string) string {
	return strings.ReplaceAll(pgPropertiesQuery, "@NAME@", quoteLiteral(name))
}

const pgPropertiesQuery = `WITH
db AS (SELECT d.*, pg_catalog.pg_get_userbyid(d.datdba) AS owner FROM pg_catalog.pg_database d WHERE d.datname = @NAME@),
setting AS (
  SELECT s.setrole, db.datname, u.n, pg_catalog.split_part(u.line, '=', 1) AS key,
    pg_catalog.substr(u.line, pg_catalog.strpos(u.line, '=') + 1) AS value
  FROM db JOIN pg_catalog.pg_db_role_setting s ON s.setdatabase = db.oid, LATERAL pg_catalog.unnest(s.setconfig) WITH ORDINALITY AS u(line, n)),
written AS (
  SELECT setrole, datname, n, pg_catalog.quote_ident(key) || ' TO ' || CASE
    WHEN key IN ('search_path', 'temp_tablespaces', 'local_preload_libraries', 'session_preload_libraries', 'shared_preload_libraries', 'unix_socket_directories')
    THEN COALESCE((SELECT pg_catalog.string_agg(pg_catalog.quote_literal(COALESCE(pg_catalog.replace(m.part[1], '""', '"'), m.part[2])), ', ' ORDER BY m.i)
      FROM pg_catalog.regexp_matches(value, '"((?:[^"]|"")*)"|([^",\s][^",]*[^",\s]|[^",\s])', 'g') WITH ORDINALITY AS m(part, i)), '''''')
    ELSE pg_catalog.quote_literal(value) END AS assignment
  FROM setting),
grants AS (
  SELECT db.datname, db.datdba, db.owner, a.n, a.grantor, pg_catalog.pg_get_userbyid(a.grantor) AS by,
    pg_catalog.format('GRANT %s ON DATABASE %I TO %s%s;', a.privilege_type, db.datname,
      CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END,
      CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) AS line
  FROM db, LATERAL pg_catalog.aclexplode(db.datacl) WITH ORDINALITY AS a(grantor, grantee, privilege_type, is_grantable, n)),
lines AS (
  SELECT 1 AS part, 0::bigint AS n, ''::text AS sub, pg_catalog.format('COMMENT ON DATABASE %I IS %L;', datname, pg_catalog.shobj_description(oid, 'pg_database')) AS line
  FROM db WHERE pg_catalog.shobj_description(oid, 'pg_database') IS NOT NULL
UNION ALL
  SELECT 2, 0, l.provider, pg_catalog.format('SECURITY LABEL FOR %I ON DATABASE %I IS %L;', l.provider, db.datname, l.label)
  FROM db JOIN pg_catalog.pg_shseclabel l ON l.objoid = db.oid AND l.classoid = 'pg_catalog.pg_database'::pg_catalog.regclass
UNION ALL
  SELECT 3, 0, '', pg_catalog.format('REVOKE ALL ON DATABASE %I FROM PUBLIC;', datname) FROM db WHERE datacl IS NOT NULL
UNION ALL
  SELECT 4, 0, '', pg_catalog.format('REVOKE ALL ON DATABASE %I FROM %I;', datname, owner) FROM db WHERE datacl IS NOT NULL
UNION ALL
  SELECT 5, n, '', line FROM grants WHERE grantor = datdba
UNION ALL
  SELECT 6, n, '', pg_catalog.format('SET SESSION AUTHORIZATION %I;', by) || E'\n' || line || E'\nRESET SESSION AUTHORIZATION;' FROM grants WHERE grantor <> datdba
UNION ALL
  SELECT 7, n, '', pg_catalog.format('ALTER DATABASE %I SET %s;', datname, assignment) FROM written WHERE setrole = 0
UNION ALL
  SELECT 8, n, pg_catalog.pg_get_userbyid(setrole)::text, pg_catalog.format('ALTER ROLE %I IN DATABASE %I SET %s;', pg_catalog.pg_get_userbyid(setrole), datname, assignment)
  FROM written WHERE setrole <> 0
UNION ALL
  SELECT 9, 0, '', pg_catalog.format('ALTER DATABASE %I CONNECTION LIMIT %s;', datname, datconnlimit) FROM db WHERE datconnlimit >= 0
UNION ALL
  SELECT 10, 0, '', pg_catalog.format('ALTER DATABASE %I IS_TEMPLATE true;', datname) FROM db WHERE datistemplate)
SELECT line FROM (
  SELECT 0 AS part, 0::bigint AS n, ''::text AS sub, '` + pgPropertiesHead + `' AS line
  UNION ALL SELECT part, n, sub, line FROM lines
  UNION ALL SELECT 11, 0, '', '` + pgPropertiesEnd + `' FROM db) AS q ORDER BY part, sub, n`
