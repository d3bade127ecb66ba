package dump

import "strings"

// etcdExplanations are looked through in order.
var etcdExplanations = [...]struct{ text, advice string }{
	{"cannot read ETCD_ROOT_PASSWORD_FILE", "the file that ETCD_ROOT_PASSWORD_FILE names cannot be read in the container"},
	{"authentication failed", "the server refuses the password of root: look at ETCD_ROOT_PASSWORD or ETCD_ROOT_PASSWORD_FILE of the service, and at ETCDCTL_USER and ETCDCTL_PASSWORD where they are set"},
	{"user name is empty", "the server wants the password of root: set ETCD_ROOT_PASSWORD or ETCD_ROOT_PASSWORD_FILE of the service to it"},
	{"permission denied", "a snapshot can be saved by root only: set ETCD_ROOT_PASSWORD of the service, or ETCDCTL_USER and ETCDCTL_PASSWORD to a user with the role root"},
	{"etcdctl is not in the container", "the image has no etcdctl: dump from a container that has it"},
	{"no space left for a snapshot", "a snapshot is saved to a file first: make room in /tmp of the container, or where the server keeps its data"},
	{"no space left on device", "no space is left in /tmp of the container, or where the server keeps its data"},
	{"mvcc: database space exceeded", "the server has no space left by its quota: look at --quota-backend-bytes"},
	{"bad certificate", etcdCertificate},
	{"certificate required", etcdCertificate},
	{"tls: ", etcdCertificate},
	{"connection refused", etcdNotReached},
	{"listens nowhere", etcdNotReached},
	{"context deadline exceeded", etcdNotReached},
	{"error reading from server", "the server ended the connection: it was stopped or crashed; look at its log"},
	{"transport is closing", "the server ended the connection: it was stopped or crashed; look at its log"},
	{"sha256 checksum not found", "the server sent half a snapshot: it was stopped or crashed; look at its log"},
}

const (
	etcdNotReached  = "the server does not answer where ETCD_LISTEN_CLIENT_URLS says that it listens: is it running, and has it a leader?"
	etcdCertificate = "the server does not take its own certificate for a client's: set ETCDCTL_CERT and ETCDCTL_KEY of the service to one that it takes"
)

// Explain says what an error text means and which variable to look at.
func (Etcd) Explain(stderr string, exit int) string {
	for _, e := range etcdExplanations {
		if strings.Contains(stderr, e.text) {
			return e.advice
		}
	}
	switch exit {
	case 126, 127:
		return "the image has no etcdctl that can be run, or no shell: dump from a container that has both"
	case 137:
		return "the command was killed: the container was stopped, or memory ran out"
	case 143:
		return "the command was ended: the container was stopped"
	}
	return ""
}
