package plan

import (
	"slices"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/labels"
)

// addOperations puts the run in order: dumps while everything runs, then one
// window after the other, then the commit. A service's pre command runs before
// its first item and its post command after its last.
func (p *Plan) addOperations(in Input, order []string, windows []window) {
	b := &builder{plan: p, in: in, last: lastUse(p, windows), done: map[string]bool{}}
	b.dropHooks(order)
	for _, service := range order {
		b.dumps(service)
	}
	for i, w := range windows {
		b.window(i, w)
	}
	p.Operations = append(b.ops, Operation{Do: Commit, Cause: "the snapshot exists only from here on"})
}

type builder struct {
	plan *Plan
	in   Input
	ops  []Operation
	last map[string]int  // by service: the window after which post runs; -1 after the dumps
	done map[string]bool // services whose pre has run, or has none to run
	mute map[string]bool // services in which no command can run now
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
		if it.Service == service && it.Dump != nil && it.active() {
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
	b.ops = append(b.ops,
		Operation{Do: Helper, Items: w.items, Window: w.name, Cause: helperCause(w)},
		Operation{Do: Walk, Items: w.items, Window: w.name, Cause: b.walkCause(w)})
	if len(w.quiesce) > 0 {
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

// quiesce stops dependents first and brings dependencies back first.
func (b *builder) quiesce(w window) {
	for _, q := range slices.Backward(w.quiesce) {
		b.ops = append(b.ops, Operation{Do: Quiesce, Service: q.service, How: q.how, Window: w.name, Cause: q.cause})
	}
	b.ops = append(b.ops, Operation{Do: Rewalk, Items: w.items, Window: w.name, Cause: "what changed since the first walk"})
	for _, q := range w.quiesce {
		cause := "it ran before"
		if q.how == labels.Pause {
			cause = "it was not paused before"
		}
		b.ops = append(b.ops, Operation{Do: Resume, Service: q.service, How: q.how, Window: w.name, Cause: cause})
	}
}
