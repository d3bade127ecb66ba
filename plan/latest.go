package plan

import "github.com/ripplebak/ripplebak/manifest"

// Latest says which items "restore latest" is to bring back, going by the
// project's manifests, the newest first: those of the newest one. But when that
// run could not ask a database which databases there are, it could not list
// them either, and what its service held is taken from the newest run that
// could. open says that this has not been found yet, so that older manifests
// may add to the items.
func Latest(manifests []*manifest.Manifest) (items []manifest.Item, open bool) {
	if len(manifests) == 0 {
		return nil, true
	}
	unknown := unlisted(manifests[0])
	known := map[string][]manifest.Item{}
	for _, m := range manifests[1:] {
		for service := range unknown {
			if known[service] == nil {
				known[service] = listing(m, service)
			}
		}
	}
	added := map[string]bool{}
	for _, it := range manifests[0].Items {
		if it.Kind == manifest.Dump && unknown[it.Service] && known[it.Service] != nil {
			if !added[it.Service] {
				added[it.Service] = true
				items = append(items, known[it.Service]...)
			}
			if it.Name == AllDatabases || has(known[it.Service], it.Key()) {
				continue // it is in the listing, or stood for it
			}
		}
		items = append(items, it)
	}
	for service := range unknown {
		open = open || known[service] == nil
	}
	return items, open
}

// unlisted are the services whose databases the run could not ask.
func unlisted(m *manifest.Manifest) map[string]bool {
	out := map[string]bool{}
	for _, it := range m.Items {
		if it.Kind == manifest.Dump {
			out[it.Service] = true
		}
	}
	for service := range out {
		if listing(m, service) != nil {
			delete(out, service)
		}
	}
	return out
}

// listing is a service's dumps, if the run that wrote the manifest has asked
// its database: then at least one of them has the server's version.
func listing(m *manifest.Manifest, service string) []manifest.Item {
	var out []manifest.Item
	asked := false
	for _, it := range m.Items {
		if it.Kind == manifest.Dump && it.Service == service {
			out = append(out, it)
			asked = asked || it.DumpInfo != nil && it.DumpInfo.ServerVersion != ""
		}
	}
	if !asked {
		return nil
	}
	return out
}

func has(items []manifest.Item, key string) bool {
	for _, it := range items {
		if it.Key() == key {
			return true
		}
	}
	return false
}
