package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/docker/go-units"
)

// row is the median of an operation.
type row struct {
	Dataset   string  `json:"dataset"`
	Operation string  `json:"operation"`
	Tool      string  `json:"tool"`
	Wall      float64 `json:"wall_s"`
	CPU       float64 `json:"cpu_s"`
	RSS       int64   `json:"peak_rss_bytes"`
	Stored    int64   `json:"stored_bytes"`
}

// The operations, in the order in which they are measured.
const (
	firstBackup = "first backup"
	unchanged   = "unchanged"
	changed     = "1% changed"
	restoring   = "restore"
)

// samples are the figures of each operation and tool.
type samples map[string]map[string][]figures

func (s samples) add(operation, tool string, f figures) {
	if s[operation] == nil {
		s[operation] = map[string][]figures{}
	}
	s[operation][tool] = append(s[operation][tool], f)
}

// benchDataset measures everything on one data set.
func benchDataset(ctx context.Context, opt options, name string) (rows []row, err error) {
	d, err := makeDataset(ctx, opt, name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.remove(context.WithoutCancel(ctx))) }()
	dir, err := os.MkdirTemp(os.Getenv("BENCH_DIR"), "ripplebak-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if opt.s3 {
		if opt.gateway, err = startGateway(ctx, os.Getenv("BENCH_VERSITYGW"), filepath.Join(dir, "repos")); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(opt.gateway.stop(), err) }()
	}
	got := samples{}
	for _, cache := range opt.caches {
		// One round that does not count warms up what only the first pays for.
		for round := range opt.runs + 1 {
			fmt.Fprintf(os.Stderr, "%s, %s, round %d of %d\n", name, cache, round, opt.runs)
			into := got
			if round == 0 {
				into = samples{}
			}
			if err := measureRound(ctx, opt, d, filepath.Join(dir, "repos"), cache, round, into); err != nil {
				return nil, err
			}
		}
	}
	return medians(opt, name, got), nil
}

// measureRound takes each tool through all operations once. The order of the
// tools turns with the rounds.
func measureRound(ctx context.Context, opt options, d *dataset, dir, cache string, round int, into samples) (err error) {
	tools, err := makeTools(opt, d, dir)
	if err != nil {
		return err
	}
	turn := round % len(tools)
	tools = append(tools[turn:], tools[:turn]...)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, t := range tools {
		if err := t.begin(ctx); err != nil {
			return errors.Join(err, t.end(context.WithoutCancel(ctx)))
		}
		defer func() { err = errors.Join(err, t.end(context.WithoutCancel(ctx))) }()
	}
	for _, op := range []string{firstBackup, unchanged, changed} {
		if op == changed {
			if err := d.change(round); err != nil {
				return err
			}
		}
		for _, t := range tools {
			if err := measureBackup(ctx, d, t, op, cache, into); err != nil {
				return err
			}
		}
	}
	return measureRestores(ctx, d, tools, cache, into)
}

func measureBackup(ctx context.Context, d *dataset, t tool, op, cache string, into samples) error {
	before, err := size(t.repository())
	if err != nil {
		return err
	}
	if err := prepare(ctx, d, cache); err != nil {
		return err
	}
	f, err := t.backup(ctx)
	if err != nil {
		return err
	}
	after, err := size(t.repository())
	f.stored = after - before
	into.add(op+", "+cache, t.name(), f)
	return err
}

// measureRestores restores with each tool. Ours restores into the volume that
// the others' data came from, which nobody reads any more.
func measureRestores(ctx context.Context, d *dataset, tools []tool, cache string, into samples) error {
	for _, t := range tools {
		if err := t.empty(); err != nil {
			return err
		}
	}
	if err := settle(ctx, d); err != nil {
		return err
	}
	for _, t := range tools {
		if err := prepareRestore(ctx, t, cache); err != nil {
			return err
		}
		f, err := t.restore(ctx)
		if err != nil {
			return err
		}
		into.add(restoring+", "+cache, t.name(), f)
	}
	return nil
}

// prepareRestore empties the page cache; or, warm, sees to it that the
// repository is in there, and the programs. What the one before wrote must not
// be found on the way to free inodes, nor must its memory be had for less: on a
// virtual machine whose host takes free memory back, a page costs more to write
// to when it has been free for some seconds.
func prepareRestore(ctx context.Context, t tool, cache string) error {
	if err := dropCaches(); err != nil {
		return err
	}
	if err := pause(ctx, memoryTime); err != nil {
		return err
	}
	if cache == "cold" {
		return nil
	}
	return errors.Join(readAll(ctx, t.repository()), t.warm(ctx))
}

// settle waits until the filesystem has forgotten the many files that were
// removed just now. ext4 without a journal does not give out an inode again
// within a minute; until then each new file costs a search past all of them,
// and whoever restores into the place of the removed ones would pay for it.
func settle(ctx context.Context, d *dataset) error {
	if !d.manyFiles() {
		return nil
	}
	if err := dropCaches(); err != nil { // what is dirty counts for longer
		return err
	}
	return pause(ctx, settleTime)
}

// How long free inodes and free memory are waited for.
const (
	settleTime = 65 * time.Second
	memoryTime = 5 * time.Second
)

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func prepare(ctx context.Context, d *dataset, cache string) error {
	if cache == "cold" {
		return dropCaches()
	}
	return d.warm(ctx)
}

func medians(opt options, dataset string, got samples) []row {
	var out []row
	for _, op := range []string{firstBackup, unchanged, changed, restoring} {
		for _, cache := range opt.caches {
			key := op + ", " + cache
			for _, t := range []string{"ripplebak", "ripplebak (engine only)", "restic", "borg", "tar | zstd"} {
				if len(got[key][t]) == 0 {
					continue
				}
				m := median(got[key][t])
				out = append(out, row{Dataset: dataset, Operation: key, Tool: t, Wall: m.wall, CPU: m.cpu, RSS: m.rss, Stored: m.stored})
			}
		}
	}
	return out
}

func printTable(w io.Writer, rows []row) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tw, "data set\toperation\ttool\twall s\tCPU s\tpeak RSS\tstored\t\n")
	for _, r := range rows {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%.2f\t%.2f\t%s\t%s\t\n", r.Dataset, r.Operation, r.Tool, r.Wall, r.CPU, units.BytesSize(float64(r.RSS)), units.BytesSize(float64(r.Stored)))
	}
	tw.Flush()
}

// printRatios prints ours against restic's.
func printRatios(w io.Writer, rows []row) {
	find := func(dataset, op, tool string) (row, bool) {
		for _, r := range rows {
			if r.Dataset == dataset && r.Operation == op && r.Tool == tool {
				return r, true
			}
		}
		return row{}, false
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tw, "\nripplebak / restic\t\twall\tCPU\tpeak RSS\tstored\t\n")
	for _, r := range rows {
		other, ok := find(r.Dataset, r.Operation, "restic")
		if r.Tool != "ripplebak" || !ok {
			continue
		}
		stored := "-"
		if other.Stored > 1<<20 {
			stored = fmt.Sprintf("%.2f", float64(r.Stored)/float64(other.Stored))
		}
		fmt.Fprintf(tw, "%s\t%s\t%.2f\t%.2f\t%.2f\t%s\t\n", r.Dataset, r.Operation, r.Wall/other.Wall, r.CPU/other.CPU, float64(r.RSS)/float64(other.RSS), stored)
	}
	tw.Flush()
}
