package sidecar

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
)

// makeDir gives a volume that is created later its directory.
func (s *shop) makeDir(volume string) {
	s.t.Helper()
	if err := os.MkdirAll(s.path("volumes", volume), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

func TestRestoreIntoANewVolume(t *testing.T) {
	s := saved(t)
	s.makeDir("shop_old")
	opt := RestoreOptions{Snapshot: "latest", Volumes: []string{"data"}, ToVolume: "old"}
	report, err := s.app.Restore(t.Context(), opt)
	if err != nil || report.Safety != "" || len(report.Downtime) != 0 || report.Plan.Items[0].NewName != "old" {
		t.Fatalf("%+v, %v", report, err)
	}
	if s.read("old") != "content of data" || s.read("data") != "changed" {
		t.Errorf("old holds %q, data %q", s.read("old"), s.read("data"))
	}
	v, err := s.host().engine.Volume(t.Context(), "shop_old")
	if err != nil || v.Labels[compose.LabelProject] != "shop" || v.Labels[compose.LabelVolume] != "old" {
		t.Errorf("%+v, %v", v, err)
	}
	s.wantQuiet()

	// Once more it is not empty, and nothing of it is touched.
	s.write("old", "mine")
	report, err = s.app.Restore(t.Context(), opt)
	if !errors.Is(err, ErrRestoreFailed) || !strings.Contains(report.Items[0].Error, `not empty: it holds "file"`) || s.read("old") != "mine" {
		t.Errorf("%+v, %v, it holds %q", report.Items, err, s.read("old"))
	}
	s.wantQuiet()
}

func TestRestoreIntoAnEmptyVolumeThatIsThere(t *testing.T) {
	s := saved(t)
	s.makeDir("shop_old")
	s.makeDir("shop_old/lost+found")
	if err := s.host().engine.CreateVolume(t.Context(), docker.Volume{Name: "shop_old"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest", Volumes: []string{"data"}, ToVolume: "shop_old"}); err != nil || s.read("old") != "content of data" {
		t.Errorf("%v", err)
	}
	s.wantQuiet()
}

// stiff is an engine that knows no new names.
type stiff struct{ dump.Engine }

func (stiff) Name() string { return "stiff" }

func TestNewNamesOfDatabases(t *testing.T) {
	r := &restore{}
	source := plan.Source{NewName: "taken", Item: manifest.Item{Kind: manifest.Dump, Service: "db", Name: "shop"}}
	up := plan.Probe{Facts: dump.Facts{Databases: []dump.Database{{Name: "taken"}}}}
	for _, c := range []struct {
		engine dump.Engine
		name   string
		probe  plan.Probe
		want   string
	}{
		{dump.Postgres{}, "taken", up, `database "taken" exists`},
		{dump.Postgres{}, "free", up, ""},
		{dump.Postgres{}, "", up, ""},
		{dump.Postgres{}, "nul\x00", up, "dump db/shop: "},
		{dump.Postgres{}, "taken", plan.Probe{Err: errors.New("down")}, ""},
		{stiff{}, "free", up, "stiff cannot restore under another name"},
		{stiff{}, "free", plan.Probe{Err: errors.New("down")}, "stiff cannot restore"},
	} {
		source.NewName = c.name
		got := r.checkNewName(c.engine, source, c.probe)
		if len(got) > 0 != (c.want != "") || len(got) > 0 && !strings.Contains(got[0], c.want) {
			t.Errorf("%q in %s: %q, want %q", c.name, c.engine.Name(), got, c.want)
		}
	}
}

func TestBesideLeavesRolesOut(t *testing.T) {
	globals := plan.Source{Item: manifest.Item{Kind: manifest.Dump, Service: "db"}}
	database := plan.Source{Item: manifest.Item{Kind: manifest.Dump, Service: "db", Name: "shop"}}
	for _, with := range []bool{false, true} {
		r := &restore{opt: RestoreOptions{ToDatabase: "old", Globals: with}, sources: map[string]*sourceItem{globals.Item.Key(): {}, database.Item.Key(): {}}}
		got := r.beside([]plan.Source{globals, database})
		last := got[len(got)-1]
		if last.NewName != "old" || (len(got) == 2) != with || (len(r.sources) == 2) != with || with && got[0].NewName != "" {
			t.Errorf("with globals %v: %+v", with, got)
		}
	}
}
