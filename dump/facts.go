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

	// Redis is what only the engine "redis" says.
	Redis *RedisFacts `json:"redis,omitempty"`
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
	Invalid        bool   `json:"invalid,omitempty"` // left by an interrupted DROP DATABASE

	// Marks are the tables of a database that a restore of ours made, by which
	// it says how far it is.
	Marks []string `json:"-"`
	// ReferredBy are tables of other databases whose foreign keys lead here.
	ReferredBy []string `json:"-"`
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
