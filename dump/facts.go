package dump

// Facts is what an engine says of a server. It goes into the manifest, so that
// a restore knows what it restores; it holds no secret.
type Facts struct {
	Engine        string     `json:"engine"`
	Product       string     `json:"product,omitempty"` // where an engine knows servers of several kinds
	ServerVersion string     `json:"server_version"`
	ServerMajor   int        `json:"server_major"`
	ClientVersion string     `json:"client_version"`
	ClientMajor   int        `json:"client_major"`
	User          string     `json:"user"`
	Superuser     bool       `json:"superuser"`
	CreateDB      bool       `json:"create_db"`
	CreateRole    bool       `json:"create_role"`
	Standby       bool       `json:"standby,omitempty"`
	Databases     []Database `json:"databases"`
	Roles         []string   `json:"roles,omitempty"`
	Tablespaces   []string   `json:"tablespaces,omitempty"` // those that are not the server's own

	// DataDirs are paths inside the container that hold the engine's own files,
	// as named and with symlinks resolved.
	DataDirs []string `json:"data_dirs,omitempty"`
	// Warnings are what a dump of this server does not keep, or not as of one
	// moment.
	Warnings []string `json:"warnings,omitempty"`
	// FreeBytes is what the filesystem of the data directory has to give; -1
	// where that is not known.
	FreeBytes int64 `json:"-"`

	// Host and Connect are how the probe reached the server: "" for the local
	// socket, and a database that it could connect to.
	Host    string `json:"-"`
	Connect string `json:"-"`

	// Absent are databases that a label names and that are not there.
	Absent []Absent `json:"-"`

	// SQLite is what only the engine "sqlite" says.
	SQLite *SQLiteFacts `json:"sqlite,omitempty"`
	// Redis is what only the engine "redis" says.
	Redis *RedisFacts `json:"redis,omitempty"`
	// Mongo is what only the engine "mongodump" says.
	Mongo *MongoFacts `json:"mongo,omitempty"`
	// Command is what only the engine "command" says.
	Command *CommandFacts `json:"command,omitempty"`
	// Slapd is what only the engine "slapd" says.
	Slapd *SlapdFacts `json:"slapd,omitempty"`
	// Influx is what only the engine "influxdb" says.
	Influx *InfluxFacts `json:"influxdb,omitempty"`
	// Neo4j is what only the engine "neo4j" says.
	Neo4j *Neo4jFacts `json:"neo4j,omitempty"`
	// Etcd is what only the engine "etcd" says.
	Etcd *EtcdFacts `json:"etcd,omitempty"`
}

// Database is what a server says of one database.
type Database struct {
	Name           string `json:"name"`
	Owner          string `json:"owner"`
	Encoding       string `json:"encoding"`
	Collate        string `json:"collate"`
	CType          string `json:"ctype"`
	LocaleProvider string `json:"locale_provider,omitempty"` // "libc", "icu", "builtin"
	Locale         string `json:"locale,omitempty"`          // of icu or builtin
	ICURules       string `json:"icu_rules,omitempty"`
	Tablespace     string `json:"tablespace,omitempty"` // empty: the default
	Size           int64  `json:"size"`                 // bytes on disk; -1 where that is not known
	AllowConn      bool   `json:"allow_conn"`
	Template       bool   `json:"template,omitempty"`
	// Serializable says that sessions are serializable where they do not say
	// otherwise: then a dump has to be a state that some order of them gives.
	Serializable bool `json:"serializable,omitempty"`
	Invalid      bool `json:"invalid,omitempty"` // left by an interrupted DROP DATABASE

	// Marks are the tables of a database that a restore of ours made, by which
	// it says how far it is.
	Marks []string `json:"-"`
	// ReferredBy are tables of other databases whose foreign keys lead here.
	ReferredBy []string `json:"-"`
}

// Of are the facts of one database, where databases have nothing in common;
// else all of them.
func (f Facts) Of(name string) Facts {
	if f.SQLite == nil {
		return f
	}
	only := f
	only.SQLite, only.Databases, only.Absent = &SQLiteFacts{}, nil, nil
	for _, file := range f.SQLite.Files {
		if file.Name == name {
			only.SQLite.Files = append(only.SQLite.Files, file)
		}
	}
	if d, ok := f.Database(name); ok {
		only.Databases = []Database{d}
	}
	return only
}

// Database finds a database by its name.
func (f Facts) Database(name string) (Database, bool) {
	for _, d := range f.Databases {
		if d.Name == name {
			return d, true
		}
	}
	return Database{}, false
}
