package main

import (
	"context"

	"github.com/ripplebak/ripplebak/retention"
	"github.com/ripplebak/ripplebak/sidecar"
)

// keeping is the part of the fixture that forgets and pins.
type keeping struct {
	groups    []sidecar.ForgetGroup
	pin       *sidecar.PinReport
	forgotten sidecar.ForgetOptions
	pinned    sidecar.PinOptions
}

func fixedKeeping() keeping { return keeping{groups: fixedForget(), pin: fixedPin()} }

func (f *fixture) Forget(ctx context.Context, opt sidecar.ForgetOptions) ([]sidecar.ForgetGroup, error) {
	f.forgotten = opt
	if !opt.DryRun && f.groups != nil {
		if err := opt.Confirm(f.groups); err != nil {
			return f.groups, err
		}
	}
	return f.groups, f.call(ctx, "forget")
}

func (f *fixture) Pin(ctx context.Context, opt sidecar.PinOptions) (*sidecar.PinReport, error) {
	f.pinned = opt
	return f.pin, f.call(ctx, "pin")
}

func fixedForget() []sidecar.ForgetGroup {
	snapshot := func(id string, days int) sidecar.ForgetSnapshot {
		return sidecar.ForgetSnapshot{
			Time: noon().AddDate(0, 0, -days), Parent: "99aabbcc", Tree: "0011", Paths: []string{"/shop"}, Hostname: "host1", Username: "root",
			Tags: []string{"ripplebak", "project:shop"}, ID: id, ShortID: id[:8],
		}
	}
	newest, middle, oldest := snapshot("4f2a1c0b9d8e", 0), snapshot("5a2a1c0b9d8e", 1), snapshot("6b2a1c0b9d8e", 2)
	oldest.Original, oldest.Tags = "77665544", append(oldest.Tags, "pinned")
	return []sidecar.ForgetGroup{{
		Tags: []string{"ripplebak", "project:shop"}, Host: "host1", Paths: []string{"/shop"}, Project: "shop", Policy: "last=1",
		Keep: []sidecar.ForgetSnapshot{newest, oldest}, Remove: []sidecar.ForgetSnapshot{middle},
		Reasons: []sidecar.ForgetReason{
			{Snapshot: newest, Matches: []string{"last snapshot"}, Counters: retention.Counters{Last: 2, Hourly: 1, Daily: 6, Weekly: 3, Monthly: 11, Quarterly: 7, Yearly: -1}},
			{Snapshot: oldest, Matches: []string{"pinned"}},
		},
		Warnings: []string{"1 snapshots are from the future"},
	}}
}

func fixedPin() *sidecar.PinReport {
	return &sidecar.PinReport{Snapshot: "6b2a1c0b9d8e", Was: "77665544", Tags: []string{"ripplebak", "project:shop", "pinned"}, Pinned: true, Changed: true, Copies: []sidecar.PinnedCopy{
		{Name: "copy", Snapshot: "8d2a1c0b9d8e", Was: "9e665544", Changed: true}, {Name: "copy2"}, {Name: "copy3", Error: "no such bucket"},
	}}
}
