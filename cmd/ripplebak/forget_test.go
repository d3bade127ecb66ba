package main

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/sidecar"
)

// TestForgetPrunesWhenItIsAsked, once what was to go is gone.
func TestForgetPrunesWhenItIsAsked(t *testing.T) {
	for _, c := range []struct {
		args   []string
		called []string
	}{
		{[]string{"forget", "--yes"}, []string{"forget"}},
		{[]string{"forget", "--yes", "--prune"}, []string{"forget", "prune"}},
		{[]string{"forget", "--dry-run", "--prune"}, []string{"forget"}},
	} {
		f := fixed()
		if r := run(t, f, c.args...); r.code != exitDone || !slices.Equal(f.called, c.called) {
			t.Errorf("%q: code %d, called %q: %s", c.args, r.code, f.called, r.stderr)
		}
	}
	f := fixed()
	f.err = errors.New("no route")
	if r := run(t, f, "forget", "--yes", "--prune"); r.code != exitFailed || !slices.Equal(f.called, []string{"forget"}) {
		t.Errorf("after a failure: code %d, called %q", r.code, f.called)
	}
}

func TestForgetAsksOrIsRefused(t *testing.T) {
	f := fixed()
	if r := run(t, f, "forget"); r.code != exitFailed || len(f.called) > 0 || !strings.Contains(r.stderr, "--yes") {
		t.Errorf("without a terminal: code %d, called %q: %s", r.code, f.called, r.stderr)
	}
	f = fixed()
	if r := run(t, f, "forget", "--yes", "--keep", " "); r.code != exitFailed || len(f.called) > 0 {
		t.Errorf("an empty policy: code %d, called %q: %s", r.code, f.called, r.stderr)
	}
	f = fixed()
	f.err = sidecar.ErrChanged
	if r := run(t, f, "forget", "--yes"); r.code != exitFailed || strings.Contains(r.out, "removed 1") {
		t.Errorf("nothing was removed: code %d, %s", r.code, r.out)
	}
}
