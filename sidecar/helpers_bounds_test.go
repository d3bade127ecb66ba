package sidecar

import (
	"context"
	"runtime"
	"testing"

	"github.com/docker/docker/api/types/container"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/docker/dockertest"
	"github.com/ripplebak/ripplebak/plan"
)

// TestHelpersLeaveRoomForOthers: a helper that reads is in the background, one
// that restores is not; both keep to RIPPLEBAK_CPUS.
func TestHelpersLeaveRoomForOthers(t *testing.T) {
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true"}, "data")
	s.app.Settings.CPUs = 0.5
	var bounds []container.HostConfig
	s.f.Command("/ripplebak", func(ctx context.Context, p *dockertest.Process) int {
		for _, c := range s.f.Containers() {
			if c.Labels[compose.LabelHelper] != "" && c.Name == p.Container {
				bounds = append(bounds, s.f.HostConfig(c.ID))
			}
		}
		return s.helper(ctx, p)
	})
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	read := len(bounds)
	_, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest", NoSafety: true, Confirm: func(*plan.Restore) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if read == 0 || len(bounds) == read {
		t.Fatalf("%d helpers, %d of them read", len(bounds), read)
	}
	for i, b := range bounds {
		if b.NanoCPUs != 5e8 {
			t.Errorf("helper %d may use %d billionths of a processor", i, b.NanoCPUs)
		}
		if low := b.CPUShares > 0 && b.BlkioWeight > 0; low != (len(b.CapAdd) == 1) {
			t.Errorf("helper %d with %q: weights %d and %d", i, b.CapAdd, b.CPUShares, b.BlkioWeight)
		}
	}
	if last := bounds[len(bounds)-1]; last.CPUShares != 0 || last.BlkioWeight != 0 {
		t.Errorf("the restore's helper is in the background: %+v", last.Resources)
	}
	s.app.Settings.CPUs = float64(runtime.NumCPU())
	if got := s.app.helperCPUs(); got != 0 {
		t.Errorf("as many as there are: a bound of %v", got)
	}
	s.wantQuiet()
}
