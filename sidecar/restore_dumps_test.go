package sidecar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/docker/dockertest"
	"github.com/ripplebak/ripplebak/dump"
)

// TestF22_AFailedLoadIsNotARestore: a database that appears while a dump is
// loaded is not the one that was to be restored.
func TestF22_AFailedLoadIsNotARestore(t *testing.T) {
	cause := errors.New("the table is full")
	for _, c := range []struct {
		outcome         dump.Outcome
		step            string
		existed, exists bool
		want            bool
	}{
		{dump.OutcomeNothing, "load", false, true, false},
		{dump.OutcomeNothing, "create", false, true, false},
		{dump.OutcomeNothing, "prove", false, true, false},
		{dump.OutcomeNothing, "swap", false, true, true},
		{dump.OutcomeNothing, "swap", false, false, false},
		{dump.OutcomeNothing, "swap", true, true, false},
		{dump.OutcomeOld, "swap", true, true, false},
		{dump.OutcomeNew, "swap", true, true, true},
		{dump.OutcomeNothing, "", false, true, false},
	} {
		err := error(fmt.Errorf("restore: %w", &stepError{c.step, cause}))
		if c.step == "" {
			err = cause
		}
		if got := tookEffect(c.outcome, stepOf(err), c.existed, c.exists); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
		if !errors.Is(err, cause) {
			t.Errorf("%v loses its cause", err)
		}
	}
	for _, engine := range []dump.Engine{dump.Postgres{}, dump.MariaDB{}} {
		facts := dump.Facts{Engine: engine.Name(), ServerMajor: 15, CreateDB: true, Databases: []dump.Database{{Name: "shop", Encoding: "utf8", Collate: "utf8_bin", AllowConn: true}}}
		steps, err := engine.Restore(dump.RestoreRequest{ID: "r", Dumped: facts, Target: facts, Database: "shop"})
		if err != nil {
			t.Fatal(err)
		}
		swaps := 0
		for _, s := range steps {
			if s.Name == swapStep {
				swaps++
			}
		}
		if swaps != 1 {
			t.Errorf("%s has %d steps %q", engine.Name(), swaps, swapStep)
		}
	}
}

// TestRestoreCommandMayTalk: a client that says a line for each row is not ended
// in the middle of its work for it.
func TestRestoreCommandMayTalk(t *testing.T) {
	s := newShop(t)
	id := s.service("app", nil, "data")
	var took int64
	s.f.Command("sh", func(_ context.Context, p *dockertest.Process) int {
		line := bytes.Repeat([]byte("INSERT 0 1\n"), 1<<10)
		for range 2 << 10 { // 22 MiB
			if _, err := p.Stdout.Write(line); err != nil {
				return 9
			}
		}
		var err error
		if took, err = io.Copy(io.Discard, p.Stdin); err != nil {
			return 9
		}
		return 0
	})
	engine := dump.ShellCommand{}
	steps, err := engine.Restore(dump.RestoreRequest{Target: restorable(t, engine)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.app.runStep(t.Context(), s.host(), engine, "app", id, steps[0], strings.NewReader("the dump")); err != nil || took != 8 {
		t.Errorf("it took %d bytes: %v", took, err)
	}
}

// restorable is a container for which the label names a command.
func restorable(t *testing.T, engine dump.ShellCommand) dump.Facts {
	t.Helper()
	facts, err := engine.ParseProbe(dump.Request{RestoreCommand: "tool load"}, []byte("pipefail\nend\n"))
	if err != nil {
		t.Fatal(err)
	}
	return facts
}
