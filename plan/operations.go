package plan

import (
	"slices"
	"strings"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/labels"
)

// addOperations puts the run in order: dumps while everything runs, then one
// window after the other, the project's own files, then the commit. A service's
// pre command runs before its first item and its post command after its last;
// those of the run before and after everything.
func (p *Plan) addOperations(in Input, order []string, windows []window) {
	b := &builder{plan: p, in: in, last: lastUse(p, windows), done: map[string]bool{}, windowed: map[string]bool{}}
	for _, w := range windows {
		for _, k := range slices.Concat(w.dumps, w.offline) {
			b.windowed[k] = true
		}
	}
	b.dropHooks(order)
	b.ofRun(PreRun, "RIPPLEBAK_PRE", in.Pre)
	for _, service := range order {
		b.dumps(service)
	}
	for i, w := range windows {
		b.window(i, w)
	}
	b.config()
	b.ops = append(b.ops, Operation{Do: Commit, Cause: "the snapshot exists only from here on"})
	b.ofRun(PostRun, "RIPPLEBAK_POST", in.Post)
	p.Operations = b.ops
}

// ofRun adds a command of the whole run.
func (b *builder) ofRun(do Verb, setting string, h Hook) {
	if h.Command == "" {
		return
	}
	if _, ok := b.in.Project.Service(h.Service); !ok {
		b.plan.problem("%s: project %q has no service %q in which a command could run; its services are %s",
			setting, b.plan.Project, h.Service, strings.Join(serviceNames(b.in.Project), ", "))
		return
	}
	if s, _ := b.in.Project.Service(h.Service); len(s.Containers) > 0 && !inState(b.in.Project, h.Service, compose.StateRunning) {
		means := "it would not be run"
		if do == PreRun {
			means = "the run would fail"
		}
		b.plan.warn("%s: service %q does not run: unless it is started, %s", setting, h.Service, means)
	}
	b.ops = append(b.ops, Operation{Do: do, Service: h.Service, Command: h.Command, Cause: "setting " + setting})
}

type builder struct {
	plan *Plan
	in   Input
	ops  []Operation
	last map[string]int  // by service: the window after which post runs; -1 after the dumps
	done map[string]bool // services whose pre has run, or has none to run
	mute map[string]bool // services in which no command can run now

	windowed map[string]bool // dumps that are made in a window
}

func lastUse(p *Plan, windows []window) map[string]int {
	last := map[string]int{}
	for _, it := range p.Items {
		if it.Dump != nil && it.active() {
			last[it.Service] = -1
		}
	}
	for i, w := range windows {
		for _, s := range w.owners {
			last[s] = i
		}
	}
	return last
}

// dropHooks leaves out the commands of services that do not run: their volumes
// are at rest already, and are saved as they lie.
func (b *builder) dropHooks(order []string) {
	b.mute = map[string]bool{}
	for _, s := range order {
		spec := b.in.Specs[s]
		service, _ := b.in.Project.Service(s)
		if _, used := b.last[s]; !used || spec.Pre == "" && spec.Post == "" || len(service.Containers) == 0 ||
			inState(b.in.Project, s, compose.StateRunning) {
			continue
		}
		b.mute[s] = true
		b.plan.warn("service %q does not run: its ripplebak.pre and ripplebak.post are left out, and its volumes are saved as they lie", s)
	}
}

func (b *builder) pre(service string) {
	spec := b.in.Specs[service]
	if spec.Pre == "" || b.done[service] || b.mute[service] {
		return
	}
	b.done[service] = true
	b.ops = append(b.ops, Operation{Do: RunPre, Service: service, Command: spec.Pre, Cause: "label ripplebak.pre"})
}

func (b *builder) post(service string, at int) {
	spec := b.in.Specs[service]
	if spec.Post == "" || b.last[service] != at || b.mute[service] {
		return
	}
	b.ops = append(b.ops, Operation{Do: RunPost, Service: service, Command: spec.Post, Cause: "label ripplebak.post"})
}

func (b *builder) dumps(service string) {
	var ops []Operation
	for _, it := range b.plan.Items {
		if it.Service == service && it.Dump != nil && it.active() && !b.windowed[it.Key] {
			ops = append(ops, Operation{Do: DoDump, Items: []string{it.Key}, Service: service, Cause: it.Cause})
		}
	}
	if ops == nil {
		return
	}
	b.pre(service)
	b.ops = append(b.ops, ops...)
	b.post(service, -1)
}

func (b *builder) window(i int, w window) {
	for _, s := range w.owners {
		b.pre(s)
	}
	if len(w.items) > 0 {
		b.ops = append(b.ops,
			Operation{Do: Helper, Items: w.items, Window: w.name, Cause: helperCause(w)},
			Operation{Do: Walk, Items: w.items, Window: w.name, Cause: b.walkCause(w)})
	}
	for _, k := range w.offline {
		it, _ := b.plan.Item(k)
		b.ops = append(b.ops, Operation{Do: Double, Items: []string{k}, Service: it.Service, Window: w.name, Cause: "the dump is made in it, while the service is down"})
	}
	if len(w.quiesce) > 0 || len(w.offline) > 0 {
		b.quiesce(w)
	}
	for _, s := range w.owners {
		b.post(s, i)
	}
}

func helperCause(w window) string {
	if len(w.items) == 1 {
		return "it alone sees the volume, read-only"
	}
	return "one container reads all of them"
}

func (b *builder) walkCause(w window) string {
	if len(w.quiesce) > 0 {
		return "services go on, so that little is left for when they are down"
	}
	for _, k := range w.items {
		it, _ := b.plan.Item(k)
		if len(writers(b.in.Project, it.Volume.Docker)) > 0 {
			return "services go on"
		}
	}
	return "nothing that runs writes to it"
}

// quiesce stops dependents first and brings dependencies back first. What a
// dump needs goes down after it, if at all; an offline dump is made when all is
// down.
func (b *builder) quiesce(w window) {
	b.down(w, false)
	for _, k := range w.dumps {
		it, _ := b.plan.Item(k)
		b.ops = append(b.ops, Operation{Do: DoDump, Items: []string{k}, Service: it.Service, Window: w.name,
			Cause: it.Cause + "; while the others of group " + b.in.Specs[it.Service].Group + " are down"})
	}
	b.down(w, true)
	if len(w.items) > 0 && len(w.quiesce) > 0 {
		b.ops = append(b.ops, Operation{Do: Rewalk, Items: w.items, Window: w.name, Cause: "what changed since the first walk"})
	}
	for _, k := range w.offline {
		it, _ := b.plan.Item(k)
		b.ops = append(b.ops, Operation{Do: DoDump, Items: []string{k}, Service: it.Service, Window: w.name, Cause: it.Cause})
	}
	for _, q := range w.quiesce {
		cause := "it ran before"
		if q.how == labels.Pause {
			cause = "it was not paused before"
		}
		b.ops = append(b.ops, Operation{Do: Resume, Service: q.service, How: q.how, Window: w.name, Cause: cause})
	}
}

// down quiesces what goes down before the dumps of the window, or after them.
func (b *builder) down(w window, late bool) {
	for _, q := range slices.Backward(w.quiesce) {
		if w.late[q.service] == late {
			b.ops = append(b.ops, Operation{Do: Quiesce, Service: q.service, How: q.how, Window: w.name, Cause: q.cause})
		}
	}
}
