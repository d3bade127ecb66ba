package sidecar

import (
	"os"
	"slices"
	"testing"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/docker/dockertest"
)

// alone adds a container that Compose has not made, with a volume of its name.
func (s *shop) alone(name string, labels map[string]string) string {
	s.t.Helper()
	s.f.AddVolume(dockertest.Volume{Name: name})
	dir := s.path("volumes", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/file", []byte("of "+name), 0o644); err != nil {
		s.t.Fatal(err)
	}
	all := map[string]string{}
	for k, v := range labels {
		all["ripplebak."+k] = v
	}
	return s.f.AddContainer(dockertest.Container{Name: name, Image: "img", ImageID: "img", Labels: all, Mounts: []dockertest.Mount{{Volume: name, Target: "/data"}}})
}

func TestStandaloneContainersAreSavedAndComeBack(t *testing.T) {
	s := newShop(t)
	s.about(compose.Standalone)
	s.service("app", map[string]string{"enable": "true"}, "data")
	id := s.alone("wiki", map[string]string{"during": "stop"})
	s.alone("silent", nil)
	report := s.backedUp()
	if len(report.Items) != 1 || report.Items[0].Key() != "volume wiki" || report.Downtime["wiki"] == 0 || report.Items[0].VolumeInfo.External {
		t.Errorf("%+v", report)
	}
	s.wantQuiet()

	// Made anew it is another container of the same name.
	s.f.RemoveContainer(id)
	s.alone("wiki", map[string]string{"during": "stop"})
	if err := os.WriteFile(s.path("volumes", "wiki", "file"), []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	restored, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest"})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(s.path("volumes", "wiki", "file")); err != nil || string(b) != "of wiki" {
		t.Errorf("%q, %v", b, err)
	}
	if restored.Downtime["wiki"] == 0 {
		t.Errorf("it was not stopped: %+v", restored.Downtime)
	}
	s.wantQuiet()
}

// TestAllProjectsHaveTheStandaloneOnesAmongThem, where one of these is labelled.
func TestAllProjectsHaveTheStandaloneOnesAmongThem(t *testing.T) {
	s := newShop(t)
	s.about("*")
	s.in("shop", "app", enabled())
	s.alone("silent", nil)
	want := func(names ...string) {
		t.Helper()
		list, err := s.app.BackupAll(t.Context(), BackupOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range list {
			if p.Backup != nil {
				got = append(got, p.Project)
			}
		}
		if !slices.Equal(got, names) {
			t.Errorf("%q, want %q", got, names)
		}
	}
	want("shop")
	s.alone("wiki", enabled())
	want(compose.Standalone, "shop")
}
