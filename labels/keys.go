package labels

import (
	"strings"
)

// Prefix begins every label of ours.
const Prefix = "ripplebak."

const (
	maxValue   = 4 << 10  // bytes in a value
	maxCommand = 64 << 10 // bytes in a command
)

// key is one label of the grammar.
type key struct {
	name  string // without the prefix
	parse func(p *parser, value string)
	// command: the value is a shell command. It may be longer and have several
	// lines, and it is never quoted in a message, because it may hold a secret.
	command bool
}

// serviceKeys is the grammar of a service's labels, in the order of the
// documentation.
func serviceKeys() []key {
	return []key{
		{name: "enable", parse: (*parser).enable},
		{name: "dump", parse: (*parser).dump},
		{name: "dump.databases", parse: (*parser).databases},
		{name: "dump.user", parse: (*parser).user},
		{name: "dump.exclude-table-data", parse: (*parser).excludeTableData},
		{name: "dump.path", parse: (*parser).paths},
		{name: "dump.command", parse: (*parser).dumpCommand, command: true},
		{name: "restore.command", parse: (*parser).restoreCommand, command: true},
		{name: "volumes", parse: (*parser).volumes},
		{name: "binds", parse: (*parser).binds},
		{name: "exclude", parse: (*parser).exclude},
		{name: "during", parse: (*parser).during},
		{name: "group", parse: (*parser).group},
		{name: "pre", parse: (*parser).pre, command: true},
		{name: "post", parse: (*parser).post, command: true},
		{name: "on-error", parse: (*parser).onError},
		{name: "schedule", parse: (*parser).schedule},
		{name: "keep", parse: (*parser).keep},
	}
}

// volumeKeys is the grammar of a volume's labels.
func volumeKeys() []key {
	return []key{
		{name: "enable", parse: (*parser).enable},
		{name: "exclude", parse: (*parser).exclude},
	}
}

// engines are the values of ripplebak.dump.
func engines() []string {
	return []string{"pg_dump", "mariadb-dump", "mysqldump", "mongodump", "redis", "etcd", "influxdb", "sqlite", "slapd", "neo4j", "command"}
}

// noDump is the value of ripplebak.dump that refuses a dump.
const noDump = "none"

// engineMeant finds the engine that somebody means who writes the name of the
// database or of a tool that is near.
func engineMeant(value string) string {
	switch strings.ToLower(value) {
	case "postgres", "postgresql", "pg", "psql", "pg_dumpall", "pg-dump", "postgis", "timescaledb":
		return "pg_dump"
	case "mariadb", "mariadbdump":
		return "mariadb-dump"
	case "mysql", "mysql-dump", "percona":
		return "mysqldump"
	case "mongo", "mongodb", "mongo-dump":
		return "mongodump"
	case "redis-cli", "rdb", "valkey", "keydb":
		return "redis"
	case "etcdctl", "etcdutl", "etcd3":
		return "etcd"
	case "influx", "influxd", "influxdb1":
		return "influxdb"
	case "sqlite3", "litestream":
		return "sqlite"
	case "openldap", "ldap", "slapcat":
		return "slapd"
	case "neo4j-admin":
		return "neo4j"
	case "shell", "sh", "script", "cmd", "exec":
		return "command"
	}
	return ""
}

// refusal is why a key that somebody might try is no label at all. It looks at
// the key's first word, so that "password", "password-file" and "password.file"
// are all caught. Settings of the sidecar are everybody's; privileges, images,
// mounts and other containers are nobody's to ask for by a label.
func refusal(name string) string {
	first := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '.' || r == '-' || r == '_' })
	if len(first) == 0 {
		return ""
	}
	switch first[0] {
	case "repository", "repo", "password", "passphrase", "project", "host", "hostname", "tz", "timezone",
		"log", "s3", "aws", "rest", "bucket", "endpoint", "region", "access", "secret", "token", "key",
		"cache", "state", "spool", "trust", "notify", "metrics", "web", "dashboard", "listen", "stall",
		"deadline", "timeout", "lock", "prune", "forget", "registry":
		return "would be a setting of the whole sidecar, which no label can change; it belongs in the sidecar's environment"
	case "privileged", "cap", "capabilities", "capability", "security", "docker", "socket", "network", "net",
		"pid", "ipc", "userns", "device", "devices", "mount", "mounts", "image", "entrypoint", "container",
		"containers", "service", "services", "root", "sysctls", "runtime":
		return "would reach beyond the service's own container, which no label can do"
	case "helper", "run", "owner", "sidecar", "journal":
		return "is what ripplebak marks its own containers with; a service cannot carry it"
	}
	return ""
}

func find(keys []key, name string) (key, bool) {
	for _, k := range keys {
		if k.name == name {
			return k, true
		}
	}
	return key{}, false
}

// names returns the keys' names without the prefix.
func names(keys []key) []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = k.name
	}
	return out
}

// keyMeant finds the key that somebody means who uses another word for it.
func keyMeant(name string) string {
	switch strings.ToLower(name) {
	case "", "backup", "enabled":
		return "enable"
	case "database", "databases", "db":
		return "dump.databases"
	case "user", "username":
		return "dump.user"
	case "path", "paths":
		return "dump.path"
	case "command", "cmd":
		return "dump.command"
	case "restore":
		return "restore.command"
	case "include":
		return "volumes"
	case "ignore", "excludes", "skip":
		return "exclude"
	case "stop", "pause", "live", "mode", "quiesce":
		return "during"
	case "cron", "interval", "every":
		return "schedule"
	case "retention", "retain":
		return "keep"
	case "before", "pre-hook", "hook":
		return "pre"
	case "after", "post-hook":
		return "post"
	}
	return ""
}
