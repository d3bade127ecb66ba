package plan

import (
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/manifest"
)

func TestVolumeWithoutItsPasswordIsNotMadeUp(t *testing.T) {
	source := Source{Snapshot: "s", Item: manifest.Item{
		Kind: manifest.Volume, Name: "share", State: manifest.Good,
		VolumeInfo: &manifest.VolumeInfo{DockerName: "shop_share", Options: map[string]string{"type": "cifs"}, Withheld: true},
	}}
	r := MakeRestore(RestoreInput{Project: compose.Project{Name: "shop"}, Sources: []Source{source}, HasState: true, HasSocket: true})
	if len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "up --no-start") {
		t.Errorf("problems %q, want one that says how to create the volume", r.Problems)
	}
}
