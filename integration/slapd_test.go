package integration

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// slapdProject is an OpenLDAP with its configuration and its database in two
// volumes, and a service that depends on it.
const slapdProject = `
services:
  ldap:
    image: ${SLAPD_IMAGE}
    environment: {LDAP_DOMAIN: example.org, LDAP_ORGANISATION: Example, LDAP_ADMIN_PASSWORD: planted-secret}
    labels:
      ripplebak.dump: slapd
    volumes:
      - ldap:/var/lib/ldap
      - conf:/etc/ldap/slapd.d
  app:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    depends_on: [ldap]
volumes:
  ldap:
  conf:
`

type slapdProjectOf struct{ *project }

func newSlapd(t testing.TB) *slapdProjectOf {
	t.Helper()
	image, err := crashImage()
	if err != nil {
		t.Fatal(err)
	}
	p := newProject(t, slapdProject).withRepository()
	p.env["RIPPLEBAK_IMAGE"] = image
	p.up("ldap", "app")
	s := &slapdProjectOf{p}
	s.ready()
	return s
}

func (s *slapdProjectOf) inTest(t testing.TB) *slapdProjectOf {
	return &slapdProjectOf{s.project.inTest(t)}
}

func (s *slapdProjectOf) try(script string) result {
	return command(s.t, "", nil, "", "docker", "exec", s.containerID("ldap"), "bash", "-c",
		`bind="-x -H ldap://127.0.0.1 -D cn=admin,dc=example,dc=org -w planted-secret"; `+script)
}

func (s *slapdProjectOf) ldap(script string) string {
	s.t.Helper()
	out := s.try(script)
	if out.code != 0 {
		s.t.Fatalf("%s", out)
	}
	return strings.TrimSpace(out.stdout)
}

func (s *slapdProjectOf) ready() {
	s.t.Helper()
	eventually(s.t, "OpenLDAP answers", func() bool { return s.try(`ldapwhoami $bind`).code == 0 })
}

// fill makes people, and two counters that are moved together.
func (s *slapdProjectOf) fill() {
	s.t.Helper()
	s.ldap(`{ printf 'dn: cn=sum,dc=example,dc=org\nobjectClass: device\ncn: sum\nserialNumber: 0\ndescription: 0\n\n'
		for i in $(seq 300); do printf 'dn: cn=person %d,dc=example,dc=org\nobjectClass: person\ncn: person %d\nsn: Ünïcode %d\n\n' $i $i $i; done; } | ldapadd $bind >/dev/null`)
}

// load changes both values of an entry in one request, for as long as the
// server can be reached.
func (s *slapdProjectOf) load() {
	s.t.Helper()
	must(s.t, "docker", "exec", "-d", s.containerID("ldap"), "bash", "-c", `i=0; while :; do i=$((i+1))
		printf 'dn: cn=sum,dc=example,dc=org\nchangetype: modify\nreplace: serialNumber\nserialNumber: %d\n-\nreplace: description\ndescription: %d\n\n' $i $i
		done | ldapmodify -x -H ldap://127.0.0.1 -D cn=admin,dc=example,dc=org -w planted-secret >/dev/null`)
	eventually(s.t, "the counters move", func() bool { n, _ := s.sum(); return n > 20 })
}

func (s *slapdProjectOf) sum() (a, b int) {
	s.t.Helper()
	out := s.ldap(`ldapsearch $bind -LLL -b cn=sum,dc=example,dc=org serialNumber description`)
	for line := range strings.Lines(out) {
		if v, ok := strings.CutPrefix(line, "serialNumber: "); ok {
			a, _ = strconv.Atoi(strings.TrimSpace(v))
		}
		if v, ok := strings.CutPrefix(line, "description: "); ok {
			b, _ = strconv.Atoi(strings.TrimSpace(v))
		}
	}
	return a, b
}

func (s *slapdProjectOf) people() string {
	s.t.Helper()
	return s.ldap(`ldapsearch $bind -LLL -b dc=example,dc=org '(objectClass=person)' sn | grep -c '^sn::'`)
}

func (s *slapdProjectOf) wantFilled(from int) {
	s.t.Helper()
	if n := s.people(); n != "300" {
		s.t.Errorf("%s people are there, want 300", n)
	}
	if a, b := s.sum(); a != b || a < from {
		s.t.Errorf("the counters are %d and %d, want the same, and %d at least", a, b, from)
	}
}

func (s *slapdProjectOf) settled() {
	s.t.Helper()
	s.assertCalm("ldap", "app")
	for _, v := range []string{"ldap", "conf"} {
		if names := namesIn(s.t, s.mountpoint(v)); strings.Contains(strings.Join(names, " "), ".ripplebak") {
			s.t.Errorf("volume %s holds %v", v, names)
		}
	}
}

// TestSlapdRoundTrips dumps under write load, with the service down for a
// moment, and restores onto data that was changed, and onto empty volumes.
func TestSlapdRoundTrips(t *testing.T) {
	s := newSlapd(t)
	s.fill()
	s.load()
	before, _ := s.sum()
	plan := s.mustRun("plan")
	for _, want := range []string{"stop ldap", "its dump is made offline", "slapcat -F /etc/ldap/slapd.d -n 1 -g"} {
		if !strings.Contains(plan, want) {
			t.Errorf("the plan lacks %q:\n%s", want, plan)
		}
	}
	events := s.events()
	report := s.backup()
	assertEvents(t, events(), "stop ldap", "start ldap")
	if state, text := report.item("dump", "ldap", "all"); state != "good" || text != "" {
		t.Fatalf("%s %s", state, text)
	}
	t.Logf("downtime of the backup: %v", report.Downtime)
	s.ready()
	after, _ := s.sum()
	s.wantFilled(before)

	s.ldap(`printf 'cn=person %d,dc=example,dc=org\n' $(seq 200) | ldapdelete $bind; printf 'dn: cn=new,dc=example,dc=org\nobjectClass: device\ncn: new\n' | ldapadd $bind`)
	got := s.mustRestore("latest", "--service", "ldap")
	s.wantFilled(before)
	if a, _ := s.sum(); a > after {
		t.Errorf("the counter is %d, and was %d after the dump", a, after)
	}
	if out := s.try(`ldapsearch $bind -b cn=new,dc=example,dc=org`); out.code != 32 {
		t.Errorf("what was made later is there: %s", out)
	}
	s.settled()
	t.Logf("restored within %s, downtime %v", seconds(got.Seconds), got.Downtime)
	s.mustCompose("restart", "-t", "10", "ldap")
	s.ready()
	s.wantFilled(before)

	s.mustCompose("down", "-t", "5")
	must(t, "docker", "volume", "rm", s.name+"_ldap", s.name+"_conf")
	s.up("ldap", "app")
	s.ready()
	s.mustRestore("latest", "--no-safety-snapshot")
	s.wantFilled(before)
	s.settled()

	t.Run("a service that does not run stays so", func(t *testing.T) {
		s := s.inTest(t)
		s.mustCompose("stop", "-t", "10", "ldap")
		events := s.events()
		if state, text := s.backup().item("dump", "ldap", "all"); state != "good" {
			t.Errorf("%s %s", state, text)
		}
		assertEvents(t, events())
		s.up("ldap", "app")
		s.ready()
	})
	t.Run("a database without entries", func(t *testing.T) {
		s := s.inTest(t)
		s.ldap(`ldapdelete -r $bind dc=example,dc=org`)
		report := s.backup()
		if state, text := report.item("dump", "ldap", "all"); state != "good" {
			t.Fatalf("%s %s", state, text)
		}
		s.ready()
		s.ldap(`printf 'dn: dc=example,dc=org\nobjectClass: domain\ndc: example\n' | ldapadd $bind`)
		s.mustRestore(report.Snapshot, "--service", "ldap")
		if out := s.try(`ldapsearch $bind -b dc=example,dc=org`); out.code != 32 {
			t.Errorf("what was made later is there: %s", out)
		}
		s.settled()
	})
	t.Run("programs that are missing", func(t *testing.T) {
		s := s.inTest(t)
		must(t, "docker", "exec", s.containerID("ldap"), "mv", "/usr/sbin/slapcat", "/usr/sbin/gone")
		if out := s.run("plan"); out.code == 0 || !strings.Contains(out.String(), "slapcat is not in the container") {
			t.Errorf("want a problem of the plan: %s", out)
		}
		must(t, "docker", "exec", s.containerID("ldap"), "mv", "/usr/sbin/gone", "/usr/sbin/slapcat")
	})
}

// TestF26_SlapdServiceIsBackAfterAKill: at every point of an offline dump.
func TestF26_SlapdServiceIsBackAfterAKill(t *testing.T) {
	s := newSlapd(t)
	s.fill()
	for _, point := range []string{"after-journal", "after-stop", "mid-stream", "before-start"} {
		t.Run(point, func(t *testing.T) {
			s := s.inTest(t)
			s.crashed(point, "backup")
			eventually(t, "the next backup succeeds", func() bool { return s.run("backup").code == 0 })
			s.ready()
			s.wantFilled(0)
			s.settled()
		})
	}
}

// TestF22_SlapdRestoreIsOldOrNewWhole: both volumes, whenever it is killed.
func TestF22_SlapdRestoreIsOldOrNewWhole(t *testing.T) {
	s := newSlapd(t)
	s.fill()
	snapshot := s.backup().Snapshot
	s.ready()
	change := func(s *slapdProjectOf) {
		s.t.Helper()
		s.ldap(`printf 'cn=person %d,dc=example,dc=org\n' $(seq 100) | ldapdelete $bind`)
	}
	change(s)
	for point, want := range map[string]int{"after-place": 200, "mid-restore": 200, "before-confirm": 200, "mid-keep": 300} {
		t.Run(point, func(t *testing.T) {
			s := s.inTest(t)
			s.crashed(point, "restore", snapshot, "--yes", "--no-safety-snapshot")
			eventually(t, "the next backup succeeds", func() bool { return s.run("backup").code == 0 })
			s.ready()
			if n := s.people(); n != fmt.Sprint(want) {
				t.Errorf("%s people are there, want %d", n, want)
			}
			s.settled()
			if want == 300 {
				change(s)
			}
		})
	}
	s.mustRestore(snapshot)
	s.ready()
	s.wantFilled(0)
	s.settled()
}
