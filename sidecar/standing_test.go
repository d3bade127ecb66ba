package sidecar

import (
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/sidecar/schedule"
)

// TestLocksThatRunOutAreSaidAtStart: with the numbers, and with what to change.
func TestLocksThatRunOutAreSaidAtStart(t *testing.T) {
	for _, c := range []struct {
		set  []string
		want []string // of one warning; none where empty
	}{
		{set: []string{"RIPPLEBAK_S3_LOCK=governance"}},
		{set: []string{"RIPPLEBAK_S3_LOCK_DAYS=3"}}, // and no lock
		{set: []string{"RIPPLEBAK_S3_LOCK=governance", "RIPPLEBAK_S3_LOCK_DAYS=28"}},
		{[]string{"RIPPLEBAK_S3_LOCK=governance", "RIPPLEBAK_S3_LOCK_DAYS=27"}, []string{"if one prune fails", "last 27 days (RIPPLEBAK_S3_LOCK_DAYS)", "up to 7 days apart (RIPPLEBAK_PRUNE_SCHEDULE)", "set RIPPLEBAK_S3_LOCK_DAYS to 28"}},
		{[]string{"RIPPLEBAK_S3_LOCK=compliance", "RIPPLEBAK_PRUNE_SCHEDULE=@monthly"}, []string{"before a prune makes them longer", "last 30 days", "up to 31 days apart", "which needs 62", "set RIPPLEBAK_S3_LOCK_DAYS to 124"}},
		{[]string{"RIPPLEBAK_S3_LOCK=compliance", "RIPPLEBAK_S3_LOCK_DAYS=62", "RIPPLEBAK_PRUNE_SCHEDULE=@monthly"}, []string{"if one prune fails"}},
		{[]string{"RIPPLEBAK_S3_LOCK=governance", "RIPPLEBAK_S3_LOCK_DAYS=1", "RIPPLEBAK_PRUNE_SCHEDULE=0 5 * * *"}, []string{"before a prune makes them longer", "which needs 2"}},
		{[]string{"RIPPLEBAK_S3_LOCK=governance", "RIPPLEBAK_PRUNE_SCHEDULE=off"}, []string{"RIPPLEBAK_PRUNE_SCHEDULE is off", "30 days (RIPPLEBAK_S3_LOCK_DAYS)", "every 7 days"}},
		{[]string{"RIPPLEBAK_COPY_TO=s3:https://host.example/bucket", "RIPPLEBAK_COPY_S3_LOCK=governance", "RIPPLEBAK_COPY_S3_LOCK_DAYS=10"}, []string{"last 10 days (RIPPLEBAK_COPY_S3_LOCK_DAYS)", "up to 7 days apart", "which needs 14"}},
	} {
		s := newShop(t)
		s.service("app", map[string]string{"enable": "true"}, "data")
		s.configure(c.set...)
		p, err := s.app.Plan(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		said := s.comeUp()
		for _, text := range []string{strings.Join(p.Warnings, "\n"), said} {
			if n := strings.Count(text, "locks end"); n != min(len(c.want), 1) {
				t.Errorf("%q: said %d times: %s", c.set, n, text)
			}
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q: want %q, got %s", c.set, want, text)
				}
			}
		}
	}
}

// comeUp is what serve says when it comes up.
func (s *shop) comeUp() string {
	s.t.Helper()
	every, err := schedule.Parse("@daily", time.UTC)
	if err != nil {
		s.t.Fatal(err)
	}
	said := len(s.log.String())
	s.app.comeUp(every)
	return s.log.String()[said:]
}

// TestAppendOnlyWithAPolicyIsSaidOnce: when serve comes up and by plan, not by
// each run, however the run went.
func TestAppendOnlyWithAPolicyIsSaidOnce(t *testing.T) {
	for _, policy := range []string{"", "settings", "label", "copy"} {
		s := newShop(t)
		labels := map[string]string{"enable": "true"}
		set := []string{"RIPPLEBAK_APPEND_ONLY=true"}
		switch policy {
		case "settings":
			set = append(set, "RIPPLEBAK_KEEP=last=1", "RIPPLEBAK_KEEP_MINIMUM=1")
		case "label":
			labels["keep"] = "last=1"
		case "copy":
			set = append(set, "RIPPLEBAK_COPY_TO="+s.path("copy"), "RIPPLEBAK_COPY_KEEP=last=1")
		}
		s.service("app", labels, "data")
		s.configure(set...)
		p, err := s.app.Plan(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		const warning = "no old snapshot is removed, though there is a policy, because RIPPLEBAK_APPEND_ONLY is true"
		if n := strings.Count(strings.Join(p.Warnings, "\n"), warning); (n == 1) != (policy != "") {
			t.Errorf("%q: plan says it %d times: %q", policy, n, p.Warnings)
		}
		// Of labels nothing is known when serve comes up.
		if up := s.comeUp(); strings.Contains(up, warning) != (policy == "settings" || policy == "copy") || strings.Contains(up, "are removed after each") {
			t.Errorf("%q: serve says %s", policy, up)
		}
		for n := range 3 {
			said := len(s.log.String())
			report := s.backedUp()
			if log := s.log.String()[said:]; strings.Contains(log, "APPEND_ONLY") || strings.Contains(log, "old snapshot") || len(report.Warnings) > 0 {
				t.Errorf("%q: run %d says %q, %s", policy, n, report.Warnings, log)
			}
			if r := report.Retention; (r != nil) != (policy == "settings" || policy == "label") || r != nil && (r.Ran || len(r.Held) != 1 || r.Error != "") {
				t.Errorf("%q: %+v", policy, r)
			}
		}
		if s.snapshots() != 3 {
			t.Errorf("%q: %d snapshots", policy, s.snapshots())
		}
	}
}
