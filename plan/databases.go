package plan

import (
	"slices"
	"sort"
	"strings"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/labels"
)

// server is a kind of database that is known by its image.
type server struct {
	name  string   // for people
	words []string // in the last element of an image's name: it may be one
	label string   // what saves it; empty where this version has nothing

	// images are last elements of names that can be nothing else. For these
	// engine is the dump that is made where nobody says which; empty: none.
	images []string
	engine string
}

// servers is the table. The images of each are what its engine was written
// for: names in which more than the server may be (redis-stack with its
// modules), or clusters of which one node has but a part, are hints only. etcd
// has no engine here, because only a member that is alone is restored from its
// dump.
func servers() []server {
	return []server{
		{name: "PostgreSQL", label: "ripplebak.dump: pg_dump",
			words:  []string{"postgres", "postgresql", "postgis", "timescaledb", "pgvector", "pgvecto", "citus", "paradedb", "spilo"},
			images: []string{"postgres", "postgresql", "postgresql-repmgr", "postgis", "timescaledb", "timescaledb-ha", "pgvector", "pgvecto-rs", "vchord-postgres", "citus", "paradedb"}, engine: "pg_dump"},
		{name: "MariaDB", label: "ripplebak.dump: mariadb-dump",
			words: []string{"mariadb"}, images: []string{"mariadb", "mariadb-galera"}, engine: "mariadb-dump"},
		{name: "MySQL", label: "ripplebak.dump: mysqldump",
			words: []string{"mysql", "percona"}, images: []string{"mysql", "mysql-server", "percona", "percona-server"}, engine: "mysqldump"},
		{name: "MongoDB", label: "ripplebak.dump: mongodump", words: []string{"mongo", "mongodb"}},
		{name: "Redis", label: "ripplebak.dump: redis",
			words: []string{"redis", "valkey", "keydb"}, images: []string{"redis", "valkey", "keydb"}, engine: "redis"},
		{name: "etcd", label: "ripplebak.dump: etcd", words: []string{"etcd"}},
		{name: "OpenLDAP", label: "ripplebak.dump: slapd", words: []string{"openldap", "slapd"}},
		{name: "Dragonfly", words: []string{"dragonfly"}},
		{name: "Neo4j", label: "ripplebak.dump: neo4j", words: []string{"neo4j"}},
		{name: "InfluxDB", label: "ripplebak.dump: influxdb (InfluxDB 1)", words: []string{"influxdb"}},
		{name: "ClickHouse", words: []string{"clickhouse"}},
		{name: "Elasticsearch", words: []string{"elasticsearch", "opensearch"}},
	}
}

// notServers are words in the names of images that work with a database and
// hold none.
func notServers() []string {
	return []string{"exporter", "backup", "backups", "dump", "express", "operator", "bouncer", "pgbouncer", "proxy",
		"router", "client", "commander", "insight", "admin", "dashboards", "dashboard", "migrate", "migrations", "ui", "web", "sentinel", "pool", "pgpool"}
}

// databaseOf says which database a service runs, going by the name of its
// image, of whatever registry, and for PostgreSQL by what its image sets.
func databaseOf(s compose.Service) (server, bool) {
	words := strings.FieldsFunc(strings.ToLower(imageBase(s.Image)), func(r rune) bool { return r == '-' || r == '_' || r == '.' })
	for _, no := range notServers() {
		if slices.Contains(words, no) {
			return server{}, false
		}
	}
	for _, k := range servers() {
		if slices.ContainsFunc(k.words, func(w string) bool { return slices.Contains(words, w) }) {
			return k, true
		}
	}
	if slices.Contains(s.EnvNames, "PGDATA") {
		return servers()[0], true
	}
	return server{}, false
}

// imageBase is an image's name without registry, tag and digest.
func imageBase(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndex(image, "/"); i >= 0 {
		image = image[i+1:]
	}
	image, _, _ = strings.Cut(image, ":")
	return image
}

// unlabelled lists the services that carry no label of ours and hold what no
// item saves: volumes, or a database by its image. Volumes that no service
// mounts come last.
func unlabelled(in Input, items []Item) []Unlabelled {
	out := []Unlabelled{}
	saved := map[string]bool{}
	for _, it := range items {
		saved[it.Key] = true
	}
	refused := func(key string) bool { e := in.VolumeSpecs[key].Enabled; return e != nil && !*e }
	for _, s := range in.Project.Services {
		if spec := in.Specs[s.Name]; spec.Labelled || spec.Enabled {
			continue
		}
		var holds []string
		for _, m := range s.Mounts {
			if m.Kind == compose.KindVolume && m.Volume != "" && !m.ReadOnly && !saved["volume "+m.Volume] && !refused(m.Volume) {
				holds = append(holds, "volume "+m.Volume)
			}
		}
		advice := `ripplebak.enable: "true"`
		if db, ok := databaseOf(s); ok {
			holds = append(holds, "a "+db.name+" database, by its image")
			advice = db.advice()
		}
		if len(holds) > 0 {
			sort.Strings(holds)
			out = append(out, Unlabelled{Service: s.Name, Holds: slices.Compact(holds), Advice: advice})
		}
	}
	var orphans []string
	for _, v := range in.Project.Volumes {
		if v.Exists && len(in.Project.UsersOf(v.Name)) == 0 && !saved["volume "+v.Key] && !refused(v.Key) {
			orphans = append(orphans, "volume "+v.Key)
		}
	}
	if orphans != nil {
		out = append(out, Unlabelled{Holds: orphans, Advice: `ripplebak.enable: "true"`})
	}
	return out
}

// advice is the label that saves the database as well as this version can.
func (k server) advice() string {
	if k.label != "" {
		return k.label
	}
	return "ripplebak.during: stop"
}

// checkCopies warns of volumes that are copied under a running database: such
// a copy may be of no use.
func (p *Plan) checkCopies(in Input) {
	for _, it := range p.Items {
		if it.Volume == nil || !it.active() || it.Volume.During != labels.Live {
			continue
		}
		for _, name := range writers(in.Project, it.Volume.Docker) {
			s, _ := in.Project.Service(name)
			spec := in.Specs[name]
			switch db, ok := databaseOf(s); {
			case spec.Enabled && spec.Dump != nil:
				if slices.Contains(dataVolumes(s, in.Probes[name].dataDirs()), it.Name) {
					p.warn("%s: holds the files of the database of service %q and is copied while that runs: the copy may not start, the dumps are what counts; to have both, put ripplebak.during: stop on it", it.Key, name)
				}
			case ok:
				advice := db.advice()
				if spec.NoDump {
					advice = "ripplebak.during: stop"
				}
				p.warn("%s: service %q looks like %s and writes to it while it is copied: the copy may not start; put %s on the service", it.Key, name, db.name, advice)
			}
		}
	}
}
