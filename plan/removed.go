package plan

import (
	"slices"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/labels"
)

// removed says whether stopping the service would lose a container of it: one
// that was started by docker run --rm is gone once it stops.
func removed(p compose.Project, service string) bool {
	s, _ := p.Service(service)
	return slices.ContainsFunc(s.Containers, func(c compose.Container) bool { return c.AutoRemove && c.Running() })
}

// checkRemoved refuses to stop what would not be there to be started again.
func (p *Plan) checkRemoved(in Input) {
	for _, op := range p.Operations {
		if op.Do == Quiesce && op.How == labels.Stop && removed(in.Project, op.Service) {
			p.problem("service %q would be stopped, and its container is removed when it stops (docker run --rm): make it without --rm, or say ripplebak.during: pause or live", op.Service)
		}
	}
}

// checkRemoved refuses the same of a restore.
func (r *Restore) checkRemoved(in RestoreInput) {
	for _, op := range r.Operations {
		if op.Do == StopService && removed(in.Project, op.Service) {
			r.problemOnce("service %q would be stopped, and its container is removed when it stops (docker run --rm): make it without --rm, and restore again", op.Service)
		}
	}
}
