package dump

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Influx is the engine "influxdb", for InfluxDB 1: what influxd backs up of all
// databases, which comes back as the server's own files.
type Influx struct{}

// Name is the engine's name in the label.
func (Influx) Name() string { return "influxdb" }

// influxItem is the one item: users and databases are in one file.
const influxItem = "all"

// influxFile is its name below dumps/SERVICE/.
const influxFile = "backup.tar"

// InfluxFacts is where a server keeps its files, and what lies there.
type InfluxFacts struct {
	Meta      string   `json:"meta"`
	Data      string   `json:"data"`
	WAL       string   `json:"wal"`
	Databases []string `json:"databases,omitempty"`
}

// Check refuses what cannot be chosen.
func (Influx) Check(req Request) error {
	if req.User != "" {
		return fmt.Errorf("%w: there is no user to name: influxd backup asks for none", ErrBadRequest)
	}
	for _, name := range req.Databases {
		if name != influxItem {
			return fmt.Errorf("%w: there is no database %q that could be dumped by itself: all are in one backup, with their users", ErrBadRequest, name)
		}
	}
	return nil
}

// Files is the one file.
func (e Influx) Files(req Request, facts Facts) ([]File, error) {
	if err := e.Check(req); err != nil {
		return nil, err
	}
	if facts.Influx == nil {
		return nil, errNotInflux
	}
	if req.Databases != nil && len(req.Databases) == 0 {
		return nil, nil
	}
	return []File{{
		Name: influxFile, Item: influxItem, Role: RoleDatabase,
		Command:  Command{Argv: shell(influxDump), Gate: true, Show: "influxd backup -portable"},
		NewProof: func() Proof { return newInfluxProof() },
	}}, nil
}

var errNotInflux = errors.New("nothing is recorded of the InfluxDB server")

// Skipped is nothing: a server has all of its databases.
func (Influx) Skipped(Request, Facts) []string { return nil }

// Judge is the proof for the file.
func (Influx) Judge(Role, string) Proof { return newInfluxProof() }

// Ready succeeds when the server answers, which it does when all shards are
// open. One that wants a password has answered, too.
func (Influx) Ready() Command {
	return Command{Argv: shell(influxReady), Show: "influx -execute 'SHOW DATABASES'"}
}

// influxHomes are where images keep the server's files.
var influxHomes = [...]string{"/var/lib/influxdb", "/bitnami/influxdb"}

// FallbackDataDirs goes by the server's own variables, and by where images put
// its files.
func (Influx) FallbackDataDirs(env func(string) string, mounts []string) []string {
	homes := slices.Clone(influxHomes[:])
	var dirs []string
	for _, name := range []string{"INFLUXDB_META_DIR", "INFLUXDB_DATA_DIR", "INFLUXDB_DATA_WAL_DIR"} {
		if dir := path.Clean(env(name)); path.IsAbs(dir) {
			homes, dirs = append(homes, dir), append(dirs, dir)
		}
	}
	if dirs == nil {
		dirs = append(dirs, influxHomes[0])
	}
	for _, mount := range mounts {
		mount = path.Clean(mount)
		inHome := slices.ContainsFunc(homes, func(h string) bool { return mount == h || strings.HasPrefix(mount, h+"/") })
		if inHome && !slices.Contains(dirs, mount) {
			dirs = append(dirs, mount)
		}
	}
	return dirs
}

// CanRestore refuses a dump of a newer series, whose files an older one may not
// read.
func (Influx) CanRestore(dumped, target Facts) error {
	switch {
	case dumped.Engine != target.Engine:
		return fmt.Errorf("%w: a dump by %s cannot be restored by %s", ErrBadRequest, dumped.Engine, target.Engine)
	case dumped.Influx == nil || target.Influx == nil:
		return errNotInflux
	case newerThan(dumped.ServerVersion, target.ServerVersion):
		return fmt.Errorf("%w: it was made of InfluxDB %s, the server is %s", ErrNewerDump, dumped.ServerVersion, target.ServerVersion)
	}
	return nil
}

// SpaceNeeded is the files with their indexes.
func (Influx) SpaceNeeded(_ Facts, _ string, dumpBytes int64) int64 {
	return dumpBytes + dumpBytes/4 + 64<<20
}

// Place has the old files go aside, and puts those of the dump where the server
// looks for them today. What it keeps beside them, indexes and logs, it makes
// anew when it starts. influxd restore is not asked: it leaves out users and
// continuous queries.
func (Influx) Place(dumped Facts, target *Facts) (Placement, error) {
	at := dumped.Influx
	if target != nil {
		at = target.Influx
	}
	if at == nil {
		return Placement{}, errNotInflux
	}
	dirs := []string{at.Meta, at.Data, at.WAL}
	for _, dir := range dirs {
		if err := influxDir(dir); err != nil {
			return Placement{}, fmt.Errorf("%w: %w", ErrBadRequest, err)
		}
	}
	for i, dir := range dirs {
		for j, other := range dirs {
			if i != j && (dir == other || strings.HasPrefix(dir, other+"/")) {
				return Placement{}, fmt.Errorf("%w: the server keeps %.60q in %.60q, where one cannot be told from the other", ErrBadRequest, dir, other)
			}
		}
	}
	return Placement{
		Empty: dirs,
		Load: []Step{{
			Name: "load", Cause: "its directories are empty", Input: InputDump, Filter: newInfluxFilter,
			Command: Command{Argv: shell(influxLoad, dirs...), Stdin: true, Show: "tar -x -C " + shown(at.Data) + " (the shards, and meta.db into " + shown(at.Meta) + ")"},
		}},
	}, nil
}

// Fits is nothing that the proof could say.
func (Influx) Fits(Proof, Facts, *Facts) error { return nil }

// Came says whether the server has opened every database of which there are
// files.
func (Influx) Came(proof Proof, _, now Facts) ([]string, error) {
	p, ok := proof.(*influxProof)
	if !ok || now.Influx == nil {
		return nil, errNotInflux
	}
	for _, name := range p.databases() {
		if !slices.Contains(now.Influx.Databases, name) {
			return nil, fmt.Errorf("the server came up without the database %.60q: look at its log", name)
		}
	}
	return nil, nil
}

// RestoreGlobals has nothing to do: users are in the one file.
func (Influx) RestoreGlobals(GlobalsRequest) ([]Step, []string, error) { return nil, nil, nil }

// Restore is not how this engine restores: see Place.
func (Influx) Restore(RestoreRequest) ([]Step, error) { return nil, errByFiles }

// Recover is not how this engine recovers: the volume's journal does.
func (Influx) Recover(RecoverRequest) (Recovery, error) { return Recovery{}, errByFiles }

// Leftovers are none: what a restore leaves lies in the volume.
func (Influx) Leftovers(Facts) []string { return nil }

// influxExplanations are looked through in order.
var influxExplanations = [...]struct{ text, advice string }{
	{"is not in the container", "the image lacks a program: dump from a container that has influxd, tar and gzip"},
	{"and not InfluxDB 1", "ripplebak.dump: influxdb is for InfluxDB 1; of newer ones save the volume, with ripplebak.during: stop"},
	{"does not listen", "the server does not listen where its setting bind-address (INFLUXDB_BIND_ADDRESS) says: is it running?"},
	{"does not say its settings", "influxd cannot read its configuration file: look at INFLUXDB_CONFIG_PATH"},
	{"no space left for a backup", "a backup is written to files first: make room in /tmp of the container, or where the server keeps its data"},
	{"No space left on device", "no space is left in /tmp of the container, or where the server keeps its data"},
	{"no space left on device", "no space is left in /tmp of the container, or where the server keeps its data"},
	{"Permission denied", "the files cannot be written by the user that the service runs as"},
	{"Download shard", "the server ended the connection: it was stopped or crashed; look at its log"},
	{"connection refused", "the server ended the connection: it was stopped or crashed; look at its log"},
}

// Explain says what an error text means.
func (Influx) Explain(stderr string, exit int) string {
	for _, e := range influxExplanations {
		if strings.Contains(stderr, e.text) {
			return e.advice
		}
	}
	switch exit {
	case 126, 127:
		return "the image has no program that can be run, or no shell"
	case 137:
		return "the command was killed: the container was stopped, or memory ran out"
	case 143:
		return "the command was ended: the container was stopped"
	}
	return ""
}
