package main

import (
	"context"
	"time"

	"github.com/ripplebak/ripplebak/archive"
	"github.com/ripplebak/ripplebak/sidecar"
)

// looking is the part of the fixture that looks into snapshots.
type looking struct {
	export      *sidecar.ExportReport
	exported    sidecar.ExportOptions
	differences []sidecar.DiffEntry
	diff        *sidecar.DiffReport
	compared    []string
	found       []sidecar.FoundFile
	find        sidecar.FindOptions
	stats       *sidecar.StatsReport
	measured    []string
}

func (f *fixture) Diff(ctx context.Context, before, after string, fn func(sidecar.DiffEntry) error) (*sidecar.DiffReport, error) {
	f.compared = []string{before, after}
	for _, e := range f.differences {
		if err := fn(e); err != nil {
			return nil, err
		}
	}
	return f.diff, f.call(ctx, "diff")
}

func (f *fixture) Find(ctx context.Context, opt sidecar.FindOptions, fn func(sidecar.FoundFile) error) error {
	f.find = opt
	for _, file := range f.found {
		if err := fn(file); err != nil {
			return err
		}
	}
	return f.call(ctx, "find")
}

func (f *fixture) Stats(ctx context.Context, snapshots []string, all bool) (*sidecar.StatsReport, error) {
	f.measured, f.all = snapshots, all
	return f.stats, f.call(ctx, "stats")
}

// exportedBytes is what the fixture exports.
const exportedBytes = "\x00\x1b[2J\xff"

func (f *fixture) Export(ctx context.Context, opt sidecar.ExportOptions) (*sidecar.ExportReport, error) {
	f.exported = opt
	if err := f.call(ctx, "export"); err != nil {
		return nil, err
	}
	f.export.File = opt.File
	if opt.Output != nil {
		if _, err := opt.Output.Write([]byte(exportedBytes)); err != nil {
			return nil, err
		}
	}
	return f.export, nil
}

func fixedExport() *sidecar.ExportReport {
	return &sidecar.ExportReport{
		Snapshot: "4f2a1c0b9d8e7f60", Time: noon(), Item: "volume uploads", Format: "tar", Compression: "zstd", Recipients: 2,
		Entries: 12, Bytes: 5 << 20, Size: 2 << 20, SHA256: "00ff", Seconds: 1.5, NotGood: []string{"volume uploads"},
		Skipped: []sidecar.ExportSkipped{{Path: "run/\x1b[2Jsock", Reason: "a socket, which tar cannot hold"}},
	}
}

func fixedDifferences() []sidecar.DiffEntry {
	return []sidecar.DiffEntry{
		{Change: archive.Added, Item: "volume uploads", Path: "/shop/volumes/uploads/\xff\x1b[2J", Type: "file", SizeAfter: 1 << 20, NewBytes: 1 << 20},
		{Change: archive.Removed, Item: "volume uploads", Path: "/shop/volumes/uploads/old", Type: "dir"},
		{Change: archive.Content, Item: "dump db/shop", Path: "/shop/dumps/db/shop.dump", Type: "file", SizeBefore: 2 << 20, SizeAfter: 3 << 20, NewBytes: 1 << 19},
		{Change: archive.Metadata, Path: "/else", Type: "file", SizeBefore: 5, SizeAfter: 5},
	}
}

func fixedDiff() *sidecar.DiffReport {
	return &sidecar.DiffReport{
		Before: sidecar.DiffSnapshot{ID: "4f2a1c0b9d8e7f60", Time: noon()}, After: sidecar.DiffSnapshot{ID: "5b2f1c0b9d8e7f60", Time: noon()},
		Items: []sidecar.DiffItem{
			{Key: "dump db/shop", Change: "changed", DiffCounts: sidecar.DiffCounts{Changed: 1, BytesBefore: 2 << 20, BytesAfter: 3 << 20, BytesNew: 1 << 19}},
			{Key: "volume new\n", Change: "added"},
			{Key: "volume uploads", Change: "changed", DiffCounts: sidecar.DiffCounts{Added: 1, Removed: 1, BytesAdded: 1 << 20, BytesRemoved: 7, BytesNew: 1 << 20}},
		},
		DiffCounts: sidecar.DiffCounts{Added: 1, Removed: 1, Changed: 1, Metadata: 1, BytesAdded: 1 << 20, BytesRemoved: 7, BytesBefore: 2 << 20, BytesAfter: 3 << 20, BytesNew: 3 << 19},
	}
}

func fixedFound() []sidecar.FoundFile {
	in := func(ids ...string) (out []sidecar.FoundIn) {
		for i, id := range ids {
			out = append(out, sidecar.FoundIn{ID: id, Time: noon().AddDate(0, 0, i)})
		}
		return out
	}
	return []sidecar.FoundFile{
		{Path: "/shop/volumes/uploads/\xff\x1b[2J", Item: "volume uploads", Versions: []sidecar.FoundVersion{
			{Type: "file", Mode: "-rw-r--r--", UID: 33, GID: 34, Size: 2 << 20, ModTime: noon(), Snapshots: in("4f2a1c0b9d8e7f60", "5b2f1c0b9d8e7f60", "6b2f1c0b9d8e7f60")},
			{Type: "symlink", Mode: "Lrwxrwxrwx", ModTime: time.Date(292277, 1, 1, 0, 0, 0, 1, time.UTC), Target: "to\xfe", Snapshots: in("7b2f1c0b9d8e7f60")},
		}},
		{Path: "/srv/x", Versions: []sidecar.FoundVersion{{Type: "dir", Mode: "drwx------", ModTime: noon(), Snapshots: in("4f2a1c0b9d8e7f60", "5b2f1c0b9d8e7f60")}}},
	}
}

func fixedStats() *sidecar.StatsReport {
	all := sidecar.StatsSizes{Files: 24, RestoreSize: 10 << 20, UniqueSize: 5 << 20, RawSize: 2 << 20, Blobs: 30, DedupRatio: 2, CompressionRatio: 2.5}
	return &sidecar.StatsReport{Snapshots: 2, StatsSizes: all, Items: []sidecar.StatsItem{{Key: "volume up\x1bloads", Snapshots: 2, StatsSizes: all}, {Key: "volume z", Snapshots: 1}}}
}

func fixedLooking() looking {
	return looking{export: fixedExport(), differences: fixedDifferences(), diff: fixedDiff(), found: fixedFound(), stats: fixedStats()}
}
