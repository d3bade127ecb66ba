package main

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/labels"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/sidecar"
	"github.com/ripplebak/ripplebak/storage"
)

// fixture is an application that returns what a test gave it, and notes what
// it was asked for.
type fixture struct {
	pruning
	looking
	plan      *plan.Plan
	backup    *sidecar.BackupReport
	plans     []sidecar.ProjectPlan
	backups   []sidecar.ProjectBackup
	restore   *sidecar.RestoreReport
	snapshots []sidecar.SnapshotInfo
	entries   []sidecar.ListEntry
	check     *sidecar.CheckReport
	init      *sidecar.InitReport
	repair    *sidecar.RepairReport
	unlock    *sidecar.UnlockReport
	keys      []sidecar.KeyInfo
	keyReport *sidecar.KeyReport
	err       error
	// during runs inside backup, restore and serve.
	during func(ctx context.Context, app *sidecar.App) error

	app       *sidecar.App
	services  []string
	files     []string
	all       bool
	below     string
	checked   sidecar.CheckOptions
	repairing sidecar.RepairOptions
	unlocking sidecar.UnlockOptions
	restored  sidecar.RestoreOptions
	ask       []sidecar.Asked // what a restore asks somebody to run
	unasked   bool            // a restore finds nothing that has to be confirmed
	changed   sidecar.KeyOptions
	called    []string
	keeping

	copyFixture
}

func (f *fixture) call(ctx context.Context, name string) error {
	f.called = append(f.called, name)
	if f.during != nil {
		return errors.Join(f.during(ctx, f.app), f.err)
	}
	return f.err
}

func (f *fixture) Plan(ctx context.Context, services []string) (*plan.Plan, error) {
	f.services = services
	return f.plan, f.call(ctx, "plan")
}

func (f *fixture) PlanFile(ctx context.Context, files, services []string) (*plan.Plan, error) {
	f.files, f.services = files, services
	return f.plan, f.call(ctx, "plan file")
}

func (f *fixture) Backup(ctx context.Context, opt sidecar.BackupOptions) (*sidecar.BackupReport, error) {
	f.services = opt.Services
	return f.backup, f.call(ctx, "backup")
}

func (f *fixture) Restore(ctx context.Context, opt sidecar.RestoreOptions) (*sidecar.RestoreReport, error) {
	f.restored = opt
	f.restore.DryRun = opt.DryRun
	for _, a := range f.ask {
		if err := opt.Ask(a); err != nil {
			return nil, err
		}
	}
	if !opt.DryRun && !f.unasked {
		if err := opt.Confirm(f.restore.Plan); err != nil {
			return f.restore, err
		}
	}
	return f.restore, f.call(ctx, "restore")
}

func (f *fixture) Snapshots(ctx context.Context, all bool) ([]sidecar.SnapshotInfo, error) {
	f.all = all
	return f.snapshots, f.call(ctx, "snapshots")
}

func (f *fixture) List(ctx context.Context, _, below string, fn func(sidecar.ListEntry) error) error {
	f.below = below
	for _, e := range f.entries {
		if err := fn(e); err != nil {
			return err
		}
	}
	return f.call(ctx, "ls")
}

func (f *fixture) Check(ctx context.Context, opt sidecar.CheckOptions) (*sidecar.CheckReport, error) {
	f.checked = opt
	return f.check, f.call(ctx, "check")
}

func (f *fixture) Repair(ctx context.Context, opt sidecar.RepairOptions) (*sidecar.RepairReport, error) {
	f.repairing = opt
	if opt.Confirm != nil && f.repair != nil && !opt.DryRun {
		if err := opt.Confirm(f.repair); err != nil {
			return nil, err
		}
	}
	return f.repair, f.call(ctx, "repair")
}

func (f *fixture) Unlock(ctx context.Context, opt sidecar.UnlockOptions) (*sidecar.UnlockReport, error) {
	f.unlocking = opt
	if opt.Confirm != nil && f.unlock != nil && opt.All {
		if err := opt.Confirm(f.unlock); err != nil {
			return nil, err
		}
	}
	return f.unlock, f.call(ctx, "unlock")
}

func (f *fixture) Init(ctx context.Context) (*sidecar.InitReport, error) {
	return f.init, f.call(ctx, "init")
}

func (f *fixture) Keys(ctx context.Context) ([]sidecar.KeyInfo, error) {
	return f.keys, f.call(ctx, "keys")
}

func (f *fixture) ChangeKeys(ctx context.Context, opt sidecar.KeyOptions) (*sidecar.KeyReport, error) {
	f.changed = opt
	if opt.Confirm != nil && f.keyReport != nil {
		if err := opt.Confirm(f.keyReport); err != nil {
			return nil, err
		}
	}
	return f.keyReport, f.call(ctx, "change keys")
}

func (f *fixture) Runbook(ctx context.Context, snapshot string) (*sidecar.RunbookReport, error) {
	return &sidecar.RunbookReport{Snapshot: snapshot, Time: noon(), Project: "shop", Markdown: "# Recovery of shop\n\n\x1b[2J" + testSecret + "\n"}, f.call(ctx, "runbook")
}

func (f *fixture) PlanAll(ctx context.Context) ([]sidecar.ProjectPlan, error) {
	return f.plans, f.call(ctx, "plan all")
}

func (f *fixture) BackupAll(ctx context.Context, opt sidecar.BackupOptions) ([]sidecar.ProjectBackup, error) {
	return f.backups, f.call(ctx, "backup all")
}

func (f *fixture) Serve(ctx context.Context) error { return f.call(ctx, "serve") }
func (f *fixture) Health() error                   { return f.call(context.Background(), "health") }

const testNewSecret = "Gatherer<3>"

const testSecret = `Hunt"er<2>` // JSON has to escape it

// noon is the time by the clock of every test.
func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// ran is what a command line left behind.
type ran struct {
	code        int
	out, stderr string
}

// newProgram is a program without a terminal, over the fixture.
func newProgram(f *fixture) (*program, *bytes.Buffer, *bytes.Buffer) {
	var out, stderr bytes.Buffer
	return &program{
		out: &out, err: &stderr,
		size:     func() (int, int, error) { return 80, 24, nil },
		readLine: func(context.Context) (string, error) { return "", errors.New("nobody is to be asked") },
		environ:  []string{"RIPPLEBAK_PASSWORD=" + testSecret, "RIPPLEBAK_NEW_PASSWORD=" + testNewSecret},
		readFile: func(string) ([]byte, error) { return nil, errors.New("no file is to be read") },
		now:      noon,
		build:    buildInfo{Version: "1.2.3", Go: "go1.26.0", OS: "linux", Arch: "amd64"},
		open: func(a *sidecar.App) application {
			f.app = a
			return f
		},
	}, &out, &stderr
}

func run(t *testing.T, f *fixture, args ...string) ran {
	t.Helper()
	p, out, stderr := newProgram(f)
	code := p.main(t.Context(), args)
	return ran{code, out.String(), stderr.String()}
}

func fixedPlan() *plan.Plan {
	return &plan.Plan{
		Project: "shop",
		Items: []plan.Item{
			{Key: "dump db/shop", Kind: manifest.Dump, Service: "db", Name: "shop", Cause: "label ripplebak.dump=pg_dump", Dump: &plan.DumpItem{
				Engine: "pg_dump", Container: "shop-db-1", Commands: []string{"pg_dump -Fc -Z0 shop"}, DataVolumes: []string{"volume db"},
			}},
			{Key: "volume db", Kind: manifest.Volume, Name: "db", Cause: "mounted by db", Skip: "it holds the files of dump db", Volume: &plan.VolumeItem{Docker: "shop_db", During: labels.Live, OnError: labels.Fail}},
			{Key: "volume uploads", Kind: manifest.Volume, Name: "uploads", Cause: "mounted by app", Volume: &plan.VolumeItem{
				Docker: "shop_uploads", Exclude: []string{"/cache"}, During: labels.Stop, OnError: labels.Warn, Owners: []string{"app"}, UsedBy: []string{"app", "web"},
				Inconsistent: "container other-1 writes to it",
			}},
			{Key: "dump old/x", Kind: manifest.Dump, Service: "old", Name: "x", Cause: "label ripplebak.dump=pg_dump", Broken: "service \"old\" is not running", Later: "which databases there are"},
		},
		Operations: []plan.Operation{
			{Do: plan.RunPre, Service: "app", Command: "app flush", Cause: "label ripplebak.pre"},
			{Do: plan.DoDump, Items: []string{"dump db/shop"}, Cause: "before services stop"},
			{Do: plan.Quiesce, Service: "app", How: labels.Stop, Window: "app", Cause: "label ripplebak.during=stop"},
			{Do: plan.Commit, Cause: "the snapshot exists only from here on"},
		},
		Unlabelled: []plan.Unlabelled{{Service: "cache", Holds: []string{"volume cache"}, Advice: "ripplebak.enable=\"true\""}},
		Warnings:   []string{"the repository is on this machine"},
		Problems:   []string{},
		Draft:      true,
	}
}

func fixedBackup() *sidecar.BackupReport {
	at := func(s int) time.Time { return noon().Add(time.Duration(s) * time.Second) }
	return &sidecar.BackupReport{
		Snapshot: "4f2a1c0b9d8e7f60514233241506f7e8d9cabb0c1d2e3f405162738495a6b7c8", Project: "shop",
		Started: at(0), Seconds: 12.5, Complete: false, Copies: fixedCopies(),
		Items: []manifest.Item{
			{Kind: manifest.Dump, Service: "db", Name: "shop", State: manifest.Good, Started: at(1), Finished: at(3), Bytes: 1 << 20, Files: 1, Keep: []string{"daily=7", "default"},
				Recent:   []manifest.Mark{{Time: at(-86400), Bytes: 1 << 20, Files: 1}},
				Commands: []string{"pg_dump -Fc -Z0 shop"}, DumpInfo: &manifest.DumpInfo{
					Engine: "pg_dump", ServerVersion: "17.2", ClientVersion: "17.2", Files: []manifest.DumpFile{{Name: "shop.dump", Role: "database", Size: 1 << 20}},
					Facts: []byte(`{"encoding":"UTF8"}`), Volumes: []string{"volume db"},
				}},
			{Kind: manifest.Volume, Name: "uploads", State: manifest.Partial, Warnings: []string{"a/b: changed while it was read"}, Started: at(3), Finished: at(9),
				During: "stop", Inconsistent: "container other-1 writes to it", DowntimeSeconds: 3.25, Bytes: 5 << 30, Files: 12000, VolumeInfo: &manifest.VolumeInfo{
					DockerName: "shop_uploads", Driver: "local", Options: map[string]string{"type": "none"}, Labels: map[string]string{"com.docker.compose.volume": "uploads"},
					External: true, DeviceID: 7, WalkStartedSec: 1772366403, WalkStartedNsec: 5, StableInodes: true, SlackMillis: 4,
					Exclude: []string{"/cache"}, Unreadable: []string{"secret"}, UsedBy: []string{"app"},
				}},
			{Kind: manifest.Dump, Service: "old", Name: "x", State: manifest.Failed, Error: "service \"old\" is not running"},
		},
		Warnings: []string{"the repository is on this machine"}, BytesRead: 5<<30 + 1<<20, BytesStored: 34 << 20,
		Downtime:  map[string]float64{"app": 3.25},
		Requests:  storage.RequestCounts{Put: 5, Get: 3, List: 4, Delete: 1},
		Retention: &sidecar.RetentionReport{Kept: 12, Held: []string{"the backup was not complete"}, Error: "old snapshots are no longer removed"},
	}
}

func fixedRestore() *sidecar.RestoreReport {
	return &sidecar.RestoreReport{
		ID: "0123456789abcdef", Started: noon(), Project: "shop",
		Plan: &plan.Restore{
			Project: "shop",
			Items: []plan.RestoreItem{{Key: "volume uploads", Kind: manifest.Volume, Name: "uploads", Snapshot: "4f2a1c0b9d8e", Time: noon(), Bytes: 5 << 30, Files: 12000,
				Volume: &plan.RestoreVolume{Docker: "shop_uploads", Create: true}},
				{Key: "dump db/shop", Kind: manifest.Dump, Service: "db", Name: "shop", Snapshot: "4f2a1c0b9d8e", Time: noon(), Bytes: 1 << 20, Files: 1}},
			Operations: []plan.RestoreOperation{{Do: plan.StopService, Service: "app", Cause: "it uses volume uploads"}, {Do: plan.FillVolume, Items: []string{"volume uploads"}, Cause: "the snapshot's state"}},
			Warnings:   []string{"items are from different times"}, Problems: []string{},
		},
		Safety: "99aabbcc", Undo: "docker compose run --rm backup restore --rollback",
		Items: []sidecar.RestoredItem{
			{Key: "volume uploads", Snapshot: "4f2a1c0b9d8e", Restored: true, Seconds: 4, Bytes: 2 << 20, Fetched: 1 << 20, Files: 3, Removed: 1, Unchanged: 11997, Compared: 5, Intact: 11990,
				Verified: []string{"1048576 bytes from the repository, each blob authenticated"}, LeftAlone: []string{"/lost+found: the filesystem's own"}, Notes: []string{"owners were kept"}},
			{Key: "dump db/shop", Snapshot: "4f2a1c0b9d8e", Error: "role \"x\" does not exist", Seconds: 1, Counts: map[string]int64{"tables": 12, "large_objects": 0}},
		},
		Seconds: 20, Notes: []string{"roles are as they were"}, LeftAlone: []string{"service \"worker\" was not started: it did not run before"}, Downtime: map[string]float64{"app": 5, "db": 1},
	}
}

func fixedSnapshots() []sidecar.SnapshotInfo {
	return []sidecar.SnapshotInfo{
		{ID: "4f2a1c0b9d8e", ShortID: "4f2a1c0b", Time: noon(), Host: "host1", Project: "shop", Tags: []string{"ripplebak", "project:shop"}, Complete: true, Bytes: 1 << 20,
			Items: []sidecar.ItemInfo{{Key: "dump db/shop", State: manifest.Good, Bytes: 1 << 20, Files: 1}}},
		{ID: "5a2a1c0b9d8e", ShortID: "5a2a1c0b", Time: noon(), Host: "host1", Project: "shop", Tags: []string{"ripplebak", "project:shop", "safety", "incomplete"}, Safety: true,
			Items: []sidecar.ItemInfo{{Key: "dump db/shop", State: manifest.Failed}}},
		{ID: "6b2a1c0b9d8e", ShortID: "6b2a1c0b", Time: noon(), Host: "evil\x1b[2J", Tags: []string{}, Complete: true},
	}
}

func fixedEntries() []sidecar.ListEntry {
	return []sidecar.ListEntry{
		{Path: "/shop", Type: "dir", Mode: "drwxr-xr-x", Bits: 0o755, ModTime: noon()},
		{Path: "/shop/volumes/uploads/a b", Type: "file", Mode: "-rw-r--r--", Bits: 0o644, UID: 33, GID: 34, User: "www-data", Links: 1, Size: 12, ModTime: noon()},
		{Path: "/shop/volumes/uploads/\xff\x1b]0;x\a", Type: "symlink", Mode: "Lrwxrwxrwx", Bits: 0o777, Links: 1, ModTime: time.Date(292277, 1, 1, 0, 0, 0, 1, time.UTC), Target: "to\xfe\nthere"},
	}
}

func fixedCheck() *sidecar.CheckReport {
	return &sidecar.CheckReport{
		Repository: "/backups", Errors: 1, Notes: 1, Snapshots: 2, Packs: 10, Blobs: 100, PacksRead: 3, BytesRead: 5 << 20, Subset: "5%", BadPacks: []string{"0a1b2c3d"}, LostMore: 2,
		Lost:     []sidecar.LostItem{{Snapshot: "4f2a1c0b9d8e", Time: noon(), Project: "shop", Item: "volume uploads", Files: 3, Folders: 1, Bytes: 12, Paths: []string{"a b", "\x1b[2J", "dir/"}}},
		Findings: []sidecar.CheckFinding{{Kind: "pack", File: "0a1b2c3d", Detail: "content is damaged"}, {Kind: "unused", Note: true, Detail: "a pack is in no index"}},
	}
}

func fixedRepair() *sidecar.RepairReport {
	return &sidecar.RepairReport{
		Repository: "/backups", What: sidecar.RepairPacks, Done: true, StepsMore: 1, LostMore: 3,
		Steps: []sidecar.RepairStep{
			{Do: "salvage", File: "0a1b2c3d", Cause: "it is damaged", Blobs: 7, Lost: 2},
			{Do: "rewrite", File: "1b2c3d4e", Cause: "it names 1 of those packs"},
		},
		Written: []sidecar.RewrittenSnapshot{{Old: "4f2a1c0b9d8e", New: "5a2a1c0b9d8e"}},
		Lost:    []sidecar.LostItem{{Snapshot: "4f2a1c0b9d8e", Time: noon(), Project: "shop", Item: "dump db/shop", Files: 1, Bytes: 1 << 20, Paths: []string{"shop.dump"}}},
	}
}

func fixedUnlock() *sidecar.UnlockReport {
	return &sidecar.UnlockReport{Repository: "/backups", Locks: []sidecar.LockStatus{
		{ID: "0a1b2c3d4e5f", Host: "host1~ab/c0ffee", User: "root", PID: 7, Since: noon(), Exclusive: true, Stale: "its container does not run any more", Remove: true, Removed: true},
		{ID: "1b2c3d4e5f60", Host: "evil\x1b[2J", PID: 8, Since: noon()},
		{ID: "2c3d4e5f6071", Damage: "damaged: not a lock"},
	}}
}

func fixedInit() *sidecar.InitReport {
	return &sidecar.InitReport{Repository: "/backups", ID: "0123456789abcdef", Version: 2}
}

func fixedKeys() []sidecar.KeyInfo {
	return []sidecar.KeyInfo{
		{ID: "0a1b2c3d4e5f", ShortID: "0a1b2c3d", Damage: "damaged: not a key file", Created: time.Time{}},
		{ID: "4f2a1c0b9d8e", ShortID: "4f2a1c0b", Created: noon(), User: "root", Host: "evil\x1b[2J", Current: true},
	}
}

func fixedKeyReport() *sidecar.KeyReport {
	return &sidecar.KeyReport{Repository: "/backups", Steps: []sidecar.KeyStep{
		{Do: sidecar.AddKey, Key: "4f2a1c0b9d8e7f60", Cause: "for the new password", Done: true},
		{Do: sidecar.RemoveKey, Key: "5b2f1c0b9d8e7f60", Cause: "the old password opens it"},
	}}
}

// fixed is an application with all the values above.
func fixed() *fixture {
	return &fixture{
		pruning: pruning{report: fixedPrune()},
		looking: fixedLooking(),
		repair:  fixedRepair(), unlock: fixedUnlock(),
		plan: fixedPlan(), backup: fixedBackup(), restore: fixedRestore(), snapshots: fixedSnapshots(),
		entries: fixedEntries(), check: fixedCheck(), init: fixedInit(), keys: fixedKeys(), keyReport: fixedKeyReport(),
		keeping: fixedKeeping(),

		copyFixture: copyFixture{copied: fixedCopy()},
	}
}
