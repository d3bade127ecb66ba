package plan

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/labels"
)

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// randomWorld is a project whose services depend on earlier ones only.
func randomWorld(r *rand.Rand) world {
	w := world{name: "p", volumes: map[string]map[string]string{}}
	keys := []string{"v0", "v1", "v2", "v3", "v4", "v5"}[:1+r.IntN(6)]
	for _, k := range keys {
		switch r.IntN(8) {
		case 0:
			w.volumes[k] = l("enable=true")
		case 1:
			w.volumes[k] = l("enable=false")
		case 2:
			w.gone = append(w.gone, "p_"+k)
		}
	}
	for i := range 1 + r.IntN(8) {
		s := svc{name: fmt.Sprintf("s%d", i), labels: map[string]string{}, state: pick(r, "running", "running", "running", "exited", "paused", "restarting", "created")}
		s.image = pick(r, "example/app", "postgres:17", "redis")
		for d := range i {
			if r.IntN(4) == 0 {
				s.deps = append(s.deps, fmt.Sprintf("s%d", d)+pick(r, "", "", "!"))
			}
		}
		if i > 0 && r.IntN(8) == 0 {
			with := fmt.Sprintf("s%d", r.IntN(i))
			s.network, s.deps = "container:id-"+with, append(slices.DeleteFunc(s.deps, func(d string) bool { return strings.TrimSuffix(d, "!") == with }), with)
		}
		for _, k := range keys {
			if r.IntN(3) == 0 {
				s.mounts = append(s.mounts, k+":"+pick(r, "/m/", "/var/lib/postgresql/data/")+k+pick(r, "", "", ":ro"))
			}
		}
		randomLabels(r, &s)
		w.services = append(w.services, s)
	}
	return w
}

func randomLabels(r *rand.Rand, s *svc) {
	if r.IntN(4) == 0 {
		return
	}
	set := func(one int, label string, values ...string) {
		if r.IntN(one) == 0 {
			s.labels[label] = pick(r, values...)
		}
	}
	s.labels["enable"] = pick(r, "true", "true", "true", "false")
	set(2, "during", "live", "pause", "stop")
	set(3, "group", "g", "h")
	set(3, "pre", "before")
	set(3, "post", "after")
	set(3, "volumes", "all", "none")
	set(4, "dump", "pg_dump")
}

// replay carries a plan out in the mind and checks what must hold at each
// step.
type replay struct {
	t       *testing.T
	in      Input
	p       *Plan
	down    map[string]labels.During
	ever    map[string]string // service to the window in which it was quiesced
	dumped  map[string]int
	walked  map[string]int
	rewalks map[string]int
	hooks   map[string]int // "pre s0"

	windowed int // of dumps in windows
}

func (r *replay) fail(format string, args ...any) {
	r.t.Helper()
	var b strings.Builder
	_ = r.p.Print(&b)
	r.t.Fatalf(format+"\n%s", append(args, b.String())...)
}

func (r *replay) run() {
	for i, op := range r.p.Operations {
		if op.Cause == "" {
			r.fail("operation %d has no cause: %s", i, op)
		}
		switch op.Do {
		case DoDump:
			r.dump(op)
			r.dumped[op.Items[0]]++
		case Walk:
			if len(r.down) > 0 {
				r.fail("the first walk of %q is not live", op.Items)
			}
			for _, k := range op.Items {
				r.walked[k]++
			}
		case Quiesce:
			r.quiesce(op)
		case Rewalk:
			r.rewalk(op)
		case Resume:
			r.resume(op)
		case RunPre, RunPost:
			r.hook(op)
		}
	}
	r.finish()
}

func (r *replay) dependsOn(a, b string) bool { return dependencies(r.in.Project, a)[b] }

func (r *replay) quiesce(op Operation) {
	if w, ok := r.ever[op.Service]; ok {
		r.fail("%s is quiesced for %s and for %s", op.Service, w, op.Window)
	}
	if !up(r.in.Project, op.Service) {
		r.fail("%s is quiesced and was not up", op.Service)
	}
	for s := range r.down {
		if r.dependsOn(op.Service, s) {
			r.fail("%s goes down after %s, on which it depends", op.Service, s)
		}
	}
	r.ever[op.Service], r.down[op.Service] = op.Window, op.How
}

func (r *replay) resume(op Operation) {
	if r.down[op.Service] != op.How {
		r.fail("%s is resumed by %s and was down by %q", op.Service, op.How, r.down[op.Service])
	}
	delete(r.down, op.Service)
	for s := range r.down {
		if r.dependsOn(op.Service, s) {
			r.fail("%s comes back before %s, on which it depends", op.Service, s)
		}
	}
}

// rewalk checks that all that has to be down is down, and nothing else.
func (r *replay) rewalk(op Operation) {
	needed := map[string]bool{}
	for _, k := range op.Items {
		r.rewalks[k]++
		it, _ := r.p.Item(k)
		if it.Volume.During == labels.Live {
			r.fail("%s is read at rest and nobody asked for it", k)
		}
		for _, s := range r.in.Project.Services {
			writes := slices.ContainsFunc(s.Mounts, func(m compose.Mount) bool { return m.Name == it.Volume.Docker && !m.ReadOnly })
			grouped := slices.ContainsFunc(it.Volume.Owners, func(o string) bool {
				g := r.in.Specs[o].Group
				return g != "" && g == r.in.Specs[s.Name].Group && r.in.Specs[s.Name].Enabled && duringOf(r.in, s.Name) != labels.Live
			})
			state := s.Containers[0].State
			if !(writes || grouped) || state != "running" && state != "restarting" {
				continue
			}
			if grouped && !writes && r.isDumped(s.Name) {
				continue // it stays up for its dumps
			}
			needed[s.Name] = true
			if how := r.down[s.Name]; writes && strictness(how) < strictness(it.Volume.During) || how == "" {
				r.fail("%s writes to %s or is in its group, and is down by %q", s.Name, k, how)
			}
		}
	}
	for s := range r.down {
		needed[s] = needed[s] || r.forDumps(s, op.Window)
	}
	for again := true; again; {
		again = false
		for s := range r.down {
			if !needed[s] || r.down[s] != labels.Stop {
				continue
			}
			for _, c := range companions(r.in.Project, s) {
				if up(r.in.Project, c.service) && !needed[c.service] {
					needed[c.service], again = true, true
				}
			}
		}
	}
	for s := range needed {
		if r.down[s] == "" {
			r.fail("%s is up while %q are read", s, op.Items)
		}
	}
	for s := range r.down {
		if !needed[s] {
			r.fail("%s is down while %q are read, without need", s, op.Items)
		}
	}
}

func (r *replay) isDumped(service string) bool {
	return slices.ContainsFunc(r.p.Items, func(i Item) bool { return i.Dump != nil && i.active() && i.Service == service })
}

// forDumps says whether a service is down because of dumps of its group.
func (r *replay) forDumps(service, window string) bool {
	return !r.isDumped(service) && r.in.Specs[service].Enabled && slices.ContainsFunc(r.p.Operations, func(op Operation) bool {
		return op.Do == DoDump && op.Window == window && r.in.Specs[op.Service].Group == r.in.Specs[service].Group
	})
}

// dump checks that all of its group that is not dumped is down, where the group
// is to be, and that what is dumped is up.
func (r *replay) dump(op Operation) {
	if r.down[op.Service] != "" {
		r.fail("%s is made while its service is down", op.Items[0])
	}
	for needed := range dependencies(r.in.Project, op.Service) {
		if r.down[needed] != "" {
			r.fail("%s is made while %s is down, which its service needs", op.Items[0], needed)
		}
	}
	group := r.in.Specs[op.Service].Group
	windowed := false
	for _, s := range r.in.Project.Services {
		if group == "" || r.in.Specs[s.Name].Group != group || !r.in.Specs[s.Name].Enabled || r.isDumped(s.Name) ||
			!up(r.in.Project, s.Name) || duringOf(r.in, s.Name) == labels.Live {
			continue
		}
		windowed = true
		if r.down[s.Name] == "" && !r.neededByDumped(s.Name, op.Window) {
			r.fail("%s is made while %s of its group is up", op.Items[0], s.Name)
		}
	}
	if windowed != (op.Window != "") || !windowed && (len(r.down) > 0 || len(r.walked) > 0) {
		r.fail("%s is in window %q, want one: %v", op.Items[0], op.Window, windowed)
	}
	r.windowed += len(op.Window)
}

// neededByDumped says whether a database that is dumped in the window depends
// on the service.
func (r *replay) neededByDumped(service, window string) bool {
	return slices.ContainsFunc(r.p.Operations, func(op Operation) bool {
		return op.Do == DoDump && op.Window == window && r.dependsOn(op.Service, service)
	})
}

func (r *replay) hook(op Operation) {
	r.hooks[string(op.Do)+" "+op.Service]++
	if _, down := r.down[op.Service]; down || !inState(r.in.Project, op.Service, compose.StateRunning) {
		r.fail("%s while the service does not run", op)
	}
	for _, it := range r.p.Items {
		if ownedBy(it, op.Service) && it.active() && (r.dumped[it.Key]+r.walked[it.Key] > 0) != (op.Do == RunPost) {
			r.fail("%s at the wrong side of %s", op, it.Key)
		}
	}
}

func (r *replay) finish() {
	if len(r.down) > 0 {
		r.fail("left down: %v", r.down)
	}
	volumes := map[string]bool{}
	for _, it := range r.p.Items {
		if it.Cause == "" {
			r.fail("%s has no cause", it.Key)
		}
		if it.Volume != nil && volumes[it.Volume.Docker] {
			r.fail("%s belongs to two items", it.Volume.Docker)
		}
		want := 0
		if it.active() {
			want = 1
		}
		if it.Volume != nil {
			volumes[it.Volume.Docker] = true
		}
		if r.dumped[it.Key]+r.walked[it.Key] != want {
			r.fail("%s is read %d times, want %d", it.Key, r.dumped[it.Key]+r.walked[it.Key], want)
		}
		if it.Volume != nil && it.active() && it.Volume.During != labels.Live && len(writers(r.in.Project, it.Volume.Docker)) > 0 && r.rewalks[it.Key] != 1 {
			r.fail("%s is read at rest %d times", it.Key, r.rewalks[it.Key])
		}
	}
	for name, spec := range r.in.Specs {
		owns := slices.ContainsFunc(r.p.Items, func(i Item) bool { return i.active() && ownedBy(i, name) })
		owns = owns || spec.Enabled && r.ever[name] != "" // it is prepared for going down with others
		runs := inState(r.in.Project, name, compose.StateRunning)
		for do, command := range map[string]string{"pre": spec.Pre, "post": spec.Post} {
			want := 0
			if owns && runs && command != "" {
				want = 1
			}
			if got := r.hooks[do+" "+name]; got != want {
				r.fail("%s of %s runs %d times, want %d", do, name, got, want)
			}
		}
	}
}

const randomProjects = 1500

func TestRandomProjects(t *testing.T) {
	quiesces, carried, hooks, windowed := 0, 0, 0, 0
	for seed := range uint64(randomProjects) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		w := randomWorld(rnd)
		in := w.input(t)
		if rnd.IntN(4) == 0 {
			in.Select = []string{fmt.Sprintf("s%d", rnd.IntN(len(w.services)))}
		}
		p := Make(in)
		r := &replay{t: t, in: in, p: p, down: map[string]labels.During{}, ever: map[string]string{}, dumped: map[string]int{}, walked: map[string]int{}, rewalks: map[string]int{}, hooks: map[string]int{}}
		r.run()
		quiesces += len(r.ever)
		hooks += len(r.hooks)
		windowed += min(1, r.windowed)
		for _, op := range p.Operations {
			if op.Do == Quiesce && strings.Contains(op.Cause, "restart: true") {
				carried++
			}
		}
		a, _ := json.Marshal(p)
		if b, _ := json.Marshal(Make(w.inputAgain(t, in.Select))); string(a) != string(b) {
			t.Fatalf("seed %d: two plans of one project differ:\n%s\n%s", seed, a, b)
		}
	}
	if quiesces < randomProjects/3 || carried < randomProjects/100 || hooks < randomProjects/3 || windowed < randomProjects/100 {
		t.Errorf("the projects are too tame: %d services quiesced, %d of them carried along, %d hooks, %d plans with dumps in windows", quiesces, carried, hooks, windowed)
	}
}

func (w world) inputAgain(t *testing.T, selected []string) Input {
	in := w.input(t)
	in.Select = selected
	return in
}

func BenchmarkMake(b *testing.B) {
	w := world{name: "big"}
	for i := range 300 {
		s := svc{name: fmt.Sprintf("s%03d", i), mounts: []string{fmt.Sprintf("v%d:/v", i), fmt.Sprintf("v%d:/w", i/2)}, labels: l("during=stop")}
		if i > 0 {
			s.deps = []string{fmt.Sprintf("s%03d!", i/2)}
		}
		w.services = append(w.services, s)
	}
	in := w.input(b)
	for b.Loop() {
		if p := Make(in); len(p.Operations) < 600 {
			b.Fatal("too few operations")
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(time.Millisecond), "ms/plan")
}
