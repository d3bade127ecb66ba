package dump

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Etcd is the engine "etcd": the snapshot that etcdctl saves of a member, which
// holds all keys, leases, users and roles of its cluster.
type Etcd struct{}

// Name is the engine's name in the label.
func (Etcd) Name() string { return "etcd" }

// etcdItem is the one item: a snapshot holds all that a cluster has.
const etcdItem = "all"

// etcdFile is its name below dumps/SERVICE/.
const etcdFile = "snapshot.db"

// EtcdFacts is what a member says of itself, and what making its data
// directory anew takes.
type EtcdFacts struct {
	Member   string   `json:"member"`            // its name
	PeerURLs []string `json:"peer_urls"`         // which it tells its peers
	Token    string   `json:"token,omitempty"`   // of its cluster; empty: the default
	Members  int      `json:"members"`           // of its cluster, itself included
	Dir      string   `json:"dir"`               // its data directory, as the server sees it
	WALDir   string   `json:"wal_dir,omitempty"` // where that is not in Dir
	// Revision is that of its keys, before they were dumped; 0: not recorded.
	Revision int64 `json:"revision,omitempty"`
}

// Check refuses a choice of databases, and of a user: only root may save a
// snapshot.
func (Etcd) Check(req Request) error {
	if req.User != "" {
		return fmt.Errorf("%w: the user comes from the container's environment: ETCD_ROOT_PASSWORD, or ETCDCTL_USER", ErrBadRequest)
	}
	for _, name := range req.Databases {
		if name != etcdItem {
			return fmt.Errorf("%w: there is no database %q that could be dumped by itself: all keys are in one snapshot", ErrBadRequest, name)
		}
	}
	return nil
}

// Files is the one file.
func (e Etcd) Files(req Request, facts Facts) ([]File, error) {
	if err := e.Check(req); err != nil {
		return nil, err
	}
	if facts.Etcd == nil {
		return nil, errNotEtcd
	}
	if req.Databases != nil && len(req.Databases) == 0 {
		return nil, nil
	}
	return []File{{
		Name: etcdFile, Item: etcdItem, Role: RoleDatabase,
		Command:  Command{Argv: shell(etcdDump), Gate: true, Show: "etcdctl snapshot save"},
		NewProof: func() Proof { return newEtcdProof() },
	}}, nil
}

var errNotEtcd = errors.New("nothing is recorded of the etcd server")

// Skipped is nothing: each member has all keys of its cluster.
func (Etcd) Skipped(Request, Facts) []string { return nil }

// Judge is the proof for the file.
func (Etcd) Judge(Role, string) Proof { return newEtcdProof() }

// Ready succeeds when the server answers and knows a leader. One that refuses
// the password answers, too: the users are those of the snapshot, and their
// passwords need not be those of the container's environment.
func (Etcd) Ready() Command {
	return Command{Argv: shell(etcdReady), Show: "etcdctl endpoint status"}
}

// etcdHomes are where images keep the server's files.
var etcdHomes = [...]string{"/bitnami/etcd", "/var/lib/etcd", "/etcd-data", "/etcd_data", "/default.etcd"}

// FallbackDataDirs goes by the server's own variable, and by where the images
// and the documents put its files.
func (Etcd) FallbackDataDirs(env func(string) string, mounts []string) []string {
	homes := slices.Clone(etcdHomes[:])
	var dirs []string
	if dir := env("ETCD_DATA_DIR"); path.IsAbs(dir) {
		dirs = append(dirs, path.Clean(dir))
		homes = append(homes, path.Clean(dir))
	}
	if dir := env("ETCD_WAL_DIR"); path.IsAbs(dir) {
		dirs = append(dirs, path.Clean(dir))
	}
	if dirs == nil {
		dirs = append(dirs, etcdHomes[1])
	}
	for _, mount := range mounts {
		for _, home := range homes {
			if mount = path.Clean(mount); (mount == home || strings.HasPrefix(mount, home+"/")) && !slices.Contains(dirs, mount) {
				dirs = append(dirs, mount)
			}
		}
	}
	return dirs
}

// CanRestore refuses a snapshot of a newer series, which may hold what an older
// one does not read, and clusters of several members, each of which would have
// to be made anew at the same time.
func (Etcd) CanRestore(dumped, target Facts) error {
	switch {
	case dumped.Engine != target.Engine:
		return fmt.Errorf("%w: a dump by %s cannot be restored by %s", ErrBadRequest, dumped.Engine, target.Engine)
	case dumped.Etcd == nil || target.Etcd == nil:
		return errNotEtcd
	case target.Etcd.Members > 1:
		return target.Etcd.errMembers()
	case dumped.ServerMajor > target.ServerMajor:
		return fmt.Errorf("%w: it was made of etcd %s, the server is %s; start etcd %s or newer", ErrNewerDump, dumped.ServerVersion, target.ServerVersion, mySeries(dumped.ServerMajor))
	}
	return nil
}

// etcdLogs is what a new data directory takes beside the keys: two files of
// its log, which are as large as they will get from the beginning.
const etcdLogs = 2 * 64000000

// SpaceNeeded is the snapshot, the new database made of it, and the log.
func (Etcd) SpaceNeeded(_ Facts, _ string, dumpBytes int64) int64 {
	return 2*dumpBytes + etcdLogs + 16<<20
}

// Leftovers are none: what a restore leaves lies in the volume.
func (Etcd) Leftovers(Facts) []string { return nil }
