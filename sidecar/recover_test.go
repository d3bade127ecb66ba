package sidecar

import (
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/docker/dockertest"
)

// TestF42_SidecarWithAnotherState: two that keep their state in two places
// cannot take turns. What runs of the other is left alone, and it is said.
func TestF42_SidecarWithAnotherState(t *testing.T) {
	for state, warned := range map[string]bool{"shop_other_state": true, "": false} {
		s := newShop(t)
		s.service("app", map[string]string{"enable": "true"}, "data")
		owner := s.service("backup", map[string]string{compose.LabelSidecar: "true"})
		if state == "" {
			state = stateOf(s.host())
		}
		id := s.f.AddContainer(dockertest.Container{Name: "its-helper", Image: "img", ImageID: "img", Labels: map[string]string{
			compose.LabelHelper: "r1", labelOwner: owner, labelProject: "shop", labelState: state,
		}})
		if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(s.log.String(), "another sidecar works on this project"); got != warned {
			t.Errorf("state %q: warned %v, want %v", state, got, warned)
		}
		if s.state(id) != "running" {
			t.Errorf("state %q: the helper of the other one is %s", state, s.state(id))
		}
	}
}
