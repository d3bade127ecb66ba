package sidecar

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/rs/zerolog"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

func noon() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

func yes([]ForgetGroup) error { return nil }

func TestForgetRemovesWhatNothingKeeps(t *testing.T) {
	s := newShop(t)
	now := time.Now()
	a := s.archive(now)
	a.add(days(0, 8)...)
	keepPolicy(t, s, "last=2 weekly=1")
	for _, opt := range []ForgetOptions{
		{DryRun: true, Confirm: yes},
		{Confirm: func([]ForgetGroup) error { return ErrDeclined }},
	} {
		groups, err := s.app.Forget(t.Context(), opt)
		if opt.DryRun != (err == nil) || len(groups) != 1 || len(groups[0].Keep) != 3 || len(groups[0].Remove) != 6 || a.left("shop") != "0 1 2 3 4 5 6 7 8" {
			t.Errorf("%v: %+v, left %s", err, groups, a.left("shop"))
		}
	}
	groups, err := s.app.Forget(t.Context(), ForgetOptions{Confirm: yes})
	if err != nil || a.left("shop") != "0 1 2" {
		t.Errorf("%v: left %s", err, a.left("shop"))
	}
	g := groups[0]
	if g.Host != "host" || g.Policy != "last=2 weekly=1" || g.Reasons[0].Snapshot.ID != g.Keep[0].ID || !slices.Contains(g.Reasons[0].Matches, "last snapshot") {
		t.Errorf("%+v", g)
	}
	if h := s.history(); h.Reviewed.IsZero() {
		t.Error("nobody knows that somebody has looked")
	}
	if left := s.files(s.path("repo", "locks")); len(left) > 0 {
		t.Errorf("locks: %q", left)
	}
	// Without a policy nothing goes; by a policy of the command some does.
	s.app.Settings.Keep, s.app.Settings.KeepMinimum = keeper(t, now, "").Settings.Keep, 1
	if _, err := s.app.Forget(t.Context(), ForgetOptions{Confirm: yes}); err != nil || a.left("shop") != "0 1 2" {
		t.Errorf("%v: left %s", err, a.left("shop"))
	}
	if _, err := s.app.Forget(t.Context(), ForgetOptions{Keep: "last=1", Confirm: yes}); err != nil || a.left("shop") != "0" {
		t.Errorf("%v: left %s", err, a.left("shop"))
	}
}

// TestF31_ForgetStaysInItsProject: others that are named alike, of others, of
// nobody, and of the same name on another host, are left alone or judged apart.
func TestF31_ForgetStaysInItsProject(t *testing.T) { synctest.Test(t, f31_ForgetStaysInItsProject) }

func f31_ForgetStaysInItsProject(t *testing.T) {
	mem := storagetest.NewMemory()
	a := newArchived(t, mem, noon())
	a.add(days(0, 4)...)
	for _, name := range []string{"shop2", "sho", "Shop", "shop/", "..", "sh\u00f6p"} {
		for _, p := range days(0, 4) {
			p.project = name
			a.add(p)
		}
	}
	for _, p := range days(0, 4) {
		p.untagged = true // somebody else's
		a.add(p)
		p.untagged, p.host = false, "other"
		a.add(p)
	}
	app := keeper(t, noon(), "last=3")
	groups := forgetIn(t, app, a, ForgetOptions{})
	if len(groups) != 2 || len(groups[0].Remove) != 2 || len(groups[1].Remove) != 2 {
		t.Errorf("%+v", groups)
	}
	if got := a.left("shop"); got != "0 0 1 1 2 2" {
		t.Errorf("left %s", got)
	}
	for _, name := range []string{"shop2", "sho", "Shop", "shop/", "..", "sh\u00f6p"} {
		if got := a.left(name); got != "0 1 2 3 4" {
			t.Errorf("%s: left %s", name, got)
		}
	}
	list, _, err := a.repo.Snapshots(t.Context())
	if err != nil || len(list) != 6+6*5+5 {
		t.Errorf("%d snapshots, %v", len(list), err)
	}
}

// forgetIn decides and removes in a repository that no settings name.
func forgetIn(t *testing.T, app *App, a *archived, opt ForgetOptions) []ForgetGroup {
	t.Helper()
	groups, err := forgetFrom(t, app, a.store, opt)
	if err != nil {
		t.Fatal(err)
	}
	return groups
}

func forgetFrom(t *testing.T, app *App, store storage.Store, opt ForgetOptions) (groups []ForgetGroup, err error) {
	t.Helper()
	r, err := repository.Open(t.Context(), store.Reader(), "correct horse", repository.Options{})
	if err != nil {
		return nil, err
	}
	v := &vault{store: store, repo: r}
	d, err := app.lockForDeleting(t.Context(), v, nil, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.release(t.Context())) }()
	f, err := app.forgetter(opt)
	if err != nil {
		return nil, err
	}
	f.project = "shop"
	if groups, err = f.decide(t.Context(), r); err != nil {
		return nil, err
	}
	_, err = app.removeSnapshots(t.Context(), d, removals(groups))
	return groups, err
}

// TestForeignSnapshotsCount: what stock restic wrote with our tags is the
// project's own.
func TestForeignSnapshotsCount(t *testing.T) { synctest.Test(t, foreignSnapshotsCount) }

func foreignSnapshotsCount(t *testing.T) {
	a := newArchived(t, storagetest.NewMemory(), noon())
	list := days(0, 7)
	for i := range list {
		list[i].foreign = i%2 == 1
	}
	a.add(list...)
	forgetIn(t, keeper(t, noon(), "last=4"), a, ForgetOptions{})
	if got := a.left("shop"); got != "0 1 2 3 4 6" { // the last four of all, and the last four of the volume
		t.Errorf("left %s", got)
	}
}

// TestPoliciesOfLabelsComeFromTheManifest, so that a service that is gone keeps
// its own; one that nobody understands keeps all.
func TestPoliciesOfLabelsComeFromTheManifest(t *testing.T) {
	synctest.Test(t, policiesOfLabelsComeFromTheManifest)
}

func policiesOfLabelsComeFromTheManifest(t *testing.T) {
	a := newArchived(t, storagetest.NewMemory(), noon())
	list := days(0, 9)
	for i := range list {
		if i >= 3 {
			old := goodVolume("old")
			old.Keep = []string{"last=2"}
			list[i].items = append(list[i].items, old)
		}
		if i >= 8 {
			newer := goodVolume("newer")
			newer.Keep = []string{"fortnightly=3"}
			list[i].items = append(list[i].items, newer)
		}
	}
	a.add(list...)
	app := keeper(t, noon(), "last=1")
	app.Settings.KeepMinimum = 1
	forgetIn(t, app, a, ForgetOptions{})
	if got := a.left("shop"); got != "0 3 4 8 9" {
		t.Errorf("left %s", got)
	}
	forgetIn(t, app, a, ForgetOptions{DropItems: []string{"volume old"}})
	if got := a.left("shop"); got != "0 8 9" {
		t.Errorf("left %s", got)
	}
	if _, err := forgetFrom(t, app, a.store, ForgetOptions{DropItems: []string{"volume newr"}}); err == nil || !strings.Contains(err.Error(), `did you mean "volume newer"?`) {
		t.Errorf("an item that is misspelt: %v", err)
	}
}

func TestForgetByName(t *testing.T) {
	s := newShop(t)
	now := time.Now()
	a := s.archive(now)
	list := days(0, 3)
	list[2].items = append(list[2].items, goodVolume("old"))
	list[1].tags = TagPinned
	ids := a.add(list...)
	other := a.add(past{days: 1, project: "app", items: []manifest.Item{goodVolume("data")}})
	for name, want := range map[string]string{
		ids[1]:   "is pinned",
		ids[2]:   `the only good copy of volume old that would be left; to remove it all the same, add --drop-item "volume old"`,
		other[0]: "is none of this project's",
		"ffff":   repository.ErrNoSnapshot.Error(),
	} {
		if _, err := s.app.Forget(t.Context(), ForgetOptions{Snapshots: []string{name}, Confirm: yes}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.8s: %v, want %q", name, err, want)
		}
	}
	if got := a.left("shop"); got != "0 1 2 3" {
		t.Errorf("left %s", got)
	}
	if _, err := s.app.Forget(t.Context(), ForgetOptions{Snapshots: ids[2:3], Keep: "last=1"}); err == nil {
		t.Error("names and a policy were taken together")
	}
	groups, err := s.app.Forget(t.Context(), ForgetOptions{Snapshots: []string{ids[2][:10], "latest"}, DropItems: []string{"volume old"}, Confirm: yes})
	if err != nil || a.left("shop") != "1 3" || a.left("app") != "1" {
		t.Errorf("%v: left %s", err, a.left("shop"))
	}
	if len(groups[0].Warnings) != 1 || !strings.Contains(groups[0].Warnings[0], "2 good snapshots are left") {
		t.Errorf("warnings %q", groups[0].Warnings)
	}
}

// TestForgetRemovesWhatWasShown, or nothing.
func TestForgetRemovesWhatWasShown(t *testing.T) {
	s := newShop(t)
	a := s.archive(time.Now())
	a.add(days(1, 8)...)
	keepPolicy(t, s, "last=3")
	_, err := s.app.Forget(t.Context(), ForgetOptions{Confirm: func([]ForgetGroup) error {
		a.add(days(0, 0)...)
		return nil
	}})
	if !errors.Is(err, ErrChanged) || a.left("shop") != "0 1 2 3 4 5 6 7 8" {
		t.Errorf("%v: left %s", err, a.left("shop"))
	}
}

func TestForgetWaitsForOthers(t *testing.T) {
	s := newShop(t)
	a := s.archive(time.Now())
	a.add(days(0, 8)...)
	keepPolicy(t, s, "last=3")
	lock, err := a.repo.Lock(t.Context(), a.store.Locker(), repository.LockOptions{Host: "elsewhere"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.app.Forget(t.Context(), ForgetOptions{Confirm: yes}); !errors.Is(err, repository.ErrLocked) {
		t.Errorf("while another works: %v", err)
	}
	if err := lock.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := a.left("shop"); got != "0 1 2 3 4 5 6 7 8" {
		t.Errorf("left %s", got)
	}
}

// TestF39_ForgetKilledAtEachStep: whatever fails, what is to be kept is there
// with its data, and the next run ends it.
func TestF39_ForgetKilledAtEachStep(t *testing.T) { synctest.Test(t, f39_ForgetKilledAtEachStep) }

func f39_ForgetKilledAtEachStep(t *testing.T) {
	for _, act := range []storagetest.Action{storagetest.Fail, storagetest.Lose} {
		for nth := 1; nth <= 5; nth += 2 {
			mem := storagetest.NewMemory()
			a := newArchived(t, mem, noon())
			a.add(days(0, 7)...)
			app := keeper(t, noon(), "last=3")
			faulty := storagetest.NewFaulty(t, mem)
			faulty.Arm(storagetest.Fault{Op: storagetest.OpRemove, Kind: storage.SnapshotFile, Nth: nth, Act: act, Times: -1})
			if _, err := forgetFrom(t, app, faulty, ForgetOptions{}); !errors.Is(err, storagetest.ErrInjected) {
				t.Errorf("removal %d: %v", nth, err)
			}
			if got := a.left("shop"); !strings.HasPrefix(got, "0 1 2 3") && got != "0 1 2" || strings.Count(got, " ") < 7-nth {
				t.Errorf("removal %d failed: left %s", nth, got)
			}
			wantReadable(t, a)
			forgetIn(t, app, a, ForgetOptions{})
			if got := a.left("shop"); got != "0 1 2" {
				t.Errorf("left %s", got)
			}
		}
	}
}

// TestForgetLeavesWhatTheStorageLocks: a lock that has not ended is no failure,
// the others go, and a later forget removes the rest.
func TestForgetLeavesWhatTheStorageLocks(t *testing.T) {
	synctest.Test(t, forgetLeavesWhatTheStorageLocks)
}

func forgetLeavesWhatTheStorageLocks(t *testing.T) {
	mem := storagetest.NewMemory()
	a := newArchived(t, mem, noon())
	a.add(days(0, 7)...)
	log := &lockedBuffer{}
	app := keeper(t, noon(), "last=3")
	app.Log = zerolog.New(log)
	faulty := storagetest.NewFaulty(t, mem)
	locked := faulty.Arm(storagetest.Fault{Op: storagetest.OpRemove, Kind: storage.SnapshotFile, Nth: 2, Times: 2, Err: fmt.Errorf("%w until tomorrow", storage.ErrRetained)})
	if _, err := forgetFrom(t, app, faulty, ForgetOptions{}); err != nil {
		t.Errorf("locked snapshots: %v", err)
	}
	if got := a.left("shop"); locked.Hits() != 2 || strings.Count(got, " ") != 4 || !strings.HasPrefix(got, "0 1 2 ") {
		t.Errorf("%d removals were refused, left %s", locked.Hits(), got)
	}
	if n := strings.Count(log.String(), "still locks snapshots"); n != 1 {
		t.Errorf("the locked ones are named %d times:\n%s", n, log)
	}
	wantReadable(t, a)
	forgetIn(t, app, a, ForgetOptions{})
	if got := a.left("shop"); got != "0 1 2" {
		t.Errorf("left %s", got)
	}
}

func wantReadable(t *testing.T, a *archived) {
	t.Helper()
	report, err := a.repo.Check(t.Context(), repository.CheckOptions{ReadData: true})
	if err != nil || !report.OK() {
		t.Errorf("check: %v, %+v", err, report.Findings)
	}
}
