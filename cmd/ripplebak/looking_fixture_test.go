package main

import (
	"context"

	"github.com/ripplebak/ripplebak/sidecar"
)

// looking is the part of the fixture that looks into snapshots.
type looking struct {
	export   *sidecar.ExportReport
	exported sidecar.ExportOptions
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

func fixedLooking() looking {
	return looking{export: fixedExport()}
}
