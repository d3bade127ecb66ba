package integration

import (
	"strings"
	"testing"
)

// cutAt cuts the dump in front of the data of the table orders, so that all
// data that came before it is whole, and says that all is well.
const cutAt = `"$real" "$@" >/tmp/whole.dump || exit 9
id=$(/usr/lib/postgresql/15/bin/pg_restore --list /tmp/whole.dump | sed -n 's/^\([0-9]*\);.* TABLE DATA public orders .*/\1/p')
exec perl -e '
	local $/; open F, "<", "/tmp/whole.dump" or die; binmode F; my $all = <F>;
	my $at = rindex($all, "\x01\x00" . pack("V", shift) . "\x00");
	die "the table was not found" if $at < 1000;
	binmode STDOUT; print substr($all, 0, $at);
' "$id"`

// TestF01_F02_F03_F09_FailedDumps lets the client of one database fail in the
// ways in which clients do, and some in which they don't say so.
func TestF01_F02_F03_F09_FailedDumps(t *testing.T) {
	t.Parallel()
	f := newDumpFault(t)
	for _, c := range []struct {
		name, shim string
		texts      []string
	}{
		{"F01_exits_3_after_partial_output", `"$real" "$@" | head -c 50000; echo "pg_dump: error: the disk fell off; the-database-password" >&2; exit 3`,
			[]string{"the disk fell off", "***", "3"}},
		{"F02_exits_0_with_no_output", `exit 0`, []string{"produced no data"}},
		{"F03_exits_127_with_its_error_on_stdout", `echo "pg_dump: cannot load libpq.so.5"; exit 127`, []string{"cannot load libpq.so.5", "127"}},
		{"F03_exits_126_with_its_error_on_stdout", `echo "pg_dump: permission denied by policy"; exit 126`, []string{"permission denied by policy", "126"}},
		{"F09_a_pipe_hides_the_failure", `{ "$real" "$@" | head -c 300000; exit 3; } | cat`, []string{"shop.dump"}},
		{"F09_cut_between_two_tables", cutAt, []string{"shop.dump", "between two tables; 1 of 2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := f.with(t)
			f.heal()
			f.shimShop(c.shim)
			r := f.run("backup", "--json")
			f.assertShopFailed(r, c.texts...)
			if all := r.String(); strings.Contains(all, "the-database-password") {
				t.Errorf("the password is in the output:\n%s", all)
			}
			f.assertCalm("db", "app")
		})
	}
	t.Run("an_older_snapshot_gives_what_failed", func(t *testing.T) {
		f := f.with(t)
		f.heal()
		f.sql("other", "UPDATE t SET x = 43")
		f.shimShop("exit 4")
		f.assertOlderShopIsTaken(f.assertShopFailed(f.run("backup", "--json")).Snapshot)
		f.heal()
		f.sql("shop", "DROP TABLE orders")
		f.sql("other", "UPDATE t SET x = 7")
		r := f.run("restore", "latest", "--yes")
		if r.code != 0 || !strings.Contains(r.stderr, "older than the rest") {
			t.Errorf("the restore does not say that shop is older: %s", r)
		}
		if got := f.sql("shop", "SELECT count(*) FROM orders"); got != "4000" {
			t.Errorf("%s orders, want 4000", got)
		}
		if got := f.sql("other", "SELECT x FROM t"); got != "43" {
			t.Errorf("the other database holds %s, want 43, of the newer snapshot", got)
		}
		f.cleanRun()
	})
}

// TestF10_LotsOfStderr lets a dump write more to stderr than the sidecar has
// memory, once before it succeeds and once before it fails.
func TestF10_LotsOfStderr(t *testing.T) {
	f := newDumpFault(t)
	f.limitMemory("192m")
	const flood = `head -c 400M /dev/zero | tr '\0' e | fold -w 1000 >&2`
	t.Run("F10_before_success", func(t *testing.T) {
		f := f.with(t)
		f.shimShop(flood + `; exec "$real" "$@"`)
		f.backup()
		if !f.hit() {
			t.Error("the flood was not hit")
		}
	})
	t.Run("F10_before_failure", func(t *testing.T) {
		f := f.with(t)
		f.heal()
		f.shimShop(`"$real" "$@" | head -c 90000; ` + flood + `; echo "the last words" >&2; exit 3`)
		r := f.run("backup", "--json")
		f.assertShopFailed(r, "the last words")
		if n := len(r.stdout) + len(r.stderr); n > 1<<20 {
			t.Errorf("%d bytes of output", n)
		}
		f.cleanRun()
	})
}
