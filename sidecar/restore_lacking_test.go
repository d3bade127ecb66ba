package sidecar

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
)

// TestVolumeAloneLacksItsDatabases: who asks for a volume by its name is told
// which of its files come back only with their dumps.
func TestVolumeAloneLacksItsDatabases(t *testing.T) {
	file := func(volume, name string, state manifest.State) manifest.Item {
		facts, err := json.Marshal(dump.Facts{Engine: "sqlite", SQLite: &dump.SQLiteFacts{Files: []dump.SQLiteFile{{Name: name, Volume: volume, Path: "a.db"}}}})
		if err != nil {
			t.Fatal(err)
		}
		return manifest.Item{Kind: manifest.Dump, Service: "app", Name: name, State: state, DumpInfo: &manifest.DumpInfo{Engine: "sqlite", Facts: facts}}
	}
	data := manifest.Item{Kind: manifest.Volume, Name: "data", State: manifest.Good, VolumeInfo: &manifest.VolumeInfo{}}
	server := manifest.Item{Kind: manifest.Dump, Service: "db", Name: "shop", State: manifest.Good, DumpInfo: &manifest.DumpInfo{Engine: "pg_dump", Facts: []byte(`{}`), Volumes: []string{"data"}}}
	mine := file("data", "data/a.db", manifest.Good)
	other, failed := file("other", "other/a.db", manifest.Good), file("data", "data/b.db", manifest.Failed)
	for name, c := range map[string]struct {
		chosen []manifest.Item
		want   string
	}{
		"the volume alone":             {[]manifest.Item{data}, `app/data/a.db`},
		"with its database":            {[]manifest.Item{data, mine}, ""},
		"the database alone":           {[]manifest.Item{mine}, ""},
		"with a database of elsewhere": {[]manifest.Item{data, other}, `app/data/a.db`},
	} {
		s := &snapshot{manifest: &manifest.Manifest{Items: []manifest.Item{data, server, mine, other, failed}}}
		r := &restore{sources: map[string]*sourceItem{}}
		var sources []plan.Source
		for _, it := range c.chosen {
			r.sources[it.Key()] = &sourceItem{snapshot: s, item: it}
			sources = append(sources, plan.Source{Item: it})
		}
		got := r.lacking(sources)
		switch {
		case c.want == "" && len(got) > 0:
			t.Errorf("%s: %q", name, got)
		case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], "volume data") || !strings.Contains(got[0], c.want+";") || !strings.Contains(got[0], `--database "`+c.want+`"`)):
			t.Errorf("%s: %q", name, got)
		}
	}
}
