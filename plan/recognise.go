package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/labels"
)

// Recognise fills in what labels leave open: the dump of a service that says
// ripplebak.enable: "true" and whose image is a known database. With auto
// (RIPPLEBAK_AUTO) that, and enabled itself, is every service that does not
// refuse it. What is written down always counts before.
//
// Nothing but the name of the image is looked at, so what it comes to is a
// proposal: dropUnusable takes back what the container does not bear out.
func Recognise(project compose.Project, specs map[string]labels.Spec, auto bool) map[string]labels.Spec {
	out := maps.Clone(specs)
	for _, s := range project.Services {
		spec, ok := out[s.Name]
		if !ok {
			continue
		}
		if auto && !spec.Labelled {
			spec.Enabled, spec.Auto = true, true
		}
		db, known := engineOf(s.Image)
		if known && spec.Enabled && spec.Dump == nil && !spec.NoDump && (spec.Asked || auto) {
			spec.Dump = &labels.Dump{Engine: db.engine, Cause: recognisedCause(spec, s.Image, db)}
		}
		out[s.Name] = spec
	}
	return out
}

func recognisedCause(spec labels.Spec, image string, db server) string {
	by := `ripplebak.enable: "true"`
	if !spec.Asked {
		by = "RIPPLEBAK_AUTO"
	}
	return fmt.Sprintf("%s, and image %s is %s; ripplebak.dump: none refuses the dump", by, image, db.name)
}

// engineOf says which engine dumps what runs in an image, going by the last
// element of its name, which has to be exactly one of the table's.
func engineOf(image string) (server, bool) {
	base := strings.ToLower(imageBase(image))
	for _, k := range servers() {
		if k.engine != "" && slices.Contains(k.images, base) {
			return k, true
		}
	}
	return server{}, false
}

// dropUnusable takes back dumps that were only recognised and that could not be
// made, or not be put back. The service's volumes are saved instead.
func (p *Plan) dropUnusable(in *Input) {
	in.Specs = maps.Clone(in.Specs)
	p.Specs = in.Specs
	for _, s := range in.Project.Services {
		spec := in.Specs[s.Name]
		if !spec.Enabled || spec.Dump == nil || spec.Dump.Cause == "" {
			continue
		}
		probe := in.Probes[s.Name]
		why := probe.Missing
		engine, _ := in.Engine(spec.Dump.Engine)
		if _, files := engine.(dump.FileEngine); files && why == "" && len(dataVolumes(s, probe.dataDirs())) == 0 {
			why = "its data is on no named volume, into which a dump could be put back"
		}
		if why == "" {
			continue
		}
		p.warn("service %q: not dumped, although its image %s is known: %s; of its volumes those with a name are saved", s.Name, s.Image, strings.TrimSpace(why))
		spec.Dump, spec.NoDump = nil, true
		in.Specs[s.Name] = spec
	}
}
