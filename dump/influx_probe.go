package dump

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// Probe is one exec that says all that a backup or restore must know.
func (Influx) Probe(Request) Command {
	return Command{Argv: shell(influxProbe), Show: "influxd version, influxd config (where the files lie)"}
}

// influxMost bounds how many databases a server may have.
const influxMost = 10000

// ParseProbe reads the records of influxProbe.
func (e Influx) ParseProbe(_ Request, stdout []byte) (Facts, error) {
	facts := Facts{Engine: e.Name(), FreeBytes: -1, Influx: &InfluxFacts{}}
	fields := strings.Split(string(stdout), "\x00")
	if n := len(fields); n < 2 || fields[n-1] != "" || fields[n-2] != "end" {
		return Facts{}, fmt.Errorf("%w: it has no end", errProbe)
	}
	size := int64(-1)
	for fields = fields[:len(fields)-2]; len(fields) > 0; {
		n := map[string]int{"version": 2, "dirs": 4, "database": 2, "size": 2, "df": 2}[fields[0]]
		if n == 0 || n > len(fields) {
			return Facts{}, fmt.Errorf("%w: record %.20q", errProbe, fields[0])
		}
		r := fields[:n]
		fields = fields[n:]
		var err error
		switch r[0] {
		case "version":
			err = facts.takeInfluxVersion(r[1])
		case "dirs":
			err = facts.takeInfluxDirs(r)
		case "database":
			facts.Influx.Databases = append(facts.Influx.Databases, r[1])
		case "size":
			if kib, perr := strconv.ParseInt(r[1], 10, 64); perr == nil && kib >= 0 && kib < 1<<42 {
				size = kib << 10
			}
		case "df":
			facts.FreeBytes, err = freeOf(r[1])
		}
		if err != nil {
			return Facts{}, fmt.Errorf("%w: %w", errProbe, err)
		}
	}
	switch {
	case facts.ServerVersion == "" || facts.Influx.Data == "":
		return Facts{}, fmt.Errorf("%w: it does not name the server and its files", errProbe)
	case len(facts.Influx.Databases) > influxMost:
		return Facts{}, fmt.Errorf("%w: more than %d databases", errProbe, influxMost)
	}
	facts.Databases = []Database{{Name: influxItem, Size: size, AllowConn: true}}
	return facts, nil
}

func (f *Facts) takeInfluxVersion(version string) error {
	major, minor := versionOf(version)
	switch {
	case major != 1:
		return fmt.Errorf("version %.60q", version)
	case minor < 5:
		return fmt.Errorf("%w: InfluxDB %s has no portable backup: 1.5 or newer has", ErrBadRequest, version)
	}
	f.ServerVersion, f.ClientVersion = version, version
	f.ServerMajor, f.ClientMajor = major*100+minor, major*100+minor
	return nil
}

func (f *Facts) takeInfluxDirs(r []string) error {
	for _, dir := range r[1:] {
		if err := influxDir(dir); err != nil {
			return err
		}
		f.addDataDir(dir)
	}
	f.Influx.Meta, f.Influx.Data, f.Influx.WAL = r[1], r[2], r[3]
	return nil
}

func influxDir(dir string) error {
	if !path.IsAbs(dir) || path.Clean(dir) != dir || dir == "/" {
		return fmt.Errorf("%.60q is no directory of a server", dir)
	}
	return nil
}
