package integration

import (
	"path/filepath"
	"strings"
	"testing"
)

// fingerprint is a digest of everything in a volume, by tools that are not ours.
const fingerprint = `find . -path ./lost+found -prune -o -printf '%P %y %m %U %G %s %T@ %l %n\n' | sort; find . -type f -print0 | sort -z | xargs -0 -r sha256sum`

func TestProjectComesBack(t *testing.T) {
	t.Parallel()
	p := newShop(t, "")
	p.up("db", "app")
	p.sql("postgres", "CREATE TABLE orders AS SELECT i AS id, md5(i::text) AS note FROM generate_series(1, 20000) i; CREATE DATABASE other;")
	p.sql("other", "CREATE TABLE t(x int); INSERT INTO t VALUES (42)")
	p.inVolume("data", "mkdir -p sub/deep; echo hello > sub/deep/a; head -c 3000000 /dev/urandom > big; ln -s big link; ln big hard; chown 1234:99 sub; chmod 4750 big")
	rows := p.sql("postgres", "SELECT md5(string_agg(o::text, ',' ORDER BY id)) FROM orders o")
	files := p.inVolume("data", fingerprint)

	p.backup()
	if out := p.mustRestic("check", "--read-data"); !strings.Contains(out, "no errors were found") {
		t.Errorf("restic check says:\n%s", out)
	}

	p.sql("postgres", "DROP TABLE orders")
	p.sql("other", "UPDATE t SET x = 7")
	p.inVolume("data", "rm -rf sub; echo changed > big; echo extra > extra")
	p.mustRun("restore", "latest", "--yes")

	if got := p.sql("postgres", "SELECT md5(string_agg(o::text, ',' ORDER BY id)) FROM orders o"); got != rows {
		t.Errorf("rows are %s, want %s", got, rows)
	}
	if got := p.sql("other", "SELECT x FROM t"); got != "42" {
		t.Errorf("the second database holds %q, want 42", got)
	}
	if got := p.inVolume("data", fingerprint); got != files {
		t.Errorf("files after the restore:\n%s\nwant\n%s", got, files)
	}
	for _, s := range []string{"db", "app"} {
		if got := p.state(s); got != "running" {
			t.Errorf("service %s is %q after the restore", s, got)
		}
	}
	if h := p.helpers(); len(h) != 0 {
		t.Errorf("helpers are left: %v", h)
	}
	assertSafetySnapshot(t, p)
}

func assertSafetySnapshot(t *testing.T, p *project) {
	t.Helper()
	n := 0
	for _, s := range p.snapshots() {
		if s.Safety {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d safety snapshots, want 1", n)
	}
}

func TestResticRestoresWhatWeWrote(t *testing.T) {
	t.Parallel()
	p := newShop(t, "")
	p.up("db", "app")
	p.sql("postgres", "CREATE TABLE x AS SELECT generate_series(1, 1000) i")
	p.inVolume("data", "mkdir d; head -c 2000000 /dev/urandom > d/f; truncate -s 40M d/sparse; echo x > 'd/new\nline'; ln d/f d/g; setfattr -n user.color -v blue d/f")
	p.backup()
	target := filepath.Join(p.dir, "restored")
	p.mustRestic("restore", "latest", "--target", target)
	source := strings.TrimSpace(must(t, "docker", "volume", "inspect", "-f", "{{.Mountpoint}}", p.name+"_data"))
	diff := must(t, "rsync", "-aHAXn", "--checksum", "--itemize-changes", "--delete", source+"/", filepath.Join(target, p.name, "volumes", "data")+"/")
	if diff != "" {
		t.Errorf("what restic restored differs:\n%s", diff)
	}
	dumpFile := filepath.Join(target, p.name, "dumps", "db", "postgres.dump")
	list := command(t, "", nil, "", "docker", "run", "--rm", "-v", filepath.Dir(dumpFile)+":/d:ro", p.env["POSTGRES_IMAGE"], "pg_restore", "--list", "/d/postgres.dump")
	if list.code != 0 || !strings.Contains(list.stdout, "TABLE DATA public x") {
		t.Errorf("pg_restore --list: %s", list)
	}
}
