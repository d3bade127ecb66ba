package integration

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// etcdProject is an etcd, an app that depends on it, and one that has nothing
// to do with it. What differs between tests is the service's own.
const etcdProject = `
services:
  keys:
    image: ${ETCD_IMAGE}
    labels:
      ripplebak.dump: etcd
    volumes:
      - keys:/bitnami/etcd
      - ./shim:/usr/local/sbin
%service
  app:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    depends_on: [keys]
volumes:
  keys:
%top
`

// etcdProjectOf is a project whose etcd lets the tests in with a password.
type etcdProjectOf struct {
	*project
	password string
}

func newEtcd(t testing.TB, password, service, top string) *etcdProjectOf {
	t.Helper()
	p := newProject(t, strings.NewReplacer("%service", service, "%top", top).Replace(etcdProject)).withRepository()
	p.write("shim/.keep", "")
	p.write("secret", password+"\n")
	if err := os.Chmod(filepath.Join(p.dir, "shim"), 0o777); err != nil {
		t.Fatal(err)
	}
	e := &etcdProjectOf{project: p, password: password}
	e.up("keys", "app")
	e.ready()
	return e
}

func (e *etcdProjectOf) inTest(t testing.TB) *etcdProjectOf {
	return &etcdProjectOf{project: e.project.inTest(t), password: e.password}
}

func (e *etcdProjectOf) argv(args ...string) []string {
	argv := []string{"docker", "exec", "-e", "ETCDCTL_API=3"}
	if e.password != "" {
		argv = append(argv, "-e", "ETCDCTL_USER=root:"+e.password)
	}
	return append(append(argv, e.containerID("keys"), "/usr/bin/etcdctl"), args...)
}

// ready waits until the server that stays answers: the one that only sets the
// password ends before its process is the container's first.
func (e *etcdProjectOf) ready() {
	e.t.Helper()
	eventually(e.t, "etcd answers", func() bool {
		first := command(e.t, "", nil, "", "docker", "exec", e.containerID("keys"), "cat", "/proc/1/comm")
		return strings.TrimSpace(first.stdout) == "etcd" && command(e.t, "", nil, "", e.argv("get", "x")...).code == 0
	})
}

func (e *etcdProjectOf) etcd(args ...string) string {
	e.t.Helper()
	return strings.TrimSpace(must(e.t, e.argv(args...)...))
}

// count is the number of keys that begin so.
func (e *etcdProjectOf) count(prefix string) int {
	e.t.Helper()
	out := e.etcd("get", prefix, "--prefix", "--keys-only")
	return strings.Count(out, prefix)
}

func (e *etcdProjectOf) value(key string) string {
	e.t.Helper()
	return e.etcd("get", key, "--print-value-only")
}

// fill makes keys, one that was changed, one that expires, a role and a user.
func (e *etcdProjectOf) fill() {
	e.t.Helper()
	user := ""
	if e.password != "" {
		user = "ETCDCTL_USER=root:" + e.password
	}
	must(e.t, "docker", "exec", "-e", "ETCDCTL_API=3", "-e", user, e.containerID("keys"), "bash", "-ec", `
		for ((b = 0; b < 20; b++)); do
			{ echo; for ((i = 0; i < 100; i++)); do echo "put key/$((b * 100 + i)) value-$((b * 100 + i))"; done; echo; echo; } | etcdctl txn >/dev/null
		done
		etcdctl put changed old; etcdctl put changed new
		lease=$(etcdctl lease grant 100000); lease=${lease#lease }; lease=${lease%% *}
		etcdctl put later 1 --lease="$lease"
		etcdctl put left 0; etcdctl put right 0
		etcdctl role add reader; etcdctl role grant-permission reader read key/ --prefix=true
		etcdctl user add reader:its-password; etcdctl user grant-role reader reader`)
}

// load moves two counters together, for ever.
func (e *etcdProjectOf) load() {
	e.t.Helper()
	user := ""
	if e.password != "" {
		user = "ETCDCTL_USER=root:" + e.password
	}
	must(e.t, "docker", "exec", "-d", "-e", "ETCDCTL_API=3", "-e", user, e.containerID("keys"), "bash", "-c",
		`for ((i = 1; ; i++)); do printf '\nput left %d\nput right %d\n\n\n' $i $i | /usr/bin/etcdctl txn >/dev/null || exit; done`)
	eventually(e.t, "the counters move", func() bool { return e.number("left") > 5 })
}

func (e *etcdProjectOf) number(key string) int {
	e.t.Helper()
	n, err := strconv.Atoi(e.value(key))
	if err != nil {
		e.t.Fatal(err)
	}
	return n
}

// wantFilled asserts that what fill and load have made is there, at one point
// in time between two counts.
func (e *etcdProjectOf) wantFilled(from, to int) {
	e.t.Helper()
	left, right := e.number("left"), e.number("right")
	if left != right || left < from || left > to {
		e.t.Errorf("the counters are %d and %d, want %d to %d", left, right, from, to)
	}
	if n := e.count("key/"); n != 2000 {
		e.t.Errorf("there are %d keys", n)
	}
	if got := e.value("key/1777"); got != "value-1777" {
		e.t.Errorf("a key is %q", got)
	}
	if got := e.value("changed"); got != "new" {
		e.t.Errorf("the changed key is %q", got)
	}
	if leases := e.etcd("lease", "list"); !strings.Contains(leases, "found 1 leases") {
		e.t.Errorf("leases: %s", leases)
	}
	if role := e.etcd("role", "get", "reader"); !strings.Contains(role, "key/") {
		e.t.Errorf("the role: %s", role)
	}
}

// shim replaces the client in the server's container.
func (e *etcdProjectOf) shim(script string) {
	e.t.Helper()
	e.write("shim/etcdctl", "#!/bin/bash\nhit() { echo hit >>/usr/local/sbin/hits; }\n"+script+"\n")
	if err := os.Chmod(filepath.Join(e.dir, "shim", "etcdctl"), 0o755); err != nil {
		e.t.Fatal(err)
	}
}

func (e *etcdProjectOf) unshim() (hit bool) {
	e.t.Helper()
	_, err := os.Stat(filepath.Join(e.dir, "shim", "hits"))
	for _, name := range []string{"etcdctl", "hits"} {
		if err := os.RemoveAll(filepath.Join(e.dir, "shim", name)); err != nil {
			e.t.Fatal(err)
		}
	}
	return err == nil
}

// noTemporary asserts that nothing of a dump is left in the container.
func (e *etcdProjectOf) noTemporary() {
	e.t.Helper()
	if found := must(e.t, "docker", "exec", e.containerID("keys"), "find", "/tmp", "/var/tmp", "/bitnami/etcd", "-name", ".ripplebak*"); found != "" {
		e.t.Errorf("left behind: %s", found)
	}
}
