// Command ripplebak backs up a Docker Compose project, and brings it back.
//
// This package is the command line and nothing else: it turns flags and the
// environment into one call of package sidecar, shows how that comes along,
// and turns what it returns into tables or JSON and an exit code. Results go to
// standard output; logs, progress and questions to standard error. All text
// passes the redactor before it leaves, and text for people shows no control
// characters but line breaks, whatever names files have.
package main

import (
	"context"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"time"
	_ "time/tzdata" // the image has no zones of its own

	"github.com/sirupsen/logrus"
	_ "golang.org/x/crypto/x509roots/fallback" // nor certificates
	"golang.org/x/term"

	"github.com/ripplebak/ripplebak/sidecar"
)

// version is set when the program is linked.
var version = "unknown"

func main() { os.Exit(start()) }

// gcPercent is how much garbage may gather before it is collected, of what is
// in use. Most of what is in use are large buffers that are used again and cost
// the collector nothing to look at, so that little is paid for a small heap.
const gcPercent = 10

func start() int {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	// The library that reads compose files speaks to this logger; what matters
	// of it is in the plan's notices.
	logrus.SetOutput(io.Discard)
	p := &program{
		out: os.Stdout, err: os.Stderr,
		inTerminal:  term.IsTerminal(int(os.Stdin.Fd())),
		outTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		errTerminal: term.IsTerminal(int(os.Stderr.Fd())) && os.Getenv("TERM") != "dumb",
		size:        func() (int, int, error) { return term.GetSize(int(os.Stderr.Fd())) },
		readLine:    func(ctx context.Context) (string, error) { return readLine(ctx, os.Stdin) },
		readSecret:  func(ctx context.Context) (string, error) { return readSecret(ctx, os.Stdin) },
		environ:     os.Environ(), readFile: os.ReadFile,
		now:       time.Now,
		limitCPUs: func(n int) { runtime.GOMAXPROCS(min(n, runtime.GOMAXPROCS(0))) },
		build:     thisBuild(),
		open:      func(a *sidecar.App) application { return a },
	}
	ctx, stop := p.untilSignal(context.Background())
	defer stop()
	return p.main(ctx, os.Args[1:])
}
