package plan

import (
	"slices"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/manifest"
)

// scheduled is a project in which a service has a schedule of its own, and shares
// a volume with one that has none.
func scheduled() world {
	return world{name: "shop", services: []svc{
		{name: "often", labels: map[string]string{"schedule": "@hourly"}, mounts: []string{"fast:/fast", "shared:/shared"}},
		{name: "seldom", labels: map[string]string{"enable": "true"}, mounts: []string{"slow:/slow", "shared:/shared"}},
	}}
}

func TestRunsOnASchedule(t *testing.T) {
	for _, c := range []struct {
		due              []string
		saved, schedules string
		only             []string
	}{
		{nil, "volume fast, volume shared, volume slow", "", nil},
		{[]string{manifest.DefaultSchedule}, "volume shared, volume slow", manifest.DefaultSchedule, []string{"seldom"}},
		{[]string{"@hourly"}, "volume fast, volume shared", "@hourly", []string{"often"}},
		{[]string{manifest.DefaultSchedule, "@hourly"}, "volume fast, volume shared, volume slow", "", nil},
		{[]string{"@weekly"}, "", "@weekly", nil},
	} {
		in := scheduled().input(t)
		in.Due = c.due
		p := Make(in)
		var saved []string
		for _, it := range p.Items {
			if it.Skip == "" {
				saved = append(saved, it.Key)
			}
		}
		if got := strings.Join(saved, ", "); got != c.saved || len(p.Problems) > 0 {
			t.Errorf("%q: saved %s, problems %q", c.due, got, p.Problems)
		}
		if strings.Join(p.Schedules, " ") != c.schedules || !slices.Equal(p.Only, c.only) || p.Nothing() != (c.saved == "") {
			t.Errorf("%q: schedules %q, only %q, nothing %v", c.due, p.Schedules, p.Only, p.Nothing())
		}
		if it, _ := p.Item("volume shared"); !slices.Equal(it.Schedules, []string{"@hourly", manifest.DefaultSchedule}) {
			t.Errorf("%q: %q", c.due, it.Schedules)
		}
		if it, _ := p.Item("volume slow"); it.Schedules != nil {
			t.Errorf("%q: %q", c.due, it.Schedules)
		}
	}
}

// TestASelectionGoesBeforeSchedules: who asks for a service gets it.
func TestASelectionGoesBeforeSchedules(t *testing.T) {
	in := scheduled().input(t)
	in.Select = []string{"often"}
	p := Make(in)
	if it, _ := p.Item("volume fast"); it.Skip != "" || p.Schedules != nil {
		t.Errorf("%q, schedules %q", it.Skip, p.Schedules)
	}
}

func TestPlanSaysSchedules(t *testing.T) {
	var out strings.Builder
	in := scheduled().input(t)
	in.Due = []string{manifest.DefaultSchedule}
	if err := Make(in).Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"on the schedule @hourly and the sidecar's schedule", "volume fast  (it follows the schedule @hourly)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
}

// TestAGroupHasOneSchedule: it is one point in time.
func TestAGroupHasOneSchedule(t *testing.T) {
	for other, want := range map[string]bool{"@hourly": false, "@daily": true, "": true} {
		w := world{name: "shop", services: []svc{
			{name: "a", labels: map[string]string{"group": "g", "during": "stop", "schedule": "@hourly"}, mounts: []string{"a:/a"}},
			{name: "b", labels: map[string]string{"group": "g", "during": "stop"}, mounts: []string{"b:/b"}},
		}}
		if other != "" {
			w.services[1].labels["schedule"] = other
		}
		p := Make(w.input(t))
		said := strings.Contains(strings.Join(p.Problems, "\n"), `group "g" is saved as one, and its services follow different schedules (a on the schedule @hourly, b on `)
		if said != want || want != (len(p.Problems) > 0) {
			t.Errorf("%q: %q", other, p.Problems)
		}
	}
}
