package labels

import (
	"path"
	"slices"
	"strings"

	"github.com/ripplebak/ripplebak/spelling"
)

// volumes resolves the label against the service's mounts. A volume that has a
// Compose key is selected by it, whichever way the label names it; an anonymous
// one by its target.
func (p *parser) volumes(value string) {
	p.spec.Volumes = p.selection(value, func(item string) (string, bool) {
		for _, m := range p.mounts {
			if m.Kind == KindVolume && (m.Volume == item && item != "" || isTarget(m, item)) {
				if m.Volume != "" {
					return m.Volume, true
				}
				return path.Clean(m.Target), true
			}
		}
		p.noVolume(item)
		return "", false
	})
}

// binds resolves the label against the service's bind mounts, which are named
// by their targets only: a path of the host is nothing a label may speak of.
func (p *parser) binds(value string) {
	p.spec.Binds = p.selection(value, func(item string) (string, bool) {
		for _, m := range p.mounts {
			if m.Kind == KindBind && isTarget(m, item) {
				return path.Clean(m.Target), true
			}
		}
		p.noBind(item)
		return "", false
	})
}

// selection reads all, none or a list of which each item is resolved. It has
// the mode Default where the label is wrong.
func (p *parser) selection(value string, resolve func(string) (string, bool)) Selection {
	switch value {
	case "all":
		return Selection{Mode: All}
	case "none":
		return Selection{Mode: None}
	}
	var chosen []string
	for _, item := range p.items(value) {
		if !slices.ContainsFunc(p.mounts, func(m Mount) bool { return m.Volume == item }) &&
			(strings.EqualFold(item, "all") || strings.EqualFold(item, "none")) {
			p.problem(item, "stands alone and in lower case", strings.ToLower(item))
			continue
		}
		if name, ok := resolve(item); ok && !slices.Contains(chosen, name) {
			chosen = append(chosen, name)
		}
	}
	if chosen == nil {
		return Selection{Mode: Default}
	}
	return Selection{Mode: Listed, Names: chosen}
}

func isTarget(m Mount, item string) bool {
	return strings.HasPrefix(item, "/") && path.Clean(m.Target) == path.Clean(item)
}

// noVolume says why item is no volume of the service.
func (p *parser) noVolume(item string) {
	var valid []string
	for _, m := range p.mounts {
		switch {
		case m.Kind == KindVolume && m.Volume != "":
			valid = append(valid, m.Volume, m.Target)
		case m.Kind == KindVolume:
			valid = append(valid, m.Target)
		case m.Kind == KindBind && (isTarget(m, item) || m.Source == item):
			p.problem(item, "is a bind mount, not a volume; bind mounts are for "+Prefix+"binds", "")
			return
		case isTarget(m, item):
			p.problem(item, "is a "+m.Kind+" mount, which holds nothing to save", "")
			return
		}
	}
	p.notMounted(item, valid)
}

// noBind says why item is no bind mount of the service.
func (p *parser) noBind(item string) {
	var valid []string
	for _, m := range p.mounts {
		switch {
		case m.Kind == KindVolume && (isTarget(m, item) || m.Volume == item):
			p.problem(item, "is a volume, not a bind mount; volumes are for "+Prefix+"volumes", "")
			return
		case m.Kind == KindBind && m.Source == item:
			p.problem(item, "is a path on the host; a bind mount is named by its path in the container", m.Target)
			return
		case m.Kind == KindBind:
			valid = append(valid, m.Target)
		}
	}
	p.notMounted(item, valid)
}

// maxTold is how many mounts a message lists.
const maxTold = 8

// notMounted reports item with what is mounted instead. A name that Docker made
// of the project's and the volume's means the volume.
func (p *parser) notMounted(item string, valid []string) {
	slices.Sort(valid)
	valid = slices.Compact(valid)
	near := ""
	for _, v := range valid {
		if !strings.HasPrefix(v, "/") && strings.HasSuffix(item, "_"+v) && len(v) > len(near) {
			near = v
		}
	}
	if near == "" {
		near = spelling.Nearest(item, valid)
	}
	reason := "is not mounted by the service, which mounts none"
	if len(valid) > 0 {
		told := make([]string, 0, maxTold)
		for _, v := range valid[:min(len(valid), maxTold)] {
			told = append(told, shown(v, maxShown))
		}
		if len(valid) > maxTold {
			told = append(told, "...")
		}
		reason = "is not mounted by the service, which mounts " + strings.Join(told, ", ")
	}
	p.problem(item, reason, near)
}
