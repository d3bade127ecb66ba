package integration

import (
	"strings"
	"testing"
)

// TestEtcdRoundTrip dumps under write load, and restores onto data that was
// changed, and lost with its volume.
func TestEtcdRoundTrip(t *testing.T) {
	t.Parallel()
	e := newEtcd(t, "from-a-file", `
    environment: {ETCD_ROOT_PASSWORD_FILE: /run/secret, ETCD_NAME: one}
    configs: [{source: secret, target: /run/secret}]`, `
configs:
  secret: {file: ./secret}`)
	e.fill()
	e.load()
	before := e.number("left")
	report := e.backup()
	after := e.number("left")
	if state, text := report.item("dump", "keys", "all"); state != "good" || report.data() != 1 {
		t.Fatalf("%s %s: %+v", state, text, report.Items)
	}
	if after == before {
		t.Fatal("nothing was written during the dump")
	}
	e.noTemporary()

	// Changed; the writer goes on until the server is stopped.
	e.etcd("del", "key/1777")
	e.etcd("put", "new", "1")
	events := e.events()
	e.mustRestore(report.Snapshot)
	assertEvents(t, events(), "stop app", "stop keys", "start keys", "start app")
	e.ready()
	e.wantFilled(before, after)
	if e.value("new") != "" {
		t.Error("a key that is not in the dump is still there")
	}
	e.assertCalm("keys", "app")
	e.noTemporary()
	e.mustCompose("restart", "-t", "10", "keys")
	e.ready()
	e.wantFilled(before, after)
	e.etcd("put", "after", "it can be written")

	e.mustCompose("down", "-t", "5")
	must(t, "docker", "volume", "rm", e.name+"_keys")
	e.up("keys", "app")
	e.ready()
	e.mustRestore(report.Snapshot, "--no-safety-snapshot")
	e.ready()
	e.wantFilled(before, after)
	e.assertCalm("keys", "app")
}

// TestEtcdRefusesAndFails: what cannot be proven is not stored, nothing is left
// in the container, and no password is printed.
func TestEtcdRefusesAndFails(t *testing.T) {
	t.Parallel()
	e := newEtcd(t, "the-right-one", `
    environment: {ETCD_ROOT_PASSWORD: the-right-one}`, "")
	e.fill()
	report := e.backup()
	if state, text := report.item("dump", "keys", "all"); state != "good" || report.data() != 1 {
		t.Fatalf("%s %s: %+v", state, text, report.Items)
	}
	good := report.Snapshot
	e.noTemporary()
	failed := func(t *testing.T, e *etcdProjectOf, texts ...string) {
		t.Helper()
		out := e.run("backup", "--json")
		if !e.unshim() || out.code == 0 {
			t.Errorf("want a failure: %s", out)
		}
		for _, text := range texts {
			if !strings.Contains(out.String(), text) {
				t.Errorf("want %q: %s", text, out)
			}
		}
		if strings.Contains(out.String(), "the-right-one") || strings.Contains(out.String(), "the-wrong-one") {
			t.Errorf("a password is printed: %s", out)
		}
		for _, s := range e.snapshots() {
			for _, i := range s.Items {
				if s.ID != good && i.Key == "dump keys/all" && i.State == "good" {
					t.Errorf("snapshot %.8s counts it as good", s.ID)
				}
			}
		}
		e.noTemporary()
	}
	t.Run("wrong password", func(t *testing.T) {
		e := e.inTest(t)
		e.shim(`hit; [ "$ETCDCTL_USER" != root:the-right-one ] || ETCDCTL_USER=root:the-wrong-one; exec /usr/bin/etcdctl "$@"`)
		failed(t, e, `service \"keys\"`, "ETCD_ROOT_PASSWORD")
	})
	t.Run("no client", func(t *testing.T) {
		e := e.inTest(t)
		move := func(from, to string) {
			must(t, "docker", "exec", "-u", "0", e.containerID("keys"), "mv", from, to)
		}
		move("/usr/bin/etcdctl", "/root/etcdctl")
		out := e.run("backup", "--json")
		move("/root/etcdctl", "/usr/bin/etcdctl")
		if out.code == 0 || !strings.Contains(out.String(), "etcdctl is not in the container") {
			t.Errorf("want a failure that names the client: %s", out)
		}
	})
	t.Run("cut without an error", func(t *testing.T) {
		e := e.inTest(t)
		e.shim(`case "$*" in "snapshot save"*) hit; /usr/bin/etcdctl "$@" || exit; truncate -s -4096 "$3" ;; *) exec /usr/bin/etcdctl "$@" ;; esac`)
		failed(t, e, "cut short")
	})
	t.Run("killed half-way", func(t *testing.T) {
		e := e.inTest(t)
		e.shim(`case "$*" in "snapshot save"*) hit; /usr/bin/etcdctl "$@"; kill 1; sleep 30 ;; *) exec /usr/bin/etcdctl "$@" ;; esac`)
		out := e.run("backup", "--json")
		if !e.unshim() || out.code == 0 {
			t.Errorf("the dump of a server that was killed: %s", out)
		}
		e.up("keys", "app")
		e.ready()
		// What the kill has left, the next dump takes away.
		e.mustRun("backup")
		e.noTemporary()
	})
}

// TestF22_EtcdRestoreIsOldOrNewWhole: whenever it is killed.
func TestF22_EtcdRestoreIsOldOrNewWhole(t *testing.T) {
	t.Parallel()
	e := newEtcd(t, "the-right-one", `
    environment: {ETCD_ROOT_PASSWORD: the-right-one}`, "")
	e.fill()
	snapshot := e.backup().Snapshot
	for point, old := range map[string]bool{"after-place": true, "mid-restore": true, "before-confirm": true, "mid-keep": false} {
		t.Run(point, func(t *testing.T) {
			e := e.inTest(t)
			e.etcd("put", "new", "1")
			e.crashed(point, "restore", snapshot, "--yes", "--no-safety-snapshot")
			eventually(t, "the next backup succeeds", func() bool { return e.run("backup").code == 0 })
			e.ready()
			if there := e.value("new") != ""; there != old {
				t.Errorf("what was made after the dump is there: %t, want %t", there, old)
			}
			e.wantFilled(0, 0)
			e.assertCalm("keys", "app")
			e.noTemporary()
		})
	}
}
