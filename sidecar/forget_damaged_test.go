package sidecar

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/state"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// restate stores what a repair writes in place of a snapshot of which one item
// has lost something.
func (a *archived) restate(of string, p past) string {
	a.t.Helper()
	list, _, err := a.repo.Snapshots(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(s repository.StoredSnapshot) bool { return s.ID.String() == of })
	if i < 0 {
		a.t.Fatalf("there is no snapshot %s", of)
	}
	w, err := a.repo.NewWriter(a.t.Context(), a.store.Writer(), repository.WriterOptions{Workers: 1})
	if err != nil {
		a.t.Fatal(err)
	}
	p.original = &list[i].ID
	p.host = list[i].Hostname
	p.tags = repository.TagRepaired
	for k := range p.items {
		p.items[k].State = manifest.Partial
	}
	id := a.one(w, p)
	if err := w.Close(a.t.Context()); err != nil {
		a.t.Fatal(err)
	}
	return id.String()
}

// repaired are snapshots of the days 0 to 3, of which all but the oldest are
// damaged and were written anew: the IDs of both, newest first.
func (a *archived) repaired() (was, now []string) {
	a.t.Helper()
	was = a.add(days(0, 3)...)
	for i, id := range was[:3] {
		now = append(now, a.restate(id, days(i, i)[0]))
	}
	return was, now
}

// TestDamagedSnapshotsCountForNothing: what a repair has written anew pushes
// out no snapshot that is whole, however often it is run.
func TestDamagedSnapshotsCountForNothing(t *testing.T) {
	a := newArchived(t, storagetest.NewMemory(), noon())
	was, now := a.repaired()
	app := keeper(t, noon(), "last=1")
	app.Settings.KeepMinimum = 1
	for range 2 {
		groups := forgetIn(t, app, a, ForgetOptions{})
		if got := a.left("shop"); got != "0 0 1 1 2 2 3" {
			t.Fatalf("left %s", got)
		}
		for _, r := range groups[0].Reasons {
			text := strings.Join(r.Matches, ", ")
			switch i := slices.Index(was[:3], r.Snapshot.ID); {
			case i >= 0 && text != "it is damaged, and was written anew as "+now[i][:8]:
				t.Errorf("%s: %s", r.Snapshot.ShortID, text)
			case slices.Contains(now[1:], r.Snapshot.ID) && !strings.Contains(text, "written in place of "):
				t.Errorf("%s: %s", r.Snapshot.ShortID, text)
			}
		}
	}
	for name, want := range map[string]string{
		was[3]: "has the only good copy of volume data that would be left",
		now[1]: "was written in place of " + was[1][:8] + ", which is damaged",
	} {
		if _, err := forgetFrom(t, app, a.store, ForgetOptions{Snapshots: []string{name}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.8s: %v, want %q", name, err, want)
		}
	}
	app.Settings.KeepMinimum = 2
	groups := forgetIn(t, app, a, ForgetOptions{Snapshots: []string{was[1], now[1]}})
	if got := a.left("shop"); got != "0 0 2 2 3" || len(groups[0].Warnings) != 1 || !strings.Contains(groups[0].Warnings[0], "1 good snapshots are left") {
		t.Errorf("left %s, warnings %q", got, groups[0].Warnings)
	}
}

// TestRepairBetweenShowingAndForgetting: what was known of a snapshot before is
// not believed once it was written anew.
func TestRepairBetweenShowingAndForgetting(t *testing.T) {
	a := newArchived(t, storagetest.NewMemory(), noon())
	was := a.add(days(0, 1)...)
	app := keeper(t, noon(), "last=1")
	app.Settings.KeepMinimum = 1
	f, err := app.forgetter(ForgetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.project = "shop"
	for _, want := range []int{1, 0} {
		groups, err := f.decide(t.Context(), a.repo)
		if err != nil || len(groups[0].Remove) != want {
			t.Errorf("%v: %+v", err, groups)
		}
		a.restate(was[0], days(0, 0)[0])
		if err := a.repo.LoadIndex(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLatestIsNoDamagedSnapshot, nor is one copied, nor can it be pinned.
func TestLatestIsNoDamagedSnapshot(t *testing.T) {
	s := newShop(t)
	a := s.archive(time.Now())
	was, now := a.repaired()
	// Which of the two comes last is for their IDs to say: one of these pairs
	// has them so, and the next the other way round.
	for range 8 {
		a.now = a.now.Add(time.Second)
		id := a.add(days(0, 0)...)[0]
		again := a.restate(id, days(0, 0)[0])
		was, now = append(was, id), append(now, again)
		sn, err := s.app.findSnapshot(t.Context(), a.repo, "latest")
		if err != nil || sn.ID.String() != again {
			t.Errorf("latest is %s, %v, want %s", sn.ID.Short(), err, again[:8])
		}
	}
	list, err := s.app.wantedSnapshots(t.Context(), a.repo, "shop", nil)
	if err != nil || len(list) != len(now)+1 {
		t.Errorf("%d snapshots to copy, want %d: %v", len(list), len(now)+1, err)
	}
	for _, sn := range list {
		if id := sn.ID.String(); id != was[3] && slices.Contains(was, id) {
			t.Errorf("%s is to be copied", sn.ID.Short())
		}
	}
	if list, err = s.app.wantedSnapshots(t.Context(), a.repo, "shop", was[:1]); err != nil || len(list) != 1 {
		t.Errorf("named: %d snapshots, %v", len(list), err)
	}
	if _, err := s.app.Pin(t.Context(), PinOptions{Snapshot: was[0]}); err == nil || !strings.Contains(err.Error(), "was written anew as "+now[0][:8]) {
		t.Errorf("pin: %v", err)
	}
	if r, err := s.app.Pin(t.Context(), PinOptions{Snapshot: "latest", DryRun: true}); err != nil || r.Was != now[len(now)-1] {
		t.Errorf("pin latest: %+v, %v", r, err)
	}
}

// TestKnownDamageHoldsRetentionBack until a check has found none.
func TestKnownDamageHoldsRetentionBack(t *testing.T) {
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true"}, "data")
	keepPolicy(t, s, "last=3")
	a := s.archiveHere(days(1, 6)...)
	dir := state.At(s.path("state"))
	damage := state.NewDamage(time.Now(), 1, "pack: 0a1b: it is gone", nil)
	for _, d := range []*state.Damage{damage, nil} {
		if err := dir.UpdateHistory(func(h *state.History) { h.Check.Damage = d }); err != nil {
			t.Fatal(err)
		}
		report, err := s.backup(t)
		if err != nil {
			t.Fatal(err)
		}
		switch r := report.Retention; {
		case d != nil && (r.Ran || len(r.Held) != 1 || !strings.Contains(r.Held[0], "0a1b: it is gone") || a.left("shop") != "0 1 2 3 4 5 6"):
			t.Errorf("%+v, left %s", r, a.left("shop"))
		case d == nil && (!r.Ran || a.left("shop") != "0 0 1"):
			t.Errorf("%+v, left %s", r, a.left("shop"))
		}
	}
	if !strings.Contains(s.log.String(), "no old snapshot is removed: the repository is damaged") {
		t.Error("nothing is said")
	}
}
