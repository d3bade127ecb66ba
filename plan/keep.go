package plan

import (
	"slices"

	"github.com/ripplebak/ripplebak/manifest"
)

// applyPolicies notes with each item the retention policies of the services
// that it belongs to. An item of which nobody says anything goes by the
// sidecar's, and so does a volume for the part of an owner that has no label.
func (p *Plan) applyPolicies(in Input) {
	for i := range p.Items {
		it := &p.Items[i]
		owners := []string{it.Service}
		if it.Volume != nil {
			owners = it.Volume.Owners
		}
		var keep []string
		for _, o := range owners {
			policy := manifest.DefaultPolicy
			if own := in.Specs[o].Keep; !own.Empty() {
				policy = own.String()
			}
			if !slices.Contains(keep, policy) {
				keep = append(keep, policy)
			}
		}
		if !slices.Equal(keep, []string{manifest.DefaultPolicy}) {
			it.Keep = keep
		}
	}
}
