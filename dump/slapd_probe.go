package dump

import (
	"encoding/base64"
	"fmt"
	"path"
	"strconv"
	"strings"
)

// Probe asks the files.
func (Slapd) Probe(Request) Command {
	return Command{Argv: shell(slapdProbe, ""), Show: "slapcat -n 0 -a '(objectClass=olcDatabaseConfig)' (which databases there are)"}
}

// ParseProbe reads the records of slapdProbe.
func (s Slapd) ParseProbe(_ Request, stdout []byte) (Facts, error) {
	facts := Facts{Engine: s.Name(), Product: "openldap", FreeBytes: -1, Slapd: &SlapdFacts{}}
	fields := strings.Split(string(stdout), "\x00")
	if n := len(fields); n < 2 || fields[n-1] != "" || fields[n-2] != "end" {
		return Facts{}, fmt.Errorf("%w: it has no end", errProbe)
	}
	fields = fields[:len(fields)-2]
	if len(fields)%2 != 0 {
		return Facts{}, fmt.Errorf("%w: a field is missing", errProbe)
	}
	for i := 0; i < len(fields); i += 2 {
		if err := facts.takeSlapd(fields[i], fields[i+1]); err != nil {
			return Facts{}, fmt.Errorf("%w: %w", errProbe, err)
		}
	}
	if facts.Slapd.Config == "" || len(facts.Slapd.Databases) == 0 {
		return Facts{}, fmt.Errorf("%w: it names no database that is kept in files", errProbe)
	}
	facts.Databases = []Database{{Name: slapdItem, Size: -1, AllowConn: true}}
	return facts, nil
}

func (f *Facts) takeSlapd(kind, value string) (err error) {
	switch kind {
	case "version":
		f.ServerVersion, f.ClientVersion = value, value
		f.ServerMajor, _ = versionOf(value) // 0 where it is odd: nothing goes by it
		f.ClientMajor = f.ServerMajor
	case "conf":
		if err := slapdDir(value); err != nil {
			return err
		}
		f.Slapd.Config = value
		f.addDataDir(value)
	case "databases":
		return f.takeSlapdDatabases(value)
	case "dir":
		f.addDataDir(value)
	case "df":
		f.FreeBytes, err = freeOf(value)
	default:
		return fmt.Errorf("record %.20q", kind)
	}
	return err
}

func slapdDir(dir string) error {
	if !path.IsAbs(dir) || path.Clean(dir) != dir || dir == "/" {
		return fmt.Errorf("%.60q is no directory of a database", dir)
	}
	return nil
}

// maxSlapdDatabases bounds what a configuration may claim.
const maxSlapdDatabases = 100

// takeSlapdDatabases reads entries of the configuration, whose lines are not
// folded.
func (f *Facts) takeSlapdDatabases(text string) error {
	for entry := range strings.SplitSeq(text, "\n\n") {
		number, suffix, dir := -1, "", ""
		for line := range strings.Lines(entry) {
			name, value, ok := ldifValue(strings.TrimRight(line, "\n"))
			if !ok {
				continue
			}
			switch name {
			case "olcDatabase":
				number = slapdNumber(value)
			case "olcSuffix":
				if suffix == "" {
					suffix = value
				}
			case "olcDbDirectory":
				dir = path.Clean(value)
			}
		}
		if dir == "" || number < 1 {
			continue // the configuration itself, a monitor, a proxy
		}
		if err := slapdDir(dir); err != nil {
			return err
		}
		if f.Slapd.Databases = append(f.Slapd.Databases, SlapdDatabase{Number: number, Suffix: suffix, Dir: dir}); len(f.Slapd.Databases) > maxSlapdDatabases {
			return fmt.Errorf("more than %d databases", maxSlapdDatabases)
		}
		f.addDataDir(dir)
	}
	return nil
}

// slapdNumber is the N of {N}mdb, as slapcat counts; -1 where there is none.
func slapdNumber(name string) int {
	inner, ok := strings.CutPrefix(name, "{")
	number, _, closed := strings.Cut(inner, "}")
	n, err := strconv.Atoi(number)
	if !ok || !closed || err != nil || n > 10000 {
		return -1
	}
	return n
}

// ldifValue splits a line of LDIF.
func ldifValue(line string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(line, ":")
	if !ok {
		return "", "", false
	}
	if encoded, is := strings.CutPrefix(value, ":"); is {
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
		return name, string(raw), err == nil
	}
	return name, strings.TrimPrefix(value, " "), true
}
