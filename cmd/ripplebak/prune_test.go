package main

import (
	"context"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/sidecar"
)

// pruning is the part of a fixture that prunes.
type pruning struct {
	report *sidecar.PruneReport
	pruned sidecar.PruneOptions
}

func (f *fixture) Prune(ctx context.Context, opt sidecar.PruneOptions) (*sidecar.PruneReport, error) {
	f.pruned = opt
	return f.pruning.report, f.call(ctx, "prune")
}

func fixedPrune() *sidecar.PruneReport {
	return &sidecar.PruneReport{
		Repository: "/backups", DryRun: true, Snapshots: 2, Packs: 10, Bytes: 80 << 20, Needed: 60 << 20, Unused: 20 << 20, Stays: 3 << 20, Freed: 17 << 20,
		Steps: []sidecar.PruneStep{
			{Do: "repack", File: "0a1b2c3d", Cause: "no snapshot needs part of it", Size: 8 << 20, Needed: 2 << 20},
			{Do: "remove", File: "1a1b2c3d", Cause: "no snapshot needs it", Size: 8 << 20},
		},
	}
}

func TestPruneCommand(t *testing.T) {
	for _, c := range []struct {
		args []string
		want sidecar.PruneOptions
	}{
		{[]string{"prune"}, sidecar.PruneOptions{MaxUnused: "5%"}},
		{[]string{"prune", "--dry-run", "--max-unused", "1G", "--max-repack-size", "2G"}, sidecar.PruneOptions{DryRun: true, MaxUnused: "1G", MaxRepackSize: "2G"}},
	} {
		f := fixed()
		r := run(t, f, c.args...)
		if r.code != exitDone || f.pruned != c.want || !strings.Contains(r.out, "nothing was changed\n") {
			t.Errorf("%q: code %d, asked for %+v, output %q", c.args, r.code, f.pruned, r.out)
		}
	}
}
