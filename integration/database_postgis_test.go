package integration

import "testing"

// TestPostGISComesBack: what PostGIS keeps in the database beside its tables:
// reference systems and topologies of one's own, types with modifiers, indexes
// and views that call its functions, which the restore's search path lacks.
func TestPostGISComesBack(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
services:
  db:
    extends: {file: postgres.yaml, service: postgres}
    image: ${POSTGIS_IMAGE}
volumes:
  db:
`).withRepository()
	p.up("db")
	p.sql("postgres", "CREATE DATABASE maps")
	p.sql("maps", `CREATE EXTENSION postgis; CREATE EXTENSION postgis_topology; ALTER DATABASE maps RESET search_path;
		INSERT INTO spatial_ref_sys (srid, auth_name, auth_srid, srtext, proj4text) VALUES (990001, 'ours', 1, 'LOCAL_CS["ours"]', '+proj=merc +lon_0=7 +datum=WGS84 +units=m');
		CREATE SCHEMA app;
		CREATE TABLE app.places (id serial PRIMARY KEY, at geometry(Point, 4326) NOT NULL, ours geometry(Point, 990001), around geography,
			CHECK (public.ST_X(at) BETWEEN -180 AND 180));
		INSERT INTO app.places (at, ours, around) SELECT ST_SetSRID(ST_MakePoint(i % 180, i % 90), 4326), ST_Transform(ST_SetSRID(ST_MakePoint(i % 80, i % 80), 4326), 990001),
			ST_Buffer(ST_SetSRID(ST_MakePoint(i % 180, i % 80), 4326)::geography, 1000) FROM generate_series(1, 2000) i;
		CREATE INDEX ON app.places USING gist (at); CREATE INDEX ON app.places USING gist (ST_Transform(at, 3857));
		CREATE MATERIALIZED VIEW app.areas AS SELECT id, round(ST_Area(around)::numeric, 2) AS area FROM app.places;
		SELECT topology.CreateTopology('roads', 4326); SELECT topology.TopoGeo_AddLineString('roads', 'SRID=4326;LINESTRING(0 0, 1 1, 2 0)');`)
	const content = `SELECT count(*), md5(string_agg(ST_AsEWKT(at) || ST_AsEWKT(ours) || ST_AsText(around, 6), ',' ORDER BY id)) FROM app.places;
		SELECT sum(area) FROM app.areas; SELECT proj4text FROM spatial_ref_sys WHERE srid = 990001; SELECT count(*) FROM spatial_ref_sys;
		SELECT name, srid FROM topology.topology; SELECT ST_AsText(geom) FROM roads.edge_data;
		SELECT count(*) FROM pg_indexes WHERE schemaname = 'app'; SELECT extname, extversion FROM pg_extension ORDER BY 1;
		SELECT count(*) FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase WHERE datname = 'maps'`
	before := p.sql("maps", content)
	id := p.backup().Snapshot
	p.sql("maps", "DROP TABLE app.places CASCADE; DELETE FROM spatial_ref_sys WHERE srid = 990001; SELECT topology.DropTopology('roads')")
	p.mustRestore(id)
	p.want("maps", content, before)

	p.sql("postgres", "DROP DATABASE maps")
	p.mustRestore(id, "--no-safety-snapshot")
	p.want("maps", content, before)
	p.sql("maps", "INSERT INTO app.places (at) VALUES ('SRID=4326;POINT(8 50)')")
	p.want("maps", "SELECT id > 2000 FROM app.places WHERE ST_DWithin(at, 'SRID=4326;POINT(8 50)', 0.1) AND around IS NULL", "t")
}
