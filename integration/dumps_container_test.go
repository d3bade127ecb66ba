package integration

import (
	"strings"
	"testing"
	"time"
)

// hang is a dump that comes to a stop after some of its output, and says so.
const hang = `"$real" "$@" | head -c 400000; sleep 300`

// awaitHit waits until a shim is reached and its output is on its way.
func (f *dumpFault) awaitHit() {
	f.t.Helper()
	eventually(f.t, "the shim is reached", f.hit)
}

// TestF04_F05_F06_F11_ContainerInMidDump does to a container what may be done
// to it while its database is dumped.
func TestF04_F05_F06_F11_ContainerInMidDump(t *testing.T) {
	t.Parallel()
	f := newDumpFault(t)
	t.Run("F04_killed", func(t *testing.T) {
		f := f.with(t)
		f.shimShop(hang)
		wait := f.background(nil, "backup", "--json")
		f.awaitHit()
		must(t, "docker", "kill", f.containerID("db"))
		r := wait()
		f.up("db")
		f.assertOlderShopIsTaken(f.assertShopFailed(r, "137").Snapshot)
		f.cleanRun()
	})
	t.Run("F05_removed_and_recreated", func(t *testing.T) {
		f := f.with(t)
		f.good = f.cleanRun()
		f.shimShop(hang)
		wait := f.background(nil, "backup", "--json")
		f.awaitHit()
		old := f.containerID("db")
		must(t, "docker", "rm", "-f", old)
		f.up("db")
		if f.containerID("db") == old {
			t.Fatal("the container was not recreated")
		}
		f.assertOlderShopIsTaken(f.assertShopFailed(wait(), "137").Snapshot)
		f.cleanRun() // finds the new one
	})
	t.Run("F11_never_ends", func(t *testing.T) {
		f := f.with(t)
		f.good = f.cleanRun()
		f.shimShop(`trap '' TERM INT; while :; do echo never-ending; sleep 0.1; done`)
		r := f.runEnv([]string{"RIPPLEBAK_DEADLINE=8s"}, "backup", "--json")
		f.assertOlderShopIsTaken(f.assertShopFailed(r, "8s").Snapshot)
		if ps := f.processes("db"); strings.Contains(ps, "pg_dump") {
			t.Errorf("the command still runs in the container:\n%s", ps)
		}
		f.cleanRun()
	})
	t.Run("F06_paused", func(t *testing.T) {
		f := f.with(t)
		f.good = f.cleanRun()
		f.shimShop(hang)
		began := time.Now()
		wait := f.background([]string{"RIPPLEBAK_STALL_TIMEOUT=5s"}, "backup", "--json")
		f.awaitHit()
		must(t, "docker", "pause", f.containerID("db"))
		r := wait()
		took := time.Since(began)
		must(t, "docker", "unpause", f.containerID("db"))
		f.assertOlderShopIsTaken(f.assertShopFailed(r, "paused", "5s").Snapshot)
		if took > 90*time.Second {
			t.Errorf("the run took %s", took)
		}
		f.cleanRun()
	})
}
