package dump

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"
)

// Probe is one exec that says all that a backup or restore must know.
func (Etcd) Probe(Request) Command {
	return Command{Argv: shell(etcdProbe), Show: "etcdctl endpoint status, member list (version, members, where the files lie)"}
}

// etcdMost bounds how many members and addresses are taken from a server.
const etcdMost = 64

// ParseProbe reads the records of etcdProbe.
func (e Etcd) ParseProbe(_ Request, stdout []byte) (Facts, error) {
	facts := Facts{Engine: e.Name(), FreeBytes: -1, Etcd: &EtcdFacts{}}
	fields := strings.Split(string(stdout), "\x00")
	if n := len(fields); n < 2 || fields[n-1] != "" || fields[n-2] != "end" {
		return Facts{}, fmt.Errorf("%w: it has no end", errProbe)
	}
	var status, members string
	for fields = fields[:len(fields)-2]; len(fields) > 0; {
		n := map[string]int{"client": 2, "status": 2, "members": 2, "place": 5, "dir": 2, "df": 2}[fields[0]]
		if n == 0 || n > len(fields) {
			return Facts{}, fmt.Errorf("%w: record %.20q", errProbe, fields[0])
		}
		r := fields[:n]
		fields = fields[n:]
		var err error
		switch r[0] {
		case "client":
			err = facts.takeEtcdClient(r[1])
		case "status":
			status = r[1]
		case "members":
			members = r[1]
		case "place":
			err = facts.takeEtcdPlace(r)
		case "dir":
			facts.addDataDir(r[1])
		case "df":
			facts.FreeBytes, err = freeOf(r[1])
		}
		if err != nil {
			return Facts{}, fmt.Errorf("%w: %w", errProbe, err)
		}
	}
	id, err := facts.takeEtcdStatus(status)
	if err == nil {
		err = facts.takeEtcdMembers(members, id)
	}
	if err == nil && (facts.ClientVersion == "" || facts.Etcd.Dir == "") {
		err = fmt.Errorf("it does not name the client and the files")
	}
	if err != nil {
		return Facts{}, fmt.Errorf("%w: %w", errProbe, err)
	}
	return facts, nil
}

// takeEtcdClient reads "etcdctl version: 3.4.23".
func (f *Facts) takeEtcdClient(text string) error {
	for line := range strings.Lines(text) {
		if version, ok := strings.CutPrefix(strings.TrimSpace(line), "etcdctl version: "); ok {
			f.ClientVersion = "etcdctl " + version
			major, minor := versionOf(version)
			f.ClientMajor = major*100 + minor
			return nil
		}
	}
	return fmt.Errorf("the client says no version")
}

func (f *Facts) takeEtcdPlace(r []string) error {
	e := f.Etcd
	e.Member, e.Dir, e.WALDir, e.Token = r[1], r[2], r[3], r[4]
	if !path.IsAbs(e.Dir) || e.WALDir != "" && !path.IsAbs(e.WALDir) {
		return fmt.Errorf("%.60q is no directory", e.Dir+" "+e.WALDir)
	}
	if strings.ContainsAny(e.Token, "\n,=") {
		return fmt.Errorf("%.60q is no token of a cluster", e.Token)
	}
	e.Dir = path.Clean(e.Dir)
	f.addDataDir(e.Dir)
	if e.WALDir != "" {
		e.WALDir = path.Clean(e.WALDir)
		f.addDataDir(e.WALDir)
	}
	return nil
}

// takeEtcdStatus reads what the one endpoint says, and gives its member's ID.
func (f *Facts) takeEtcdStatus(text string) (uint64, error) {
	var all []struct {
		Status struct {
			Header struct {
				Member   uint64 `json:"member_id"`
				Revision int64  `json:"revision"`
			} `json:"header"`
			Version string `json:"version"`
			Size    int64  `json:"dbSize"`
			Learner bool   `json:"isLearner"`
		}
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil || len(all) != 1 {
		return 0, fmt.Errorf("the status of the server is not understood")
	}
	s := all[0].Status
	major, minor := versionOf(s.Version)
	if major == 0 || minor < 0 || minor > 99 || s.Size < 0 {
		return 0, fmt.Errorf("version %.60q", s.Version)
	}
	f.ServerVersion, f.ServerMajor, f.Standby, f.Etcd.Revision = s.Version, major*100+minor, s.Learner, s.Header.Revision
	f.Databases = []Database{{Name: etcdItem, Size: s.Size, AllowConn: true}}
	return s.Header.Member, nil
}

// takeEtcdMembers finds the server among the members of its cluster.
func (f *Facts) takeEtcdMembers(text string, id uint64) error {
	var list struct {
		Members []struct {
			ID       uint64   `json:"ID"`
			Name     string   `json:"name"`
			PeerURLs []string `json:"peerURLs"`
		} `json:"members"`
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Members) == 0 || len(list.Members) > etcdMost {
		return fmt.Errorf("the list of members is not understood")
	}
	e := f.Etcd
	e.Members = len(list.Members)
	for _, m := range list.Members {
		if m.ID != id {
			continue
		}
		if m.Name == "" || len(m.Name) > 255 || strings.ContainsAny(m.Name, "=,\n") {
			return fmt.Errorf("%.60q is no name of a member", m.Name)
		}
		if len(m.PeerURLs) == 0 || len(m.PeerURLs) > etcdMost {
			return fmt.Errorf("the member has %d addresses", len(m.PeerURLs))
		}
		for _, address := range m.PeerURLs {
			scheme, host, _ := strings.Cut(address, "://")
			if scheme != "http" && scheme != "https" || host == "" || strings.ContainsAny(host, ",=\n ") {
				return fmt.Errorf("%.60q is no address of a member", address)
			}
		}
		e.Member, e.PeerURLs = m.Name, m.PeerURLs
		return nil
	}
	return fmt.Errorf("the server is not among the members of its cluster")
}
