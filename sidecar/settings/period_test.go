package settings

import (
	"strings"
	"testing"
)

func TestCheckPeriod(t *testing.T) {
	s, err := Load(nil, files(nil))
	if err != nil || s.CheckPeriod != 90*day || s.CheckSchedule != "0 5 * * 3" {
		t.Errorf("by default: %s, %q, %v", s.CheckPeriod, s.CheckSchedule, err)
	}
	if s, err = Load([]string{"RIPPLEBAK_CHECK_PERIOD=30d", "RIPPLEBAK_CHECK_SCHEDULE=off"}, files(nil)); err != nil || s.CheckPeriod != 30*day || s.CheckSchedule != Off {
		t.Errorf("%s, %q, %v", s.CheckPeriod, s.CheckSchedule, err)
	}
	for _, bad := range []string{"0d", "-1d", "30", "3 weeks", "720h", "1.5d", "99999d"} {
		if _, err := Load([]string{"RIPPLEBAK_CHECK_PERIOD=" + bad}, files(nil)); err == nil || !strings.Contains(err.Error(), "RIPPLEBAK_CHECK_PERIOD: must be a number of days") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
