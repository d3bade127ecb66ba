package state

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

func open(t *testing.T) *Dir {
	t.Helper()
	d, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestJournalSurvivesAndNamesWhatToUndo(t *testing.T) {
	d := open(t)
	older := &Journal{Run: "a", Started: time.Unix(1, 0), Quiesced: []Quiesced{{Service: "app", Number: 1, How: "stop"}}}
	newer := &Journal{Run: "b", Started: time.Unix(2, 0)}
	for _, j := range []*Journal{newer, older} {
		if err := d.WriteJournal(j); err != nil {
			t.Fatal(err)
		}
	}
	got, err := d.Journals()
	if err != nil || len(got) != 2 || got[0].Run != "a" || got[0].Quiesced[0].Service != "app" {
		t.Fatalf("got %+v, %v", got, err)
	}
	if got[0].Empty() || !got[1].Empty() {
		t.Error("Empty is wrong")
	}
	for range 2 { // removing is idempotent
		if err := d.RemoveJournal("a"); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := d.Journals(); len(got) != 1 {
		t.Errorf("%d journals are left, want 1", len(got))
	}
}

func TestDamagedJournalDoesNotHideTheOthers(t *testing.T) {
	d := open(t)
	if err := d.WriteJournal(&Journal{Run: "good"}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.Path(), "journal", "bad.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := d.Journals()
	if err == nil || len(got) != 1 || got[0].Run != "good" {
		t.Errorf("got %d journals and error %v", len(got), err)
	}
}

func TestWriteJournalRefusesPaths(t *testing.T) {
	d := open(t)
	for _, run := range []string{"", "../x", "a/b", "a.b"} {
		if err := d.WriteJournal(&Journal{Run: run}); err == nil {
			t.Errorf("run %q was accepted", run)
		}
	}
}

func TestF42_SecondRunIsToldWhoHoldsTheLock(t *testing.T) {
	d := open(t)
	since := time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)
	l, err := d.Lock(context.Background(), Owner{Run: "r", Command: "serve", Container: "0123456789abcdef", Since: since}, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Lock(context.Background(), Owner{Run: "s", Command: "backup"}, 0)
	var busy *BusyError
	if !errors.As(err, &busy) || !errors.Is(err, ErrBusy) {
		t.Fatalf("got %v, want a BusyError", err)
	}
	for _, want := range []string{"serve", "0123456789ab", "2026-11-22T02:00:00Z"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := d.Lock(context.Background(), Owner{Run: "s", Command: "backup"}, 0)
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	if err := again.Release(); err != nil {
		t.Fatal(err)
	}
}

// TestRunLockEndsWithItsProcess kills the process that holds the lock.
func TestRunLockEndsWithItsProcess(t *testing.T) {
	dir := os.Getenv("STATE_TEST_DIR")
	if dir != "" {
		d, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		l, err := d.Lock(context.Background(), Owner{Run: "child"}, 0)
		if err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("locked\n")
		<-t.Context().Done() // until it is killed
		_ = l.Release()      // so that the lock's file is in use till then
		return
	}
	d := open(t)
	child := exec.Command(os.Args[0], "-test.run=^TestRunLockEndsWithItsProcess$")
	child.Env = append(os.Environ(), "STATE_TEST_DIR="+d.Path())
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Lock(context.Background(), Owner{}, 0); !errors.Is(err, ErrBusy) {
		t.Errorf("while the child lives: %v, want ErrBusy", err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err == nil {
		t.Error("the child ended well although it was killed")
	}
	l, err := d.Lock(context.Background(), Owner{}, 5*time.Second)
	if err != nil {
		t.Fatalf("after the kill: %v", err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
}

func TestHealthFollowsTheLastGoodBackup(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	tests := []struct {
		name    string
		h       History
		healthy bool
	}{
		{"fresh", History{Runs: Runs{Interval: day, LastGood: now.Add(-day)}}, true},
		{"older than twice the interval", History{Runs: Runs{Interval: day, LastGood: now.Add(-49 * time.Hour)}}, false},
		{"new installation", History{Runs: Runs{Interval: day, ServingSince: now.Add(-time.Hour)}}, true},
		{"never succeeded", History{Runs: Runs{Interval: day, ServingSince: now.Add(-72 * time.Hour), LastError: "locked"}}, false},
		{"no schedule", History{Runs: Runs{LastGood: now}}, false},
	}
	for _, tt := range tests {
		if err := tt.h.Healthy(now); (err == nil) != tt.healthy {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestDamagedHistoryIsKeptAside, and what is written instead says so until a
// repository is seen again.
func TestDamagedHistoryIsKeptAside(t *testing.T) {
	d := open(t)
	path := filepath.Join(d.Path(), historyFile)
	if err := os.WriteFile(path, []byte(`{"repository": "i`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.History(); err == nil {
		t.Error("a damaged record was read")
	}
	if err := d.UpdateHistory(func(h *History) { h.Unfinished++ }); err != nil {
		t.Fatal(err)
	}
	if h, err := d.History(); err != nil || !reflect.DeepEqual(h, History{Runs: Runs{Unfinished: 1}, Lost: true}) {
		t.Errorf("got %+v, %v", h, err)
	}
	if b, err := os.ReadFile(filepath.Join(d.Path(), DamagedHistory)); err != nil || string(b) != `{"repository": "i` {
		t.Errorf("aside lies %q, %v", b, err)
	}
	// Killed before the new one was written.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if h, err := d.History(); err != nil || !h.Lost {
		t.Errorf("got %+v, %v", h, err)
	}
	if err := d.UpdateHistory(func(h *History) { h.Repository, h.Lost = "id", false }); err != nil {
		t.Fatal(err)
	}
	if h, err := d.History(); err != nil || !reflect.DeepEqual(h, History{Repository: "id"}) {
		t.Errorf("got %+v, %v", h, err)
	}
}

// TestF33_LockHoldsThoughItCannotBeSigned: a full state volume keeps nobody
// from running, and the lock keeps others out all the same.
func TestF33_LockHoldsThoughItCannotBeSigned(t *testing.T) {
	d := open(t)
	if err := os.MkdirAll(filepath.Join(d.Path(), ownerFile, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := d.Lock(context.Background(), Owner{Run: "a"}, 0)
	if err != nil || lock.Unnamed == nil {
		t.Fatalf("lock %+v, %v", lock, err)
	}
	if _, err := d.Lock(context.Background(), Owner{Run: "b"}, 0); !errors.Is(err, ErrBusy) {
		t.Errorf("a second run got %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Error(err)
	}
}

func TestHealthOfAClockThatWasSetBack(t *testing.T) {
	now := time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC)
	h := History{Runs: Runs{Interval: 24 * time.Hour, LastGood: now.Add(time.Hour)}}
	if err := h.Healthy(now); err != nil {
		t.Errorf("an hour ahead: %v", err)
	}
	h.LastGood = now.Add(365 * 24 * time.Hour)
	if err := h.Healthy(now); err == nil || !strings.Contains(err.Error(), "in the future") {
		t.Errorf("a year ahead: %v", err)
	}
}

func TestHistoryIsChangedByOneAtATime(t *testing.T) {
	d := open(t)
	var wg sync.WaitGroup
	const each = 20
	for range 4 {
		wg.Go(func() {
			for range each {
				if err := d.UpdateHistory(func(h *History) { h.Unfinished++ }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if h, err := d.History(); err != nil || h.Unfinished != 4*each {
		t.Errorf("%d of %d changes were kept: %v", h.Unfinished, 4*each, err)
	}
}
