package dump

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

// slapdTools are stand-ins for slapcat and slapadd; run runs a script of the
// engine with them.
func slapdTools(t *testing.T, slapcat string) (run func(script, stdin string, args ...string) (stdout, stderr string, err error)) {
	t.Helper()
	dir := t.TempDir()
	for name, script := range map[string]string{"slapcat": slapcat, "slapadd": "cat >/dev/null\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return func(script, stdin string, args ...string) (string, string, error) {
		cmd := exec.Command("sh", shell(script, args...)[1:]...)
		cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH")}
		cmd.Stdin = strings.NewReader(stdin)
		var said, complaint bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &complaint
		err := cmd.Run()
		return said.String(), complaint.String(), err
	}
}

// TestF48_SlapdProbeThatFailsTellsNoPassword: what slapcat has written until
// then holds those of the databases, also of other servers.
func TestF48_SlapdProbeThatFailsTellsNoPassword(t *testing.T) {
	const entry = `dn: olcDatabase={1}mdb,cn=config
olcDatabase: {1}mdb
olcDbDirectory: /var/lib/ldap
olcRootPW:: e1NTSEF9cGxhbnRlZA==
olcSyncrepl: {0}rid=1 provider=ldap://other bindmethod=simple credentials=planted-secret
`
	run := slapdTools(t, "cat <<'END'\n"+entry+"END\necho 'slapcat: database is damaged' >&2\nexit \"$CODE\"\n")
	said, complaint, err := run("CODE=1; export CODE\n"+slapdProbe, "", "/etc/ldap/slapd.d")
	if err == nil || !strings.Contains(complaint, "database is damaged") {
		t.Errorf("it is not said why: %v, %q", err, complaint)
	}
	for _, secret := range []string{"planted", "e1NTSEF9"} {
		if strings.Contains(said+complaint, secret) {
			t.Errorf("%q is told:\n%s%s", secret, said, complaint)
		}
	}
	said, complaint, err = run("CODE=0; export CODE\n"+slapdProbe, "", "/etc/ldap/slapd.d")
	if err != nil || strings.Contains(said, "planted") || strings.Contains(said, "e1NTSEF9") {
		t.Fatalf("%v: %q %q", err, said, complaint)
	}
	facts, err := Slapd{}.ParseProbe(Request{}, []byte(said))
	if err != nil || len(facts.Slapd.Databases) != 1 || facts.Slapd.Databases[0].Dir != "/var/lib/ldap" {
		t.Errorf("%+v, %v", facts.Slapd, err)
	}
}

// TestSlapdDatabaseMayBeEmpty: a directory in which nothing is yet is dumped,
// and comes back; nothing at all is no dump.
func TestSlapdDatabaseMayBeEmpty(t *testing.T) {
	const entry = "dn: dc=org\nobjectClass: a\nstructuralObjectClass: a\n\n"
	for name, entries := range map[string]string{"empty": "", "an entry": entry} {
		run := slapdTools(t, "printf '"+strings.ReplaceAll(entries, "\n", `\n`)+"'\n")
		out, _, err := run(slapdDump, "", "/conf", "1")
		if err != nil {
			t.Fatal(err)
		}
		for role, want := range map[Role]error{RoleDatabase: nil, RoleProperties: ErrBadDump} {
			p := Slapd{}.Judge(role, "all")
			_, _ = io.WriteString(p, out)
			if entries != "" {
				want = nil
			}
			if err := p.Finish(); !errors.Is(err, want) {
				t.Errorf("%s, %s: %v, want %v", name, role, err, want)
			}
		}
		for _, read := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.DataErrReader} {
			if got, err := io.ReadAll(withoutRemark(read(strings.NewReader(out)))); string(got) != entries || err != nil {
				t.Errorf("%s: slapadd gets %q, %v", name, got, err)
			}
		}
		if out, _, err := run(slapdDump, "", "/conf", "0"); err != nil || out != entries {
			t.Errorf("%s: of the configuration %q, %v", name, out, err)
		}
		for n := range len(out) - len(entries) - 1 {
			p := Slapd{}.Judge(RoleDatabase, "all")
			_, _ = io.WriteString(p, out[:n])
			if p.Finish() == nil {
				t.Errorf("%s: cut at %d it is taken for whole", name, n)
			}
		}
	}
	for _, text := range []string{"", "\n\n", "# a remark\n", "\n" + ldifOpening + "1\n"} {
		p := Slapd{}.Judge(RoleDatabase, "all")
		_, _ = io.WriteString(p, text)
		if p.Finish() == nil {
			t.Errorf("%q is taken for an empty database", text)
		}
	}
	broken := errors.New("broken")
	for _, head := range []string{"", ldifOpening[:5], ldifOpening + "1"} {
		if _, err := io.ReadAll(withoutRemark(io.MultiReader(strings.NewReader(head), iotest.ErrReader(broken)))); !errors.Is(err, broken) {
			t.Errorf("a source that fails behind %q: %v", head, err)
		}
	}
}

// TestSlapdCountBelievesNoSlapcatThatFails: what it has written by then may be
// as many entries as are wanted.
func TestSlapdCountBelievesNoSlapcatThatFails(t *testing.T) {
	dump := func(n int) string { return strings.Repeat("dn: dc=org\nobjectClass: a\n\n", n) }
	for _, c := range []struct {
		name       string
		want, have int
		code       string
		good       bool
	}{
		{"as many", 3, 3, "0", true}, {"none", 0, 0, "0", true}, {"too few", 3, 2, "0", false}, {"too many", 3, 4, "0", false},
		{"none of some", 3, 0, "0", false}, {"none, and failed", 0, 0, "1", false}, {"all, and failed", 3, 3, "1", false},
	} {
		run := slapdTools(t, "printf '"+strings.ReplaceAll(dump(c.have), "\n", `\n`)+"'\nexit "+c.code+"\n")
		if _, complaint, err := run(slapdCount, dump(c.want), "/conf", "1"); (err == nil) != c.good {
			t.Errorf("%s: %v %s", c.name, err, complaint)
		}
	}
}
