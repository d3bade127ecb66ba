package dump

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// Probe is one exec that says all that a backup or restore must know.
func (Redis) Probe(req Request) Command {
	lines := redisArguments(req.Argv)
	return Command{
		Argv: shell(redisProbe, req.User), Stdin: len(lines) > 0, Input: lines,
		Show: "redis-cli INFO, CONFIG GET (versions, keys, where the files lie)",
	}
}

// ParseProbe reads the records of redisProbe.
func (r Redis) ParseProbe(req Request, stdout []byte) (Facts, error) {
	facts := Facts{Engine: r.Name(), User: req.User, FreeBytes: -1, Redis: &RedisFacts{Loaded: -1, Expired: -1, reach: redisArguments(req.Argv)}}
	fields := strings.Split(string(stdout), "\x00")
	if n := len(fields); n < 2 || fields[n-1] != "" || fields[n-2] != "end" {
		return Facts{}, fmt.Errorf("%w: it has no end", errProbe)
	}
	fields = fields[:len(fields)-2]
	for len(fields) > 0 {
		n := map[string]int{"client": 2, "info": 2, "files": 5, "aof": 1, "dir": 2, "df": 2}[fields[0]]
		if n == 0 || n > len(fields) {
			return Facts{}, fmt.Errorf("%w: record %.20q", errProbe, fields[0])
		}
		if err := facts.takeRedis(fields[:n]); err != nil {
			return Facts{}, fmt.Errorf("%w: %w", errProbe, err)
		}
		fields = fields[n:]
	}
	if facts.ServerMajor == 0 || facts.ClientVersion == "" || facts.Redis.File == "" {
		return Facts{}, fmt.Errorf("%w: it does not name the server, the client and the files", errProbe)
	}
	facts.Databases = []Database{{Name: redisItem, Size: -1, AllowConn: true}}
	return facts, nil
}

func (f *Facts) takeRedis(r []string) (err error) {
	switch r[0] {
	case "client":
		f.ClientVersion, _, _ = strings.Cut(r[1], "\n")
		if _, version, ok := strings.Cut(f.ClientVersion, " "); ok {
			f.ClientMajor, _ = versionOf(version) // 0 where it is odd: nothing goes by it
		}
	case "info":
		return f.takeInfo(r[1])
	case "files":
		for _, name := range r[2:] {
			if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
				return fmt.Errorf("%.60q is no name of a file", name)
			}
		}
		if r[1] != "" && !path.IsAbs(r[1]) {
			return fmt.Errorf("%.60q is no directory", r[1])
		}
		f.Redis.Dir, f.Redis.File, f.Redis.AOFFile, f.Redis.AOFDir = r[1], r[2], r[3], r[4]
		f.addDataDir(r[1])
	case "aof":
		f.Redis.AOF = true
	case "dir":
		f.addDataDir(r[1])
	case "df":
		f.FreeBytes, err = freeOf(r[1])
	}
	return err
}

// takeInfo reads the lines NAME:VALUE of INFO.
func (f *Facts) takeInfo(text string) error {
	r := f.Redis
	r.Product = "redis"
	number := func(s string) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 0 {
			return -1
		}
		return n
	}
	valkey := ""
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		if !ok {
			continue
		}
		switch {
		case name == "redis_version":
			f.ServerVersion = value
		case name == "valkey_version":
			valkey = value
		case name == "dragonfly_version":
			return fmt.Errorf("%w: it is Dragonfly, whose files are its own", ErrBadRequest)
		case name == "redis_mode" || name == "server_mode":
			r.Mode = value
		case name == "role":
			f.Standby = value == "slave" || value == "replica"
		case name == "loading":
			r.Loading = value != "0"
		case name == "aof_enabled":
			r.AOF = r.AOF || value == "1"
		case name == "rdb_last_load_keys_loaded":
			r.Loaded = number(value)
		case name == "rdb_last_load_keys_expired":
			r.Expired = number(value)
		case strings.HasPrefix(name, "db") && strings.HasPrefix(value, "keys="):
			keys, _, _ := strings.Cut(value[len("keys="):], ",")
			r.Keys += max(number(keys), 0)
		}
	}
	if valkey != "" {
		r.Product, f.ServerVersion = "valkey", valkey
	}
	if f.ServerMajor, _ = versionOf(f.ServerVersion); f.ServerMajor == 0 {
		return fmt.Errorf("the server has no version")
	}
	return nil
}
