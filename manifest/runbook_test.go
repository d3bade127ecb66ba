package manifest

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

func shopManifest() *Manifest {
	at := time.Date(2026, 11, 20, 2, 0, 0, 0, time.UTC)
	return &Manifest{
		Project: "shop", Host: "host_1", Program: "1.2.3", Started: at, Finished: at.Add(time.Hour),
		Services: []Service{{Name: "db", Image: "postgres:17"}, {Name: "app", Image: "shop/app:3"}, {Name: "cache", Image: "redis:7"}},
		Items: []Item{
			{Kind: Dump, Service: "db", State: Good, Bytes: 2048, Files: 1, Started: at, Finished: at.Add(time.Second), DumpInfo: &DumpInfo{Engine: "pg_dump", ServerVersion: "17.2", Files: []DumpFile{{Name: "globals.sql", Role: "globals"}}}},
			{Kind: Dump, Service: "db", Name: "shop", State: Good, Bytes: 3 << 30, Files: 2, Started: at, Finished: at.Add(20 * time.Minute), DumpInfo: &DumpInfo{Engine: "pg_dump", ServerVersion: "17.2", Files: []DumpFile{{Name: "shop.dump", Role: "database"}, {Name: "shop.sql", Role: "properties"}}}},
			{Kind: Volume, Name: "uploads", State: Good, Bytes: 5 << 30, Files: 12000, Started: at, Finished: at.Add(10 * time.Second), VolumeInfo: &VolumeInfo{DockerName: "shop_uploads", UsedBy: []string{"app", "web"}, Exclude: []string{"/cache", "*.tmp"}}},
			{Kind: Volume, Name: "share", State: Partial, Inconsistent: "container ftp writes to it", VolumeInfo: &VolumeInfo{DockerName: "share", External: true, Withheld: true}},
			{Kind: Volume, Name: "logs", State: Failed, Error: "input/output error"},
			{Kind: Dump, Service: "old", Name: "x", State: Skipped},
			{Kind: Config, State: Good, Bytes: 900, Files: 1, ConfigInfo: &ConfigInfo{WorkingDir: "/srv/shop", Files: []ConfigFile{{Path: "compose.yaml", Source: "/srv/shop/compose.yaml", Role: "compose", Size: 900}}}},
		},
		Unlabelled: []Unlabelled{{Service: "cache", Holds: []string{"volume cache"}}, {Holds: []string{"volume orphan"}}},
		Recovery: &Recovery{
			Repository: "s3:https://s3.example.org/bucket/shop", Sidecar: "backup", Folder: "/srv/shop", Files: []string{"/srv/shop/compose.yaml"},
			Credentials: []Credential{{Name: "RIPPLEBAK_PASSWORD", File: "/run/secrets/ripplebak"}, {Name: "AWS_ACCESS_KEY_ID"}, {Name: "AWS_SECRET_ACCESS_KEY"}},
			Restores:    map[string]Measured{"volume uploads": {Seconds: 400, Bytes: 5 << 30}},
		},
	}
}

func TestRunbook(t *testing.T) {
	for name, c := range map[string]struct {
		m        *Manifest
		snapshot string
	}{
		"runbook.md":        {shopManifest(), ""},
		"runbook-of-one.md": {&Manifest{Project: "my shop", Host: "h", Program: "1", Items: []Item{{Kind: Volume, Name: "a b", State: Good, VolumeInfo: &VolumeInfo{DockerName: "x"}}}}, "4f2a1c0b"},
	} {
		got := c.m.Runbook(c.snapshot)
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.MkdirAll("testdata", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs (-update rewrites it):\n%s", file, got)
		}
	}
}

// TestRunbookStaysTheSame: what a run brings anew is not in it.
func TestRunbookStaysTheSame(t *testing.T) {
	before, after := shopManifest(), shopManifest()
	after.Run, after.Started, after.Finished = "other", after.Started.AddDate(0, 0, 1), after.Finished.AddDate(0, 0, 1)
	for i := range after.Items {
		it := &after.Items[i]
		if !it.Finished.IsZero() {
			it.Started, it.Finished = it.Started.AddDate(0, 0, 1), it.Finished.AddDate(0, 0, 1).Add(3*time.Second)
		}
		it.Recent, it.DowntimeSeconds = []Mark{{Bytes: 1}}, 2
		if it.VolumeInfo != nil {
			it.VolumeInfo.WalkStartedSec += 86400
		}
	}
	if !bytes.Equal(before.Runbook(""), after.Runbook("")) {
		t.Errorf("it became\n%s", after.Runbook(""))
	}
	after.Items[1].State = Failed
	if bytes.Equal(before.Runbook(""), after.Runbook("")) {
		t.Error("a failure does not show")
	}
}

// TestF46_NamesInARunbookStayNames: none ends its line, its cell or its span of
// code, and a shell takes each for one word.
func TestF46_NamesInARunbookStayNames(t *testing.T) {
	names := []string{"a`b", "``", "x\n# Heading", "$(touch /tmp/x)", "'; rm -rf /; '", "a|b", "\xff\x1b[2J", "--yes", " ", "a\\", "$'x'", "ü"}
	for _, name := range names {
		m := &Manifest{Project: name, Host: name, Program: name, Services: []Service{{Name: name, Image: name}},
			Unlabelled: []Unlabelled{{Service: name, Holds: []string{name}}},
			Items: []Item{
				{Kind: Volume, Name: name, State: Good, Inconsistent: name, VolumeInfo: &VolumeInfo{DockerName: name, UsedBy: []string{name}, Exclude: []string{name}}},
				{Kind: Dump, Service: name, Name: name, State: Failed, Error: name},
			}}
		doc, ordinary := m.Runbook(""), (&Manifest{Project: "n", Services: []Service{{Name: "n"}}, Unlabelled: []Unlabelled{{Service: "n"}}, Items: []Item{
			{Kind: Volume, Name: "n", State: Good, VolumeInfo: &VolumeInfo{UsedBy: []string{"n"}, Exclude: []string{"n"}}}, {Kind: Dump, Service: "n", Name: "n", State: Failed}}}).Runbook("")
		if got, want := bytes.Count(doc, []byte("\n")), bytes.Count(ordinary, []byte("\n")); got != want {
			t.Errorf("%q: %d lines, want %d:\n%s", name, got, want, doc)
		}
		if bytes.IndexByte(doc, 0x1b) >= 0 || bytes.IndexByte(doc, 0xff) >= 0 {
			t.Errorf("%q: control characters in it", name)
		}
		out, err := exec.Command("bash", "-c", "printf %s "+ShellWord(name)).Output()
		if name == "--yes" {
			out, err = exec.Command("bash", "-c", "printf %s -- "+ShellWord(name)).Output()
			out = bytes.TrimPrefix(out, []byte("--"))
		}
		if err != nil || string(out) != name {
			t.Errorf("the shell takes %s for %q, %v, want %q", ShellWord(name), out, err, name)
		}
		if strings.Contains(ShellWord(name), "\n") {
			t.Errorf("%q is on two lines", name)
		}
	}
}

func FuzzRunbookNames(f *testing.F) {
	f.Add("a`b|\n\x00")
	f.Fuzz(func(t *testing.T, s string) {
		for _, out := range []string{text(s), code(s), ShellWord(s)} {
			if strings.ContainsAny(out, "\n\r\x1b\x00") {
				t.Errorf("%q became %q", s, out)
			}
		}
	})
}
