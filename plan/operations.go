package plan

import (
	"slices"

	"github.com/ripplebak/ripplebak/labels"
)

// addOperations puts the run in order: dumps while everything runs, then one
// window after the other, then the commit. A service's pre command runs before
// its first item and its post command after its last.
func (p *Plan) addOperations(in Input, order []string, windows []window) {
	b := &builder{plan: p, in: in, last: lastUse(p, windows), done: map[string]bool{}}
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
	done map[string]bool // services whose pre has run
}

func lastUse(p *Plan, windows []window) map[string]int {
	last := map[string]int{}
	for _, it := range p.Items {
		if it.Dump != nil && it.Skip == "" && it.Broken == "" {
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

func (b *builder) pre(service string) {
	spec := b.in.Specs[service]
	if spec.Pre == "" || b.done[service] {
		return
	}
	b.done[service] = true
	b.ops = append(b.ops, Operation{Do: RunPre, Service: service, Command: spec.Pre, Cause: "label ripplebak.pre"})
}

func (b *builder) post(service string, at int) {
	spec := b.in.Specs[service]
	if spec.Post == "" || b.last[service] != at {
		return
	}
	b.ops = append(b.ops, Operation{Do: RunPost, Service: service, Command: spec.Post, Cause: "label ripplebak.post"})
}

func (b *builder) dumps(service string) {
	var keys []string
	for _, it := range b.plan.Items {
		if it.Service == service && it.Dump != nil && it.Skip == "" && it.Broken == "" {
			keys = append(keys, it.Key)
		}
	}
	if len(keys) == 0 {
		return
	}
	b.pre(service)
	for _, k := range keys {
		it, _ := b.plan.Item(k)
		b.ops = append(b.ops, Operation{Do: DoDump, Items: []string{k}, Service: service, Cause: it.Cause})
	}
	b.post(service, -1)
}

func (b *builder) window(i int, w window) {
	for _, s := range w.owners {
		b.pre(s)
	}
	b.ops = append(b.ops,
		Operation{Do: Helper, Items: w.items, Window: w.name, Cause: "one container reads all of them"},
		Operation{Do: Walk, Items: w.items, Window: w.name, Cause: walkCause(w)})
	if len(w.quiesce) > 0 {
		b.quiesce(w)
	}
	for _, s := range w.owners {
		b.post(s, i)
	}
}

func walkCause(w window) string {
	if len(w.quiesce) == 0 {
		return "services go on"
	}
	return "services go on, so that little is left for when they are down"
}

// quiesce stops dependents first and brings dependencies back first.
func (b *builder) quiesce(w window) {
	for _, q := range slices.Backward(w.quiesce) {
		b.ops = append(b.ops, Operation{Do: Quiesce, Service: q.service, How: q.how, Window: w.name, Cause: q.cause})
	}
	b.ops = append(b.ops, Operation{Do: Rewalk, Items: w.items, Window: w.name, Cause: "what changed since the first walk"})
	for _, q := range w.quiesce {
		cause := "was running"
		if q.how == labels.Pause {
			cause = "was not paused"
		}
		b.ops = append(b.ops, Operation{Do: Resume, Service: q.service, How: q.how, Window: w.name, Cause: cause})
	}
}
