package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar"
	"github.com/ripplebak/ripplebak/sidecar/state"
	"github.com/ripplebak/ripplebak/storage"
)

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("anything"), 1},
		{sidecar.ErrDamaged, 1},
		{sidecar.ErrNothingSaved, 1},
		{&sidecar.ProblemsError{Problems: []string{"x"}}, 1},
		{sidecar.ErrIncomplete, 3},
		{errors.Join(sidecar.ErrIncomplete, errors.New("unlock failed")), 3},
		{fmt.Errorf("open: %w", repository.ErrNoRepository), 10},
		{fmt.Errorf("%w: %w", repository.ErrNoRepository, storage.ErrNoBucket), 10},
		{sidecar.ErrRepositoryGone, 10},
		{fmt.Errorf("x: %w", repository.ErrLocked), 11},
		{&state.BusyError{}, 11},
		{repository.ErrWrongPassword, 12},
	} {
		if got := exitCode(t.Context(), c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errInterrupted)
	for err, want := range map[error]int{
		nil: 0, errors.New("connection closed"): 130, context.Canceled: 130, repository.ErrLocked: 130,
		sidecar.ErrIncomplete: 3, errors.Join(sidecar.ErrIncomplete, errInterrupted): 130,
	} {
		if got := exitCode(ctx, err); got != want {
			t.Errorf("interrupted, %v: %d, want %d", err, got, want)
		}
	}
}

func TestCommandsPassOnWhatTheyAreTold(t *testing.T) {
	for _, c := range []struct {
		args   []string
		called string
		look   func(f *fixture) any
		want   any
	}{
		{[]string{"backup"}, "backup", func(f *fixture) any { return len(f.services) }, 0},
		{[]string{"backup", "db", "app"}, "backup", func(f *fixture) any { return f.services }, []string{"db", "app"}},
		{[]string{"backup", "db", "app"}, "backup", func(f *fixture) any { return f.app.Command }, "backup db app"},
		{[]string{"backup", "--dry-run", "db"}, "plan", func(f *fixture) any { return f.services }, []string{"db"}},
		{[]string{"plan", "db"}, "plan", func(f *fixture) any { return f.services }, []string{"db"}},
		{[]string{"plan", "--file", "a,b", "--file", "c", "db"}, "plan file", func(f *fixture) any { return f.files }, []string{"a,b", "c"}},
		{[]string{"snapshots", "--all"}, "snapshots", func(f *fixture) any { return f.all }, true},
		{[]string{"ls", "latest", "volumes/x"}, "ls", func(f *fixture) any { return f.below }, "volumes/x"},
		{[]string{"check", "--read-data"}, "check", func(f *fixture) any { return f.checked.ReadData }, true},
		{[]string{"check", "--read-data-subset", "5%"}, "check", func(f *fixture) any { return f.checked.Subset }, "5%"},
		{[]string{"restore", "4f2a", "--yes", "--service", "a", "--service", "b", "--volume", "v,w", "--database", "db/x", "--globals", "--keep-extra", "--no-safety-snapshot"}, "restore",
			func(f *fixture) any { o := f.restored; o.Confirm = nil; return o },
			sidecar.RestoreOptions{Snapshot: "4f2a", Services: []string{"a", "b"}, Volumes: []string{"v,w"}, Databases: []string{"db/x"}, Globals: true, KeepExtra: true, NoSafety: true, Sure: true}},
		{[]string{"repair", "index", "--yes", "--read-all-packs"}, "repair", func(f *fixture) any { return f.repairing },
			sidecar.RepairOptions{What: sidecar.RepairIndex, ReadAllPacks: true}},
		{[]string{"repair", "packs", "--yes", "aa", "bb"}, "repair", func(f *fixture) any { return f.repairing },
			sidecar.RepairOptions{What: sidecar.RepairPacks, Packs: []string{"aa", "bb"}}},
		{[]string{"repair", "snapshots", "--yes", "--forget"}, "repair", func(f *fixture) any { return f.repairing },
			sidecar.RepairOptions{What: sidecar.RepairSnapshots, Forget: true}},
		{[]string{"repair", "packs", "--dry-run"}, "repair", func(f *fixture) any { return f.repairing.DryRun }, true},
		{[]string{"unlock"}, "unlock", func(f *fixture) any { return f.unlocking.All }, false},
		{[]string{"unlock", "--remove-all", "--yes"}, "unlock", func(f *fixture) any { return f.unlocking.All }, true},
		{[]string{"forget", "4f2a", "5a", "--yes", "--keep", "last=3 daily=7", "--drop-item", "volume old", "--drop-item", "dump a/b"}, "forget",
			func(f *fixture) any { o := f.forgotten; o.Confirm = nil; return o },
			sidecar.ForgetOptions{Snapshots: []string{"4f2a", "5a"}, Keep: "last=3 daily=7", DropItems: []string{"volume old", "dump a/b"}}},
		{[]string{"forget", "--dry-run"}, "forget", func(f *fixture) any { return f.forgotten.DryRun }, true},
		{[]string{"pin", "latest", "--dry-run"}, "pin", func(f *fixture) any { return f.pinned }, sidecar.PinOptions{Snapshot: "latest", DryRun: true}},
		{[]string{"unpin", "4f"}, "pin", func(f *fixture) any { return f.pinned }, sidecar.PinOptions{Snapshot: "4f", Unpin: true}},
		{[]string{"init"}, "init", func(f *fixture) any { return f.app.Version }, "1.2.3"},
		{[]string{"health"}, "health", func(f *fixture) any { return f.app.Now() }, noon()},
	} {
		f := fixed()
		r := run(t, f, c.args...)
		if r.code != 0 || !slices.Equal(f.called, []string{c.called}) {
			t.Errorf("%q: code %d, called %q: %s", c.args, r.code, f.called, r.stderr)
		}
		if got := c.look(f); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: got %v, want %v", c.args, got, c.want)
		}
	}
}

func TestTextOutput(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"backup"}, []string{
			"project shop: incomplete\n", "dump db/shop    good     1MiB", "volume uploads  partial  5GiB", "12000\n",
			"read 5.001GiB, stored 34MiB, in 12.5s\n", "app was down for 3.25s\n", `dump old/x: service "old" is not running`,
			"warning: volume uploads: a/b: changed", "warning: the repository is on this machine\n", "snapshot 4f2a1c0b9d8e7f60"}},
		{[]string{"restore", "latest", "--yes"}, []string{"volume uploads  restored  2MiB", "dump db/shop    FAILED", `role "x" does not exist`, "app was down for 5s", "snapshot 99aabbcc\n"}},
		{[]string{"snapshots"}, []string{
			"4f2a1c0b  2026-03-01 12:00:00  shop     host1          1MiB  complete\n", "safety, incomplete: dump db/shop failed\n", `"evil\x1b[2J"  -     not made by ripplebak`}},
		{[]string{"ls", "latest"}, []string{"/shop\n", "/shop/volumes/uploads/a b\n", `"/shop/volumes/uploads/\xff\x1b]0;x\a"` + "\n"}},
		{[]string{"check"}, []string{"damage in 0a1b2c3d: pack: content is damaged\n", "note: unused: a pack is in no index\n", "/backups: 2 snapshots, 100 blobs in 10 packs\nread 3 packs, 5MiB\n",
			"lost: snapshot 4f2a1c0b of 2026-03-01 12:00:00, volume uploads: 3 files and all of 1 folders\n  a b\n  \"\\x1b[2J\"\n  dir/\n  and 1 more\nlost: and of 2 more items\n"}},
		{[]string{"repair", "packs", "--yes"}, []string{"salvage 0a1b2c3d: it is damaged; 7 blobs can be read, 2 are lost\n", "and 1 more\n", "dump db/shop: 1 files\n  shop.dump\n",
			"snapshot 4f2a1c0b was written anew as 5a2a1c0b\ndone; what is lost"}},
		{[]string{"unlock"}, []string{"removed: lock 0a1b2c3d, exclusive, of process 7 on host1~ab/c0ffee, last refreshed 2026-03-01 12:00:00: its container", "left: lock 1b2c3d4e, shared, of process 8 on \"evil\\x1b[2J\"", "left: lock 2c3d4e5f: damaged"}},
		{[]string{"init"}, []string{"created repository 0123456789abcdef, format version 2, at /backups\n"}},
		{[]string{"forget", "--yes"}, []string{
			"project shop on host1, policy: last=1\n", "4f2a1c0b  2026-03-01 12:00:00  keep    last snapshot\n5a2a1c0b  2026-02-28 12:00:00  REMOVE",
			"warning: 1 snapshots are from the future\n", "\nremoved 1 snapshots\n"}},
		{[]string{"forget", "--dry-run"}, []string{"\nwould remove 1 snapshots\n"}},
		{[]string{"pin", "latest"}, []string{"snapshot 6b2a1c0b9d8e is pinned; before it was 77665544\ncopy: snapshot 8d2a1c0b9d8e is pinned\ncopy2: does not have it\ncopy3: failed: no such bucket\n"}},
		{[]string{"version"}, []string{"ripplebak 1.2.3 (go1.26.0, linux/amd64)\n"}},
		{[]string{"plan"}, []string{"project shop\n", "$ pg_dump -Fc -Z0 shop\n"}},
	} {
		r := run(t, fixed(), c.args...)
		for _, want := range c.want {
			if !strings.Contains(r.out, want) {
				t.Errorf("%q: no %q in:\n%s%s", c.args, want, r.out, r.stderr)
			}
		}
		if !isVisible(r.out) {
			t.Errorf("%q: the output moves a terminal: %q", c.args, r.out)
		}
	}
}

func TestPlanWithProblemsFailsAndIsPrinted(t *testing.T) {
	for _, args := range [][]string{{"plan"}, {"plan", "--json"}, {"plan", "--file", "x"}, {"backup", "--dry-run"}} {
		f := fixed()
		f.plan.Problems = []string{"label ripplebak.dmup is unknown"}
		if r := run(t, f, args...); r.code != exitFailed || !strings.Contains(r.out, "ripplebak.dmup") {
			t.Errorf("%q: code %d, output %q", args, r.code, r.out)
		}
	}
}

func TestFailureWithoutAReportPrintsNothing(t *testing.T) {
	for _, c := range jsonCases() {
		if c.name == "version" || c.streams() {
			continue
		}
		f := &fixture{err: errors.New("no route"), restore: &sidecar.RestoreReport{}}
		f.restore.Plan = nil
		if c.name == "restore" {
			c.args = []string{"restore", "latest", "--dry-run", "--json"}
		}
		r := run(t, f, c.args...)
		if r.code != exitFailed || r.out != "" || !strings.Contains(r.stderr, `"error":"no route"`) {
			t.Errorf("%s: code %d, output %q, error %q", c.name, r.code, r.out, r.stderr)
		}
	}
}

func TestBadSettingsFailBeforeAnythingIsCalled(t *testing.T) {
	f := fixed()
	p, out, stderr := newProgram(f)
	p.environ = []string{"RIPPLEBAK_PASWORD=hunter2hunter2"}
	if code := p.main(t.Context(), []string{"backup"}); code != exitFailed || len(f.called) > 0 || out.Len() > 0 {
		t.Errorf("code %d, called %q, output %q", code, f.called, out)
	}
	if s := stderr.String(); !strings.Contains(s, "did you mean RIPPLEBAK_PASSWORD") || strings.Contains(s, "hunter2") {
		t.Errorf("error %q", s)
	}
	p, out, _ = newProgram(f)
	p.environ = []string{"RIPPLEBAK_PASWORD=x"}
	if code := p.main(t.Context(), []string{"version"}); code != 0 || out.Len() == 0 {
		t.Errorf("version: code %d, output %q: it must answer whatever the settings are", code, out)
	}
}
