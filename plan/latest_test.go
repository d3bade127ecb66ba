package plan

import (
	"slices"
	"testing"

	"github.com/ripplebak/ripplebak/manifest"
)

func dumpItem(service, name string, asked bool) manifest.Item {
	it := manifest.Item{Kind: manifest.Dump, Service: service, Name: name, State: manifest.Failed, DumpInfo: &manifest.DumpInfo{Engine: "pg_dump"}}
	if asked {
		it.State, it.DumpInfo.ServerVersion = manifest.Good, "17.2"
	}
	return it
}

func TestLatestKnowsTheDatabasesOfAServerThatWasDown(t *testing.T) {
	files := manifest.Item{Kind: manifest.Volume, Name: "files", State: manifest.Good}
	good := &manifest.Manifest{Items: []manifest.Item{dumpItem("db", "", true), dumpItem("db", "shop", true), dumpItem("db", "blog", true)}}
	down := &manifest.Manifest{Items: []manifest.Item{dumpItem("db", "all", false), files}}
	named := &manifest.Manifest{Items: []manifest.Item{dumpItem("db", "shop", false), dumpItem("db", "new", false), files}}
	part := &manifest.Manifest{Items: []manifest.Item{dumpItem("db", "", true), dumpItem("db", "shop", false), files}}
	tests := map[string]struct {
		manifests []*manifest.Manifest
		want      []string
		open      bool
	}{
		"none":                     {nil, nil, true},
		"down, the others unread":  {[]*manifest.Manifest{down}, []string{"dump db/all", "volume files"}, true},
		"down for two nights":      {[]*manifest.Manifest{down, down, good}, []string{"dump db (globals)", "dump db/shop", "dump db/blog", "volume files"}, false},
		"named, and roles besides": {[]*manifest.Manifest{named, good}, []string{"dump db (globals)", "dump db/shop", "dump db/blog", "dump db/new", "volume files"}, false},
		"asked, one dump failed":   {[]*manifest.Manifest{part, good}, []string{"dump db (globals)", "dump db/shop", "volume files"}, false},
		"all is well":              {[]*manifest.Manifest{good, part}, []string{"dump db (globals)", "dump db/shop", "dump db/blog"}, false},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			items, open := Latest(c.manifests)
			var keys []string
			for _, it := range items {
				keys = append(keys, it.Key())
			}
			if !slices.Equal(keys, c.want) || open != c.open {
				t.Errorf("got %q, open %v; want %q, open %v", keys, open, c.want, c.open)
			}
		})
	}
}
