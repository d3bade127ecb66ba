package dump

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Probe asks the files.
func (Neo4j) Probe(Request) Command {
	return Command{Argv: shell(neo4jProbe), Show: "ls /data/databases (which databases there are)"}
}

// neo4jMost bounds how many databases a directory may hold.
const neo4jMost = 200

// ParseProbe reads the records of neo4jProbe.
func (e Neo4j) ParseProbe(_ Request, stdout []byte) (Facts, error) {
	facts := Facts{Engine: e.Name(), FreeBytes: -1, Neo4j: &Neo4jFacts{}}
	fields := strings.Split(string(stdout), "\x00")
	if n := len(fields); n < 2 || fields[n-1] != "" || fields[n-2] != "end" {
		return Facts{}, fmt.Errorf("%w: it has no end", errProbe)
	}
	all := Database{Name: neo4jItem, AllowConn: true}
	for fields = fields[:len(fields)-2]; len(fields) > 0; {
		n := map[string]int{"version": 2, "dir": 3, "database": 3, "df": 2}[fields[0]]
		if n == 0 || n > len(fields) {
			return Facts{}, fmt.Errorf("%w: record %.20q", errProbe, fields[0])
		}
		r := fields[:n]
		fields = fields[n:]
		var err error
		switch r[0] {
		case "version":
			facts.ServerVersion, facts.ClientVersion = r[1], r[1]
			facts.ServerMajor, _ = versionOf(r[1])
			facts.ClientMajor = facts.ServerMajor
		case "dir":
			err = facts.takeNeo4jDirs(r[1], r[2])
		case "database":
			var size int64
			size, err = facts.takeNeo4jDatabase(r[1], r[2])
			all.Size += size
		case "df":
			facts.FreeBytes, err = freeOf(r[1])
		}
		if err != nil {
			return Facts{}, fmt.Errorf("%w: %w", errProbe, err)
		}
	}
	switch {
	case facts.ServerMajor < 4:
		return Facts{}, fmt.Errorf("%w: Neo4j %.20q is not known: 4.0 or newer is", ErrBadRequest, facts.ServerVersion)
	case facts.Neo4j.Dir == "" || len(facts.Neo4j.Databases) == 0:
		return Facts{}, fmt.Errorf("%w: it names no database", errProbe)
	}
	// What the others are comes first.
	slices.SortFunc(facts.Neo4j.Databases, func(a, b string) int {
		if first := b == neo4jSystem; first != (a == neo4jSystem) {
			return map[bool]int{true: 1, false: -1}[first]
		}
		return strings.Compare(a, b)
	})
	facts.Databases = []Database{all}
	return facts, nil
}

func (f *Facts) takeNeo4jDirs(dir, logs string) error {
	for _, d := range []string{dir, logs} {
		if err := neo4jDir(d); err != nil {
			return err
		}
		f.addDataDir(d)
	}
	f.Neo4j.Dir, f.Neo4j.Logs = dir, logs
	return nil
}

func neo4jDir(dir string) error {
	if !path.IsAbs(dir) || path.Clean(dir) != dir || dir == "/" || strings.ContainsAny(dir, "\n\r") {
		return fmt.Errorf("%.60q is no directory of a server", dir)
	}
	return nil
}

// takeNeo4jDatabase notes a database, and gives its size in bytes.
func (f *Facts) takeNeo4jDatabase(name, kib string) (int64, error) {
	if !neo4jName(name) {
		return 0, fmt.Errorf("%.60q is no name of a database", name)
	}
	if slices.Contains(f.Neo4j.Databases, name) {
		return 0, fmt.Errorf("database %q is there twice", name)
	}
	if f.Neo4j.Databases = append(f.Neo4j.Databases, name); len(f.Neo4j.Databases) > neo4jMost {
		return 0, fmt.Errorf("more than %d databases", neo4jMost)
	}
	n, err := strconv.ParseInt(kib, 10, 64)
	if err != nil || n < 0 || n >= 1<<42 {
		return 0, nil // not known, which is no error
	}
	return n << 10, nil
}

// neo4jName says whether a directory is named as a server names one of a
// database: letters, digits, dots and dashes, and no option.
func neo4jName(name string) bool {
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.' && r != '-'
	}
	return name != "" && len(name) <= 65 && !strings.ContainsFunc(name, odd) && name[0] != '.' && name[0] != '-'
}
