package plan

import (
	"slices"
	"testing"

	"github.com/ripplebak/ripplebak/dump"
)

// sharing are two services with the same label and the same volume.
func sharing(t *testing.T, selected ...string) *Plan {
	t.Helper()
	w := world{name: "shop", services: []svc{
		{name: "web", mounts: []string{"data:/data"}, labels: l("dump=sqlite")},
		{name: "worker", mounts: []string{"data:/srv"}, labels: l("dump=sqlite")},
	}}
	in := w.input(t)
	in.Select = selected
	for service, dir := range map[string]string{"web": "data", "worker": "srv"} {
		in.Probes[service] = Probe{Container: "id-" + service, Facts: dump.Facts{Engine: "sqlite", SQLite: &dump.SQLiteFacts{Files: []dump.SQLiteFile{
			{Name: dir + "/a.db", Volume: "data", Path: "a.db"}, {Name: dir + "/b.db", Volume: "data", Path: "b.db"},
		}}}}
	}
	return Make(in)
}

func TestAFileOfTwoServicesIsDumpedOnce(t *testing.T) {
	p := sharing(t)
	wantNone(t, "problems", p.Problems)
	if got, want := keysOf(p), []string{"dump web/data/a.db", "dump web/data/b.db", "volume data"}; !slices.Equal(got, want) {
		t.Errorf("items %q, want %q", got, want)
	}
	if v := mustItem(t, p, "volume data").Volume; len(v.Dumped) != 2 || v.Dumped[0].Item != "dump web/data/a.db" {
		t.Errorf("left out of the volume: %+v", v.Dumped)
	}
}

func TestAFileOfTwoServicesIsDumpedForTheOneThatIsAskedFor(t *testing.T) {
	p := sharing(t, "worker")
	wantNone(t, "problems", p.Problems)
	if got, want := keysOf(p), []string{"dump worker/srv/a.db", "dump worker/srv/b.db", "volume data"}; !slices.Equal(got, want) {
		t.Errorf("items %q, want %q", got, want)
	}
	for _, it := range p.Items {
		if !it.active() {
			t.Errorf("%s is not saved: %s", it.Key, it.Skip)
		}
	}
}
