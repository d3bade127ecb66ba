package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/sidecar"
)

// answers gives one answer after the other, and then the end of the input.
func answers(list ...string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		if len(list) == 0 {
			return "", io.EOF
		}
		answer := list[0]
		list = list[1:]
		return answer, nil
	}
}

func choosing(snapshots int) *fixture {
	f := fixed()
	f.snapshots = []sidecar.SnapshotInfo{{ID: "ffff", ShortID: "ffff", Time: noon()}} // not ours
	for n := range snapshots {
		id := fmt.Sprintf("%04x", n) + strings.Repeat("0", 60)
		f.snapshots = append(f.snapshots, sidecar.SnapshotInfo{
			ID: id, ShortID: id[:8], Time: noon().Add(time.Duration(n) * time.Hour), Complete: true, Bytes: 1 << 20,
			Items: []sidecar.ItemInfo{
				{Key: "dump db (globals)", State: manifest.Good}, {Key: "dump db/shop", State: manifest.Good, Bytes: 1 << 20},
				{Key: "dump old/x", State: manifest.Failed}, {Key: "volume cache", State: manifest.Skipped}, {Key: "volume a/b", State: manifest.Good},
			},
		})
	}
	f.snapshots[len(f.snapshots)-1].Safety = true
	return f
}

func TestRestoreWithoutArgumentsAsks(t *testing.T) {
	id := func(n int) string { return fmt.Sprintf("%04x", n) + strings.Repeat("0", 60) }
	for _, c := range []struct {
		args, answers      []string
		snapshot           string
		volumes, databases []string
	}{
		{nil, []string{"", "", "y"}, "latest", nil, nil},
		{nil, []string{"0", "all", "y"}, "latest", nil, nil},
		{nil, []string{"latest", "1", "y"}, "latest", nil, []string{"db/shop"}},
		{nil, []string{"0", "3", "y"}, "latest", []string{"cache"}, nil}, // which an older one holds
		{nil, []string{"1", "2", "y"}, id(3), []string{"a/b"}, nil},      // the safety snapshot
		{nil, []string{"2", " 2, 1 ", "y"}, id(2), []string{"a/b"}, []string{"db/shop"}},
		{nil, []string{id(1)[:6], "", "y"}, id(1), nil, nil},
		{nil, []string{"9", "00", "2", "7", "x", "1", "y"}, id(2), nil, []string{"db/shop"}},
		{[]string{"--volume", "a/b"}, []string{"2", "y"}, id(2), []string{"a/b"}, nil},
	} {
		f := choosing(4)
		r := asked(t, f, answers(c.answers...), c.args...)
		o := f.restored
		if r.code != 0 || o.Snapshot != c.snapshot || !slices.Equal(o.Volumes, c.volumes) || !slices.Equal(o.Databases, c.databases) {
			t.Errorf("%q: code %d, options %+v, error %q", c.answers, r.code, o, r.stderr)
		}
		if plan := strings.Index(r.stderr, "restore of project"); plan < strings.LastIndex(r.stderr, "which ") || plan < 0 {
			t.Errorf("%q: the plan does not come last: %q", c.answers, r.stderr)
		}
	}
}

func TestRestoreWithoutArgumentsThatIsDeclined(t *testing.T) {
	for _, list := range [][]string{{}, {"q"}, {"0"}, {"0", "q"}, {"x", "y", "z"}, {"99", "98", "97"}, {"0", "5", "6", "-1"}, {"0", ",", ",", ","}, {"0", "", "n"}} {
		f := choosing(4)
		r := asked(t, f, answers(list...))
		if r.code != exitFailed || slices.Contains(f.called, "restore") || !strings.Contains(r.stderr, "nothing was touched") {
			t.Errorf("%q: code %d, called %q, error %q", list, r.code, f.called, r.stderr)
		}
	}
}

func TestRestoreOffersTheNewest(t *testing.T) {
	f := choosing(30)
	r := asked(t, f, answers("q"))
	if !strings.Contains(r.stderr, "and 10 older ones") || strings.Contains(r.stderr, "ffff") || strings.Index(r.stderr, "001d0000") > strings.Index(r.stderr, "001c0000") {
		t.Errorf("offered: %s", r.stderr)
	}
	// What is not offered is found by its ID all the same.
	if r := asked(t, f, answers("0001", "", "y")); r.code != 0 || !strings.HasPrefix(f.restored.Snapshot, "0001") {
		t.Errorf("code %d, %+v", r.code, f.restored)
	}
	f = choosing(0)
	f.snapshots = nil
	if r := asked(t, f, answers("0")); r.code != exitFailed || !strings.Contains(r.stderr, "nothing to choose from") {
		t.Errorf("code %d, error %q", r.code, r.stderr)
	}
}

func TestRestoreWithoutArgumentsNeedsATerminal(t *testing.T) {
	for _, args := range [][]string{{"restore"}, {"restore", "--yes"}} {
		f := choosing(4)
		if r := run(t, f, args...); r.code != exitFailed || len(f.called) > 0 || !strings.Contains(r.stderr, "SNAPSHOT is missing") {
			t.Errorf("%q: code %d, called %q, error %q", args, r.code, f.called, r.stderr)
		}
	}
	for _, flag := range []string{"--yes", "--json"} { // where nobody is to be asked
		f := choosing(4)
		if r := asked(t, f, answers("0", "", "y"), flag); r.code != exitFailed || len(f.called) > 0 || !strings.Contains(r.stderr, "SNAPSHOT is missing") {
			t.Errorf("%s: code %d, called %q, error %q", flag, r.code, f.called, r.stderr)
		}
	}
}
