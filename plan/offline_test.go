package plan

import (
	"testing"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/dump"
)

// ldapInput is a run's, whose service "ldap" keeps its files in two directories.
func ldapInput(t *testing.T, w world) Input {
	t.Helper()
	in := w.input(t)
	dirs := []string{"/etc/ldap/slapd.d", "/var/lib/ldap"}
	in.Probes["ldap"] = Probe{Container: "id-ldap", DataDirs: dirs, Facts: dump.Facts{
		Engine: "slapd", ServerVersion: "2.5.13", DataDirs: dirs, FreeBytes: -1, Databases: []dump.Database{{Name: "all", Size: -1, AllowConn: true}},
		Slapd: &dump.SlapdFacts{Config: dirs[0], Databases: []dump.SlapdDatabase{{Number: 1, Suffix: "dc=org", Dir: dirs[1]}}},
	}}
	return in
}

func ldapServices(labels map[string]string, more ...svc) world {
	ldap := svc{name: "ldap", mounts: []string{"conf:/etc/ldap/slapd.d", "ldap:/var/lib/ldap", "files:/files"}, labels: labels}
	return world{name: "shop", services: append([]svc{ldap}, more...)}
}

func TestOfflineDumpIsMadeWhileItsServiceIsDown(t *testing.T) {
	app := svc{name: "app", deps: []string{"ldap"}}
	p := Make(ldapInput(t, ldapServices(l("dump=slapd"), app)))
	// The app can do without it for a moment, and a volume that is read live
	// does not make the downtime longer.
	wantSteps(t, p, "stop ldap", "dump ldap/all", "resume ldap", "walk volume files")
	if p.Operations[0].Do != Double || p.Operations[1].Do != Quiesce {
		t.Errorf("the container in which it is made is started while the service is down: %+v", p.Operations[:2])
	}
	if it := mustItem(t, p, "dump ldap/all"); !it.Dump.Offline || len(it.Dump.Files) != 2 {
		t.Errorf("got %+v", it.Dump)
	}

	p = Make(ldapInput(t, ldapServices(l("dump=slapd", "during=stop"), app)))
	wantSteps(t, p, "walk volume files", "stop ldap", "rewalk volume files", "dump ldap/all", "resume ldap")
}

func TestOfflineDumpStopsWhoWritesToItsFiles(t *testing.T) {
	sync, reader := svc{name: "sync", mounts: []string{"ldap:/ldap"}}, svc{name: "reader", mounts: []string{"ldap:/ldap:ro"}}
	p := Make(ldapInput(t, ldapServices(l("dump=slapd", "volumes=none"), reader, sync)))
	wantSteps(t, p, "stop sync", "stop ldap", "dump ldap/all", "resume ldap", "resume sync")
	for _, op := range p.Operations {
		if op.Do == Quiesce && op.Service == "sync" && op.Cause != "writes to the files of ldap, whose dump is made offline" {
			t.Errorf("cause of stopping the writer: %q", op.Cause)
		}
	}
	mate := svc{name: "mate", mounts: []string{"mate:/mate"}, labels: l("group=g", "during=pause")}
	p = Make(ldapInput(t, ldapServices(l("dump=slapd", "volumes=none", "group=g"), mate)))
	wantSteps(t, p, "walk volume mate", "pause mate", "stop ldap", "rewalk volume mate", "dump ldap/all", "resume ldap", "resume mate")
}

func TestOfflineDumpOfWhatDoesNotRunStopsNothing(t *testing.T) {
	w := ldapServices(l("dump=slapd", "volumes=none"))
	w.services[0].state = compose.StateExited
	wantSteps(t, Make(ldapInput(t, w)), "dump ldap/all")
}

func TestOfflineDumpNeedsItsFilesInVolumes(t *testing.T) {
	w := ldapServices(l("dump=slapd"))
	w.services[0].mounts = w.services[0].mounts[1:]
	p := Make(ldapInput(t, w))
	wantLine(t, "problem", p.Problems, `service "ldap"`, "/etc/ldap/slapd.d", "in the container itself")
}

func TestOfflineDumpNeedsTheJournalAndNoHelper(t *testing.T) {
	in := ldapInput(t, ldapServices(l("dump=slapd", "volumes=none")))
	in.HasSocket = false
	wantNone(t, "problems", Make(in).Problems)
	in.HasState = false
	wantLine(t, "problem", Make(in).Problems, "state volume")
}
