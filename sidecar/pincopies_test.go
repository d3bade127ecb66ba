package sidecar

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/repository"
)

// pinnedIn says of each snapshot of the project in a repository whether it is
// pinned, oldest first: "p" or "-".
func (s *shop) pinnedIn(name string) (out string) {
	s.t.Helper()
	t := s.app.primary()
	if c, ok := s.app.Settings.Copy(name); ok {
		t = s.app.copyTarget(c)
	}
	v, err := s.app.openTarget(s.t.Context(), t, nil, false)
	if err != nil {
		s.t.Fatal(err)
	}
	defer v.close(context.WithoutCancel(s.t.Context()))
	list, _, err := v.repo.Snapshots(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, sn := range list {
		if sn.HasTag(TagPinned) {
			out += "p"
		} else {
			out += "-"
		}
	}
	return out
}

func (s *shop) wantPinned(when, want string, repos ...string) {
	s.t.Helper()
	for _, name := range repos {
		if got := s.pinnedIn(name); got != want {
			s.t.Errorf("%s: %q has %q, want %q", when, name, got, want)
		}
	}
}

// TestPinReachesCopies: what is pinned, or let go, is so in the copies too. One
// that cannot be reached says so, with what to do later, and one that does not
// have the snapshot is left alone.
func TestPinReachesCopies(t *testing.T) {
	s := copyingShop(t)
	s.backedUp()
	s.change("second")
	s.backedUp()
	list, err := s.app.Snapshots(t.Context(), true)
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	oldest := list[0].ID
	if list[1].Time.Before(list[0].Time) {
		oldest = list[1].ID
	}
	pin := func(opt PinOptions) *PinReport {
		t.Helper()
		opt.Snapshot = oldest
		r, err := s.app.Pin(t.Context(), opt)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := pin(PinOptions{DryRun: true}); len(r.Copies) != 2 || !r.Copies[0].Changed || r.Copies[0].Snapshot == "" || s.pinnedIn("copy") != "--" {
		t.Errorf("dry run: %+v, %s", r, s.pinnedIn("copy"))
	}
	r := pin(PinOptions{})
	s.wantPinned("pinned", "p-", "", "copy", "copy2")
	if c := r.Copies[0]; c.Name != "copy" || !c.Changed || c.Snapshot == c.Was || c.Error != "" {
		t.Errorf("%+v", r)
	}
	if r := pin(PinOptions{}); r.Changed || r.Copies[0].Changed || r.Copies[1].Changed {
		t.Errorf("pinned twice: %+v", r)
	}
	// The copies have what the repository has: nothing is copied again.
	s.change("third")
	if b := s.backedUp(); len(b.Copies[0].Snapshots) != 1 || b.Copies[0].Present != 2 {
		t.Errorf("copied after it was pinned: %+v", b.Copies[0])
	}

	if err := os.Rename(s.path("copy"), s.path("away")); err != nil {
		t.Fatal(err)
	}
	said := len(s.log.String())
	r = pin(PinOptions{Unpin: true})
	s.wantPinned("let go while one is away", "---", "", "copy2")
	if c := r.Copies[0]; c.Error == "" || c.Changed || r.Copies[1].Error != "" || !r.Changed {
		t.Errorf("%+v", r)
	}
	if log := s.log.String()[said:]; !strings.Contains(log, `run \"unpin `+oldest[:8]+` --from copy\"`) || strings.Contains(log, `"error"`) {
		t.Errorf("log: %s", log)
	}
	if err := os.Rename(s.path("away"), s.path("copy")); err != nil {
		t.Fatal(err)
	}
	s.wantPinned("back again", "p--", "copy")
	s.app.From = "copy"
	if r := pin(PinOptions{Unpin: true}); !r.Changed || len(r.Copies) != 0 {
		t.Errorf("from the copy: %+v", r)
	}
	s.app.From = ""
	s.wantPinned("made up for", "---", "", "copy", "copy2")
	s.wantWhole("copy", "copy2", "")
	s.wantQuiet()
}

// TestPinWithoutTheSnapshotInACopy: a copy that is not there yet, one that lacks
// the snapshot, and one that got it twice because it was pinned after it was
// copied.
func TestPinWithoutTheSnapshotInACopy(t *testing.T) {
	s := copyingShop(t)
	copies := s.app.Settings.Copies
	s.app.Settings.Copies = nil
	report := s.backedUp()
	s.app.Settings.Copies = copies
	said := len(s.log.String())
	r, err := s.app.Pin(t.Context(), PinOptions{Snapshot: "latest"})
	if err != nil || len(r.Copies) != 2 || r.Copies[0] != (PinnedCopy{Name: "copy"}) || strings.Contains(s.log.String()[said:], `"warn"`) {
		t.Errorf("no copy yet: %+v, %v, %s", r, err, s.log.String()[said:])
	}
	s.mustCopy(CopyOptions{})
	s.app.Settings.Copies = nil
	if _, err := s.app.Pin(t.Context(), PinOptions{Snapshot: report.Snapshot, Unpin: true}); err != nil {
		t.Fatal(err)
	}
	s.app.Settings.Copies = copies
	s.mustCopy(CopyOptions{}) // what has other tags is another
	if got := s.pinnedIn("copy"); len(got) != 2 || strings.Count(got, "p") != 1 {
		t.Fatalf("the copy has %q", got)
	}
	if _, err := s.app.Pin(t.Context(), PinOptions{Snapshot: report.Snapshot, Unpin: true}); err != nil {
		t.Fatal(err)
	}
	s.wantPinned("cleared up", "-", "", "copy", "copy2")

	c, _ := s.app.Settings.Copy("copy2")
	v, err := s.app.openTarget(t.Context(), s.app.copyTarget(c), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.app.takeLock(t.Context(), v, nil, repository.LockOptions{}); err != nil {
		t.Fatal(err)
	}
	r, err = s.app.Pin(t.Context(), PinOptions{Snapshot: "latest"})
	if err != nil || !r.Copies[0].Changed || !strings.Contains(r.Copies[1].Error, "lock") {
		t.Errorf("while somebody works there: %+v, %v", r, err)
	}
	if err := v.close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
