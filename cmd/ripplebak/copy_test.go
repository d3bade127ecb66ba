package main

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/sidecar"
)

// copyFixture is what the application has of copies.
type copyFixture struct {
	copied *sidecar.CopyReport
	copies sidecar.CopyOptions
}

func (f *fixture) Copy(ctx context.Context, opt sidecar.CopyOptions) (*sidecar.CopyReport, error) {
	f.copies = opt
	return f.copied, f.call(ctx, "copy")
}

func fixedCopies() []sidecar.CopyInfo {
	return []sidecar.CopyInfo{
		{Name: "copy", Repository: "/mnt/disk", Present: 3, Bytes: 4 << 20, BytesStored: 2 << 20, Removed: 1, BehindSince: noon(), Error: "no space left", Snapshots: []sidecar.CopyStep{
			{Snapshot: "4f2a1c0b9d8e7f60", Time: noon(), Cause: "the copy does not have it", Copy: "99aabbccddeeff00"},
			{Snapshot: "5a2a1c0b9d8e7f60", Time: noon(), Cause: "the copy does not have it"},
		}},
		{Name: "copy2", Create: true, Snapshots: []sidecar.CopyStep{}},
	}
}

func fixedCopy() *sidecar.CopyReport {
	return &sidecar.CopyReport{Repository: "/backups", Copies: fixedCopies(), Seconds: 2.5}
}

func TestCopyPassesOnWhatItIsTold(t *testing.T) {
	f := fixed()
	r := run(t, f, "copy", "--to", "copy", "--to", "copy2", "--init", "--dry-run", "4f2a", "latest")
	want := sidecar.CopyOptions{Snapshots: []string{"4f2a", "latest"}, To: []string{"copy", "copy2"}, Init: true, DryRun: true}
	if r.code != exitDone || !reflect.DeepEqual(f.copies, want) {
		t.Errorf("code %d, %+v: %s", r.code, f.copies, r.stderr)
	}
}

func TestCommandsReadACopy(t *testing.T) {
	for _, args := range [][]string{
		{"restore", "latest", "--yes"}, {"snapshots"}, {"ls", "latest"}, {"check"}, {"copy"}, {"unlock"}, {"diff", "4f2a", "latest"}, {"find", "x"}, {"stats"}, {"export", "latest", "-o", "x"}, {"key", "list"}, {"key", "passwd"}, {"prune"},
	} {
		for _, from := range []string{"", "copy2"} {
			f := fixed()
			if from != "" {
				args = append(args, "--from", from)
			}
			if r := run(t, f, args...); r.code != exitDone || f.app.From != from {
				t.Errorf("%q: code %d, from %q: %s", args, r.code, f.app.From, r.stderr)
			}
		}
	}
	for _, args := range [][]string{{"backup", "--from", "copy"}, {"init", "--from", "copy"}} {
		if r := run(t, fixed(), args...); r.code != exitFailed || !strings.Contains(r.stderr, "unknown flag: --from") {
			t.Errorf("%q: code %d, %s", args, r.code, r.stderr)
		}
	}
}

func TestCopyText(t *testing.T) {
	r := run(t, fixed(), "copy")
	for _, want := range []string{
		"copy (/mnt/disk): 3 snapshots are there\n", "  copied 4f2a1c0b of 2026-03-01 12:00:00 as 99aabbcc\n",
		"  NOT copied 5a2a1c0b of", "  stored 2MiB\n", "  failed: no space left\n", "  make the repository",
	} {
		if !strings.Contains(r.out, want) {
			t.Errorf("no %q in:\n%s", want, r.out)
		}
	}
}
