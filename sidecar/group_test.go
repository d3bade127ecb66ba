package sidecar

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/docker/dockertest"
	"github.com/ripplebak/ripplebak/manifest"
)

// newGroup is a project of two services with a volume each that are one point
// in time, and of which one depends on the other.
func newGroup(t *testing.T) (s *shop, one, two string) {
	s = newShop(t)
	one = s.service("one", map[string]string{"during": "stop", "group": "g"}, "data")
	two = s.service("two", map[string]string{"enable": "true", "group": "g", compose.LabelDependsOn: "one:service_started:false"}, "more")
	return s, one, two
}

// TestSecondWalksOfAGroupRunInParallel: neither volume's second walk ends before
// the other's has begun, while both services are down.
func TestSecondWalksOfAGroupRunInParallel(t *testing.T) {
	s, one, two := newGroup(t)
	var mu sync.Mutex
	waiting := 0
	both := make(chan struct{})
	between := false
	s.app.Crash = func(point string) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case point == "between-walks":
			between = true
			for _, v := range []string{"data", "more"} {
				if err := os.WriteFile(filepath.Join(s.path("volumes", "shop_"+v), "new"), []byte("written between the walks"), 0o600); err != nil {
					t.Error(err)
				}
			}
		case point == "mid-stream" && between:
			if s.state(one) != "exited" || s.state(two) != "exited" {
				t.Errorf("read while the services are %s and %s", s.state(one), s.state(two))
			}
			if waiting++; waiting == 2 {
				close(both)
			}
			mu.Unlock()
			select {
			case <-both:
			case <-time.After(time.Minute):
				t.Error("one volume is read after the other")
			}
			mu.Lock()
		}
	}
	report, err := s.app.Backup(t.Context(), BackupOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if waiting != 2 {
		t.Errorf("%d second walks", waiting)
	}
	var calls []string
	for _, c := range s.f.Calls() {
		if c == "POST /containers/{id}/stop" || c == "POST /containers/{id}/start" {
			calls = append(calls, c)
		}
	}
	// The helper's start, and then the services'.
	if want := []string{"POST /containers/{id}/start", "POST /containers/{id}/stop", "POST /containers/{id}/stop", "POST /containers/{id}/start", "POST /containers/{id}/start"}; !slices.Equal(calls, want) {
		t.Errorf("calls: %q", calls)
	}
	for _, name := range []string{"one", "two"} {
		if d := report.Downtime[name]; d <= 0 || d > report.Seconds {
			t.Errorf("%s was down for %v of %v seconds", name, d, report.Seconds)
		}
	}
	if report.Downtime["two"] <= report.Downtime["one"] {
		t.Errorf("the dependent goes down first and comes back last: %v", report.Downtime)
	}
	for _, it := range report.Items {
		if it.State != manifest.Good || it.DowntimeSeconds != report.Downtime["two"] {
			t.Errorf("%s is %s, down for %v seconds, of %v", it.Key(), it.State, it.DowntimeSeconds, report.Downtime)
		}
	}
	s.wantQuiet()
}

// TestGroupThatCannotBeStoppedIsBack: one of the group is down already when the
// Engine refuses the other.
func TestGroupThatCannotBeStoppedIsBack(t *testing.T) {
	s, _, _ := newGroup(t)
	s.f.Fail(dockertest.Fault{Call: "POST /containers/{id}/stop", Skip: 1, Status: 403, Message: "forbidden"})
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err == nil {
		t.Error("the backup has succeeded")
	}
	s.wantQuiet()
}

// newDumpedGroup is a project of a database and an app that are one point in
// time; dumped is told when a dump is made.
func newDumpedGroup(t *testing.T, dumped func(app string)) *cache {
	t.Helper()
	c := &cache{shop: newShop(t)}
	var app string
	c.f.Command("sh", func(ctx context.Context, p *dockertest.Process) int {
		if strings.Contains(p.Argv[2], "--rdb -") {
			dumped(c.state(app))
		}
		return c.server(ctx, p)
	})
	c.service("cache", map[string]string{"dump": "redis", "group": "g"}, "cache")
	app = c.service("app", map[string]string{"during": "stop", "group": "g", compose.LabelDependsOn: "cache:service_started:false"}, "files")
	c.put(3)
	return c
}

func TestDumpOfAGroupIsMadeWhileTheOthersAreDown(t *testing.T) {
	var apps []string
	c := newDumpedGroup(t, func(app string) { apps = append(apps, app) })
	report, err := c.app.Backup(t.Context(), BackupOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(apps, []string{"exited"}) {
		t.Errorf("the app was %q when the database was dumped", apps)
	}
	if len(report.Downtime) != 1 || report.Downtime["app"] <= 0 {
		t.Errorf("downtime: %v", report.Downtime)
	}
	for _, it := range report.Items {
		if it.State != manifest.Good || it.DowntimeSeconds != report.Downtime["app"] || it.Inconsistent != "" {
			t.Errorf("%+v", it)
		}
	}
	c.wantQuiet()
}

// TestDumpIsMadeThoughItsGroupCannotBeStopped: it is whole by itself, and says
// what it is not.
func TestDumpIsMadeThoughItsGroupCannotBeStopped(t *testing.T) {
	var apps []string
	c := newDumpedGroup(t, func(app string) { apps = append(apps, app) })
	c.f.Fail(dockertest.Fault{Call: "POST /containers/{id}/stop", Status: 403, Message: "forbidden"})
	report, err := c.app.Backup(t.Context(), BackupOptions{})
	if !errors.Is(err, ErrIncomplete) {
		t.Fatalf("the backup ended with %v", err)
	}
	if !slices.Equal(apps, []string{"running"}) {
		t.Errorf("the app was %q when the database was dumped", apps)
	}
	for _, it := range report.Items {
		if it.Kind == manifest.Dump && (it.State != manifest.Good || !strings.Contains(it.Inconsistent, "the other services of its group were not down")) ||
			it.Kind == manifest.Volume && it.State != manifest.Failed {
			t.Errorf("%+v", it)
		}
	}
	c.wantQuiet()
}
