package dump

import (
	"fmt"
	"path"
	"strings"
)

// Place has the old data directory go aside, and has etcd's own tool make a
// new one of the snapshot, for a cluster of this member alone. What the member
// is called today counts, for that is what the server is started with.
func (Etcd) Place(dumped Facts, target *Facts) (Placement, error) {
	e := dumped.Etcd
	if target != nil {
		e = target.Etcd
	}
	switch {
	case e == nil || e.Dir == "" || len(e.PeerURLs) == 0:
		return Placement{}, fmt.Errorf("%w: where the server keeps its files is not known", ErrBadRequest)
	case e.Members > 1:
		return Placement{}, e.errMembers()
	}
	for _, dir := range []string{e.Dir, e.WALDir} {
		if dir != "" && (!path.IsAbs(dir) || path.Clean(dir) != dir || dir == "/") {
			return Placement{}, fmt.Errorf("%w: %.60q is no directory of a server", ErrBadRequest, dir)
		}
	}
	p := Placement{Empty: []string{e.Dir}}
	if e.WALDir != "" && e.WALDir != e.Dir && !strings.HasPrefix(e.WALDir, e.Dir+"/") {
		p.Empty = append(p.Empty, e.WALDir)
	}
	var cluster []string
	for _, u := range e.PeerURLs {
		cluster = append(cluster, e.Member+"="+u)
	}
	p.Load = []Step{{
		Name: "load", Cause: "etcd takes a snapshot only as a new data directory", Input: InputDump,
		Command: Command{
			Argv: shell(etcdLoad, e.Dir, e.WALDir,
				"--name="+e.Member, "--initial-cluster="+strings.Join(cluster, ","), "--initial-advertise-peer-urls="+strings.Join(e.PeerURLs, ","),
				"--initial-cluster-token="+e.token()),
			Stdin: true, Show: "etcdctl snapshot restore --name " + shown(e.Member) + " --data-dir " + shown(e.Dir),
		},
	}}
	return p, nil
}

// token is that of the cluster, or etcd's default.
func (e *EtcdFacts) token() string {
	if e.Token == "" {
		return "etcd-cluster"
	}
	return e.Token
}

func (e *EtcdFacts) errMembers() error {
	return fmt.Errorf("%w: the server is one of %d members; all of them have to be made anew from one snapshot: export it, and run \"etcdctl snapshot restore\" for each as etcd's documents say", ErrBadRequest, e.Members)
}

// Fits is nothing that the proof could say: etcdctl checks the sum again.
func (Etcd) Fits(Proof, Facts, *Facts) error { return nil }

// Came is asked of a server that answers, and lets root in. A revision never
// goes back, so that one which has less than when it was dumped has come up with
// other data.
func (Etcd) Came(_ Proof, dumped, now Facts) ([]string, error) {
	if now.Etcd == nil || dumped.Etcd == nil {
		return nil, errNotEtcd
	}
	if now.Etcd.Members != 1 {
		return nil, fmt.Errorf("the server came up in a cluster of %d members, and not with the restored data: look at its log", now.Etcd.Members)
	}
	if now.Etcd.Revision < dumped.Etcd.Revision {
		return nil, fmt.Errorf("the server came up with revision %d of its keys, the dump has %d at least: it keeps its files in %s; look at its log", now.Etcd.Revision, dumped.Etcd.Revision, now.Etcd.Dir)
	}
	return nil, nil
}

// RestoreGlobals has nothing to do: users and roles are in the snapshot.
func (Etcd) RestoreGlobals(GlobalsRequest) ([]Step, []string, error) { return nil, nil, nil }

// Restore is not how this engine restores: see Place.
func (Etcd) Restore(RestoreRequest) ([]Step, error) { return nil, errByFiles }

// Recover is not how this engine recovers: the volume's journal does.
func (Etcd) Recover(RecoverRequest) (Recovery, error) { return Recovery{}, errByFiles }
