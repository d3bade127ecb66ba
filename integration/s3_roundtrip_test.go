package integration

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// The main job on S3: a bucket that is made, another project in the same
// bucket, the real restic on both, and a restore with a key that may only read.
func TestProjectComesBackFromS3(t *testing.T) {
	t.Parallel()
	g := gateway(t)
	p := newShop(t, "ripplebak.during: stop")
	p.useS3(g, g.Host, "app")
	p.up("db", "app")
	p.sql("postgres", "CREATE TABLE orders AS SELECT i AS id, md5(i::text) AS note FROM generate_series(1, 20000) i")
	p.inVolume("data", "mkdir d; head -c 3000000 /dev/urandom > d/big; ln d/big hard; ln -s big d/link")
	rows := p.sql("postgres", "SELECT md5(string_agg(o::text, ',' ORDER BY id)) FROM orders o")
	files := p.inVolume("data", fingerprint)

	first := p.backup()
	if got := resticS3(t, g, "app", "check", "--read-data"); !strings.Contains(got, "no errors were found") {
		t.Errorf("restic check says:\n%s", got)
	}
	if got := resticS3(t, g, "app", "ls", "latest"); !strings.Contains(got, "/"+p.name+"/volumes/data/d/big") {
		t.Errorf("restic ls says:\n%s", got)
	}
	t.Run("restic restores", func(t *testing.T) {
		target := filepath.Join(p.dir, "restored")
		resticS3(t, g, "app", "restore", "latest", "--target", target)
		source := strings.TrimSpace(must(t, "docker", "volume", "inspect", "-f", "{{.Mountpoint}}", p.name+"_data"))
		if diff := must(t, "rsync", "-aHAXn", "--checksum", "--itemize-changes", "--delete", source+"/", filepath.Join(target, p.name, "volumes", "data")+"/"); diff != "" {
			t.Errorf("what restic restored differs:\n%s", diff)
		}
	})
	t.Run("TestF31_beside another project", func(t *testing.T) { besideAnother(t, p, first.Snapshot) })
	t.Run("TestF34_a key that only reads", func(t *testing.T) {
		proxy := newS3Proxy(t, g)
		p.useS3(g, proxy.host, "app")
		p.sql("postgres", "DROP TABLE orders")
		p.inVolume("data", "rm -rf d; echo extra > extra")
		done := proxy.inject(t, &s3Fault{name: "read-only key", method: "PUT DELETE POST", act: says(http.StatusForbidden, "AccessDenied", "Access Denied")})
		readOnlyDay(t, p)
		done()
		if got := p.sql("postgres", "SELECT md5(string_agg(o::text, ',' ORDER BY id)) FROM orders o"); got != rows {
			t.Errorf("rows are %s, want %s", got, rows)
		}
		if got := p.inVolume("data", fingerprint); got != files {
			t.Errorf("files after the restore:\n%s\nwant\n%s", got, files)
		}
	})
	if h := p.helpers(); len(h) != 0 {
		t.Errorf("helpers are left: %v", h)
	}
}

// besideAnother backs a project app2 up into the same bucket, beside app.
func besideAnother(t *testing.T, p *project, snapshot string) {
	g2 := p.env["RIPPLEBAK_REPOSITORY"]
	other := newFilesProject(t, "live")
	other.write("compose.override.yaml", onHostNetwork)
	for _, k := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"} {
		other.env[k] = p.env[k]
	}
	other.env["RIPPLEBAK_REPOSITORY"] = g2 + "2/" // the trailing slash is no other place
	other.env["RIPPLEBAK_PASSWORD"] = "another password"
	second := other.backup()
	if list := other.snapshots(); len(list) != 1 || list[0].ID != second.Snapshot {
		t.Errorf("app2 lists %+v, want its own snapshot", list)
	}
	if list := p.snapshots(); len(list) != 1 || list[0].ID != snapshot {
		t.Errorf("app lists %+v, want its own snapshot", list)
	}
	// The same repository for two projects: each sees its own.
	other.env["RIPPLEBAK_REPOSITORY"], other.env["RIPPLEBAK_PASSWORD"] = g2, password
	third := other.backup()
	if list := other.snapshots(); len(list) != 1 || list[0].ID != third.Snapshot {
		t.Errorf("the second project in one repository lists %+v", list)
	}
	if list := p.snapshots(); len(list) != 1 || list[0].ID != snapshot {
		t.Errorf("the first project in one repository lists %+v", list)
	}
	// "latest" is one's own; another's has to be named, and the plan says so.
	if r := p.run("restore", "latest", "--dry-run"); r.code != 0 || strings.Contains(r.stdout, third.Snapshot[:8]) || !strings.Contains(r.stdout, snapshot[:8]) {
		t.Errorf("latest must be the project's own: %s", r)
	}
	if r := p.run("restore", third.Snapshot, "--dry-run"); r.code != 0 || !strings.Contains(r.stdout, fmt.Sprintf("is of project %q", other.name)) {
		t.Errorf("another project's snapshot must be named as such: %s", r)
	}
}

// readOnlyDay does with a key that may only read what somebody does on the
// worst day.
func readOnlyDay(t *testing.T, p *project) {
	for _, args := range [][]string{{"snapshots"}, {"check", "--read-data"}, {"ls", "latest"}} {
		if r := p.run(args...); r.code != 0 {
			t.Errorf("%v with a read-only key: %s", args, r)
		}
	}
	r := p.run("restore", "latest", "--yes")
	if r.code != 1 || !strings.Contains(r.stderr, "--no-safety-snapshot") {
		t.Errorf("a restore that cannot make its safety snapshot must fail and name the flag: %s", r)
	}
	if r := p.run("restore", "latest", "--no-safety-snapshot", "--yes"); r.code != 0 {
		t.Errorf("restore with a read-only key: %s", r)
	}
}
