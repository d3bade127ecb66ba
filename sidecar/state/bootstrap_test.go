package state

import (
	"slices"
	"testing"
)

// TestBootstrapRemembersWhatItsRunHasRestored, and no other run.
func TestBootstrapRemembersWhatItsRunHasRestored(t *testing.T) {
	d, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []func(*History){
		func(h *History) { h.BootstrapHas("r1", "volume none") }, // there is no bootstrap
		func(h *History) { h.Bootstraps = map[string]Bootstrap{"shop": {Run: "r1"}, "blog": {Run: "r2"}} },
		func(h *History) { h.BootstrapHas("r1", "volume data") },
		func(h *History) { h.BootstrapHas("r1", "volume data") },
		func(h *History) { h.BootstrapHas("r3", "volume other") },
	} {
		if err := d.UpdateHistory(change); err != nil {
			t.Fatal(err)
		}
	}
	h, err := d.History()
	if err != nil || !slices.Equal(h.Bootstraps["shop"].Done, []string{"volume data"}) || len(h.Bootstraps["blog"].Done) != 0 {
		t.Errorf("%+v, %v", h.Bootstraps, err)
	}
}
