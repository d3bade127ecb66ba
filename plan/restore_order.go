package plan

import (
	"slices"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/manifest"
)

// addOperations puts the restore in order: save what is there, stop what uses
// it, dependents first, restore volumes, then one database after the other,
// and start the rest, dependencies first.
func (r *Restore) addOperations(in RestoreInput, order []string) {
	dumps := r.dumpsByService()
	b := &restoreBuilder{r: r, in: in, order: order, dumps: dumps, stop: r.toStop(in, dumps), started: map[string]bool{}}
	if keys := r.overwritten(); in.Safety && len(keys) > 0 {
		b.add(RestoreOperation{Do: Safety, Items: keys, Cause: "it will be overwritten, and can be brought back from this"})
	}
	for _, s := range slices.Backward(order) {
		if cause, ok := b.stop[s]; ok {
			b.add(RestoreOperation{Do: StopService, Service: s, Cause: cause})
		}
	}
	b.volumes()
	b.alone()
	for _, s := range order {
		if len(dumps[s]) > 0 {
			b.database(s)
		}
	}
	for _, s := range order {
		b.start(s, "it ran before")
	}
	for _, s := range slices.Backward(order) {
		if len(dumps[s]) > 0 && !up(in.Project, s) {
			b.add(RestoreOperation{Do: StopEngine, Service: s, Cause: "it did not run before"})
		}
	}
}

type restoreBuilder struct {
	r       *Restore
	in      RestoreInput
	order   []string
	dumps   map[string][]RestoreItem // by service
	stop    map[string]string        // services to stop, each with the cause
	started map[string]bool
}

func (b *restoreBuilder) add(op RestoreOperation) {
	b.r.Operations = append(b.r.Operations, op)
}

func (b *restoreBuilder) volumes() {
	for _, it := range b.r.Items {
		if it.Volume != nil && it.Volume.Create {
			b.add(RestoreOperation{Do: CreateVolume, Items: []string{it.Key}, Cause: "there is no volume " + it.Volume.Docker})
		}
	}
	for _, it := range b.r.Items {
		if it.Volume != nil {
			cause := "as it was at " + stamp(it.Time)
			if it.NewName != "" && !it.Volume.Create {
				cause += ", if the volume " + it.Volume.Docker + " is empty"
			}
			b.add(RestoreOperation{Do: FillVolume, Items: []string{it.Key}, Cause: cause})
		}
	}
}

// alone puts dumps into volumes that need no server to come up with them,
// before anybody is started.
func (b *restoreBuilder) alone() {
	for _, it := range b.r.Items {
		if !it.Alone() {
			continue
		}
		keys := []string{it.Key}
		b.add(RestoreOperation{Do: PlaceDump, Service: it.Service, Items: keys, Cause: "as it was at " + stamp(it.Time) + "; the old file stays aside"})
		b.add(RestoreOperation{Do: ConfirmDump, Service: it.Service, Items: keys, Cause: "only when it is found whole there the old file goes; else that comes back"})
	}
}

// database starts what the database depends on, then the database itself, and
// restores its dumps. By the order of dependencies, what is started here needs
// no database that is still to be restored.
func (b *restoreBuilder) database(service string) {
	needed := dependencies(b.in.Project, service)
	for _, s := range b.order {
		if needed[s] {
			b.start(s, service+" depends on it")
		}
	}
	b.started[service] = true
	if b.files(service) {
		return
	}
	b.add(RestoreOperation{Do: StartEngine, Service: service, Cause: "its own client restores its databases"})
	for _, it := range b.dumps[service] {
		cause := "as it was at " + stamp(it.Time)
		if it.Name == "" {
			cause = "databases belong to roles, which come first"
		}
		b.add(RestoreOperation{Do: LoadDump, Service: service, Items: []string{it.Key}, Cause: cause})
	}
}

// files puts a dump in the place of the server's files while that is stopped,
// and starts it upon them. It says whether the dump is one that goes so.
func (b *restoreBuilder) files(service string) bool {
	i := slices.IndexFunc(b.dumps[service], func(it RestoreItem) bool { return len(it.Placed) > 0 })
	if i < 0 {
		return false
	}
	it := b.dumps[service][i]
	keys := []string{it.Key}
	b.add(RestoreOperation{Do: PlaceDump, Service: service, Items: keys, Cause: "as it was at " + stamp(it.Time) + "; the old files stay aside"})
	if len(it.Load) > 0 {
		b.add(RestoreOperation{Do: MakeFiles, Service: service, Items: keys, Cause: "its own programs make them, in a container of its own image, while it is down"})
	}
	b.add(RestoreOperation{Do: StartEngine, Service: service, Cause: "it loads the files when it starts"})
	b.add(RestoreOperation{Do: ConfirmDump, Service: service, Items: keys, Cause: "only then the old files go; if it does not come up with the dump they come back"})
	return true
}

// start brings a stopped service back, unless that was done before.
func (b *restoreBuilder) start(service, cause string) {
	if _, ok := b.stop[service]; !ok || b.started[service] {
		return
	}
	b.started[service] = true
	b.add(RestoreOperation{Do: StartService, Service: service, Cause: cause})
}

// dependencies are the services on which one depends, directly or through
// others.
func dependencies(p compose.Project, service string) map[string]bool {
	found := map[string]bool{}
	queue := []string{service}
	for len(queue) > 0 {
		s, _ := p.Service(queue[0])
		queue = queue[1:]
		for _, d := range s.DependsOn {
			if !found[d.Service] && d.Service != service {
				found[d.Service] = true
				queue = append(queue, d.Service)
			}
		}
	}
	return found
}

// dumpsByService groups dumps: globals first, because databases belong to
// roles.
func (r *Restore) dumpsByService() map[string][]RestoreItem {
	by := map[string][]RestoreItem{}
	for _, globals := range []bool{true, false} {
		for _, it := range r.Items {
			if it.Kind == manifest.Dump && (it.Name == "") == globals && !it.Alone() {
				by[it.Service] = append(by[it.Service], it)
			}
		}
	}
	return by
}

// toStop are the services that are up and use a volume to be restored, those
// that depend on a database to be restored, and those that cannot do without
// one of these for a moment, each with the cause.
func (r *Restore) toStop(in RestoreInput, dumps map[string][]RestoreItem) map[string]string {
	stop := stops{project: in.Project, causes: map[string]string{}}
	databases := map[string]bool{}
	for s, items := range dumps {
		databases[s] = slices.ContainsFunc(items, func(it RestoreItem) bool { return it.NewName == "" })
	}
	for _, it := range r.Items {
		if in.NoStop || it.NewName != "" {
			continue
		}
		for _, volume := range it.writes() {
			for _, u := range in.Project.UsersOf(volume) {
				stop.add(u.Service, "uses "+it.Key)
				if s, _ := in.Project.Service(u.Service); isDatabase(s) {
					databases[u.Service] = true
				}
			}
		}
	}
	for _, s := range in.Project.Services {
		if databases[s.Name] {
			for _, d := range in.Project.Dependents(s.Name) {
				stop.add(d, "depends on "+s.Name+", whose data is restored")
			}
		}
	}
	stop.carryAlong()
	return stop.causes
}

// stops are services that have to be stopped, each with the cause.
type stops struct {
	project compose.Project
	causes  map[string]string
}

// add adds a service that is up, or one more cause to it.
func (s stops) add(service, cause string) {
	have := s.causes[service]
	switch {
	case !up(s.project, service) || strings.Contains(have, cause):
	case have == "":
		s.causes[service] = cause
	default:
		s.causes[service] = have + "; " + cause
	}
}

// carryAlong adds the companions of what is stopped.
func (s stops) carryAlong() {
	for again := true; again; {
		before := len(s.causes)
		for _, service := range s.project.Services {
			if s.causes[service.Name] == "" {
				continue
			}
			for _, c := range companions(s.project, service.Name) {
				if s.causes[c.service] == "" {
					s.add(c.service, c.cause)
				}
			}
		}
		again = len(s.causes) > before
	}
}

func isDatabase(s compose.Service) bool {
	_, ok := databaseOf(s)
	return ok
}

// overwritten are the items of which something may be there today.
func (r *Restore) overwritten() []string {
	var keys []string
	for _, it := range r.Items {
		if it.NewName != "" {
			continue
		}
		if it.Volume == nil || it.Volume.Docker != "" && !it.Volume.Create && !it.Volume.New {
			keys = append(keys, it.Key)
		}
	}
	return keys
}

// stamp is a time for people.
func stamp(t time.Time) string { return t.Format(time.RFC3339) }
