// Command bench measures ripplebak against restic and borg on the same data,
// in the same run, on this machine.
//
// Data sets are generated from a seed into Docker volumes. Our figures go
// through the shipped path: a sidecar container of the image that serves, in
// which the command is executed, its helper and the socket between them; CPU
// time and memory of both are added up. The rows "ripplebak (engine only)"
// leave Docker out. restic and borg read the same directories directly.
//
// Each operation is repeated, the rivals taking turns, and medians are
// reported. "Cold" drops the page cache before each run, "warm" reads the data
// first. A restore counts until the data is on disk, for each of them.
//
// Environment: BENCH_JSON=FILE writes the figures as JSON, BENCH_RUNS=5,
// BENCH_DATASETS=small,big,postgres, BENCH_CACHES=warm,cold, BENCH_SCALE=1.0
// scales the data sets, BENCH_TOOLS=ripplebak,engine,restic,borg (and tar).
// Further data sets are random, tiny and sparse. BENCH_STORAGE=s3 keeps the
// repositories on an S3 server on loopback, for the tools that can.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// options is what the environment says.
type options struct {
	image    string // of the sidecar
	app      string // of the service whose volume is saved, which never runs
	runs     int
	scale    float64
	datasets []string
	caches   []string
	tools    []string
	json     string
	s3       bool
	gateway  *gateway // where s3 is true, while a data set is measured
}

func main() {
	if len(os.Args) > 1 {
		if err := part(os.Args[1], os.Args[2:]); err != nil {
			fmt.Fprintf(os.Stderr, "bench %s: %v\n", os.Args[1], err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// part runs one of what the benchmark is made of.
func part(name string, args []string) error {
	switch name {
	case "engine":
		return engineMain(args)
	case "limits":
		return limits(os.Stdout)
	case "cuts":
		return cuts(os.Stdout, args)
	}
	return errors.New("the parts are engine, limits, cuts")
}

func list(name, otherwise string) []string {
	v := os.Getenv(name)
	if v == "" {
		v = otherwise
	}
	return strings.Split(v, ",")
}

func readOptions() (options, error) {
	o := options{
		image: "ripplebak:latest", app: os.Getenv("BENCH_POSTGRES_IMAGE"), runs: 5, scale: 1, json: os.Getenv("BENCH_JSON"),
		datasets: list("BENCH_DATASETS", "small,big,postgres"), caches: list("BENCH_CACHES", "warm,cold"),
		tools: list("BENCH_TOOLS", "ripplebak,engine,restic,borg"),
	}
	if v := os.Getenv("BENCH_IMAGE"); v != "" {
		o.image = v
	}
	if o.app == "" {
		return o, fmt.Errorf("BENCH_POSTGRES_IMAGE is not set: run it by \"make bench\"")
	}
	var err error
	if v := os.Getenv("BENCH_RUNS"); v != "" {
		if o.runs, err = strconv.Atoi(v); err != nil || o.runs < 1 {
			return o, fmt.Errorf("BENCH_RUNS must be a number of at least 1")
		}
	}
	if v := os.Getenv("BENCH_SCALE"); v != "" {
		if o.scale, err = strconv.ParseFloat(v, 64); err != nil || o.scale <= 0 {
			return o, fmt.Errorf("BENCH_SCALE must be a positive number")
		}
	}
	switch os.Getenv("BENCH_STORAGE") {
	case "", "local":
	case "s3":
		o.s3 = true
	default:
		return o, fmt.Errorf("BENCH_STORAGE must be local or s3")
	}
	return o, nil
}

func run(ctx context.Context) error {
	opt, err := readOptions()
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("it drops the page cache and reads Docker's volumes: run it as root")
	}
	var rows []row
	for _, name := range opt.datasets {
		more, err := benchDataset(ctx, opt, name)
		rows = append(rows, more...)
		if err != nil {
			return fmt.Errorf("data set %s: %w", name, err)
		}
		printTable(os.Stdout, more)
	}
	printRatios(os.Stdout, rows)
	if opt.json == "" {
		return nil
	}
	b, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(opt.json, append(b, '\n'), 0o644)
}
