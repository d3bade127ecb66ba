package sidecar

import (
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/sidecar/schedule"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// TestServeSaysThatCopiesAreNotLocked, once, and only where they might have been.
func TestServeSaysThatCopiesAreNotLocked(t *testing.T) {
	for _, c := range []struct {
		lock, to string
		said     int
	}{
		{"RIPPLEBAK_S3_LOCK=governance", "s3:https://host.example/bucket", 1},
		{"RIPPLEBAK_S3_LOCK=governance", "/mnt/disk", 0},
		{"RIPPLEBAK_S3_LOCK=", "s3:https://host.example/bucket", 0},
	} {
		s := newShop(t)
		s.configure(c.lock, "RIPPLEBAK_COPY_TO=/mnt/other", "RIPPLEBAK_COPY2_TO="+c.to)
		dir, err := state.Open(s.path("state"))
		if err != nil {
			t.Fatal(err)
		}
		daily, err := schedule.Parse(s.app.Settings.Schedule, s.app.Settings.Location)
		if err != nil {
			t.Fatal(err)
		}
		s.app.comeUp(dir, daily)
		if n := strings.Count(s.log.String(), "does not lock what is stored in copies (copy2)"); n != c.said {
			t.Errorf("%+v: said %d times", c, n)
		}
	}
}
