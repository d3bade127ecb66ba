package plan

import (
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/manifest"
)

// TestWhatIsGoneOnceItStopsIsNotStopped, by a backup or a restore.
func TestWhatIsGoneOnceItStopsIsNotStopped(t *testing.T) {
	for _, during := range []string{"stop", "pause", "live"} {
		w := world{name: "shop", services: []svc{{name: "app", labels: map[string]string{"during": during}, mounts: []string{"data:/data"}}}}
		in := w.input(t)
		in.Project.Services[0].Containers[0].AutoRemove = true
		said := strings.Contains(strings.Join(Make(in).Problems, "\n"), "is removed when it stops (docker run --rm)")
		if said != (during == "stop") {
			t.Errorf("%s: said %v", during, said)
		}
		again := w.restore(t, volumeSource("shop", "data"))
		if r := MakeRestore(again); len(r.Problems) > 0 {
			t.Errorf("%s: %q", during, r.Problems)
		}
		again.Project.Services[0].Containers[0].AutoRemove = true
		if r := MakeRestore(again); len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "docker run --rm") {
			t.Errorf("%s: %q", during, r.Problems)
		}
	}
}

// TestStandaloneVolumesGoByDockersNames, and are nobody's when they are made.
func TestStandaloneVolumesGoByDockersNames(t *testing.T) {
	p := compose.Project{Name: compose.Standalone}
	it := manifest.Item{Kind: manifest.Volume, Name: "data", State: manifest.Good, VolumeInfo: &manifest.VolumeInfo{DockerName: "data", Driver: "local", Labels: map[string]string{"own": "label"}}}
	v := wanted(p, it)
	if v.Name != "data" || v.Exists || len(v.Labels) != 1 || v.Labels["own"] != "label" {
		t.Errorf("%+v", v)
	}
	beside := Source{Item: it, NewName: "data_old"}
	if v := wanted(p, beside.wanted(p)); v.Name != "data_old" || len(v.Labels) != 0 {
		t.Errorf("%+v", v)
	}
}
