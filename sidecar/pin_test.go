package sidecar

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

func TestPinnedSnapshotStays(t *testing.T) {
	s := newShop(t)
	a := s.archive(time.Now())
	ids := a.add(days(0, 5)...)
	keepPolicy(t, s, "last=1")
	s.app.Settings.KeepMinimum = 1
	if r, err := s.app.Pin(t.Context(), PinOptions{Snapshot: ids[4][:12], DryRun: true}); err != nil || !r.Changed || r.Snapshot != ids[4] || a.left("shop") != "0 1 2 3 4 5" {
		t.Fatalf("dry run: %+v, %v", r, err)
	}
	pinned, err := s.app.Pin(t.Context(), PinOptions{Snapshot: ids[4][:12]})
	if err != nil || !pinned.Changed || pinned.Snapshot == ids[4] || pinned.Was != ids[4] {
		t.Fatalf("%+v, %v", pinned, err)
	}
	if again, err := s.app.Pin(t.Context(), PinOptions{Snapshot: ids[4]}); err != nil || again.Changed || again.Snapshot != pinned.Snapshot {
		t.Errorf("pinned twice: %+v, %v", again, err)
	}
	if _, err := s.app.Forget(t.Context(), ForgetOptions{Confirm: yes}); err != nil || a.left("shop") != "0 4" {
		t.Errorf("%v: left %s", err, a.left("shop"))
	}
	// The first ID goes on naming it, for every command.
	if sn, err := s.app.findSnapshot(t.Context(), a.repo, ids[4][:8]); err != nil || !sn.HasTag(TagPinned) || sn.Original == nil {
		t.Errorf("by its first ID: %+v, %v", sn, err)
	}
	latest, err := s.app.Pin(t.Context(), PinOptions{Snapshot: "latest"})
	if err != nil || latest.Was != ids[0] {
		t.Errorf("latest: %+v, %v", latest, err)
	}
	if sn, err := s.app.findSnapshot(t.Context(), a.repo, "latest"); err != nil || sn.Original.String() != ids[0] {
		t.Errorf("latest is %+v, %v", sn, err)
	}
	if list, err := s.app.projectSnapshots(t.Context(), a.repo, "shop"); err != nil || len(list) != 2 || list[0].ID.String() != latest.Snapshot {
		t.Errorf("the next parent is of %+v, %v", list, err)
	}
	if r, err := s.app.Pin(t.Context(), PinOptions{Snapshot: pinned.Snapshot, Unpin: true}); err != nil || !r.Changed {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := s.app.Forget(t.Context(), ForgetOptions{Confirm: yes}); err != nil || a.left("shop") != "0" {
		t.Errorf("%v: left %s", err, a.left("shop"))
	}
}

// pinInStore pins in a repository that no settings name.
func pinInStore(t *testing.T, app *App, store storage.Store, opt PinOptions) error {
	t.Helper()
	r, err := repository.Open(t.Context(), store.Reader(), "correct horse", repository.Options{})
	if err != nil {
		return err
	}
	v := &vault{store: store, repo: r}
	d, err := app.lockForDeleting(t.Context(), v, nil, 0)
	if err != nil {
		return err
	}
	defer func() {
		if err := v.release(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	f := &forgetter{app: app, project: "shop"}
	report, err := f.pinned(t.Context(), r, opt)
	if err != nil {
		return err
	}
	return app.changePin(t.Context(), d, f, report)
}

// TestF39_PinKilledAtEachStep: the snapshot is there under the ID that it had,
// a policy that runs then removes no content, and a second try clears up.
func TestF39_PinKilledAtEachStep(t *testing.T) { synctest.Test(t, f39_PinKilledAtEachStep) }

func f39_PinKilledAtEachStep(t *testing.T) {
	for _, fault := range []storagetest.Fault{
		{Op: storagetest.OpSave, Act: storagetest.Fail}, {Op: storagetest.OpSave, Act: storagetest.Lose},
		{Op: storagetest.OpRemove, Act: storagetest.Fail}, {Op: storagetest.OpRemove, Act: storagetest.Lose},
	} {
		for _, unpin := range []bool{false, true} {
			fault.Kind = storage.SnapshotFile
			mem := storagetest.NewMemory()
			a := newArchived(t, mem, noon())
			list := days(0, 4)
			if unpin {
				list[3].tags = TagPinned
			}
			ids := a.add(list...)
			app := keeper(t, noon(), "last=4")
			faulty := storagetest.NewFaulty(t, mem)
			faulty.Arm(fault)
			opt := PinOptions{Snapshot: ids[3], Unpin: unpin}
			if err := pinInStore(t, app, faulty, opt); err == nil {
				t.Errorf("%v: no error", fault)
			}
			if _, err := a.repo.FindSnapshot(t.Context(), ids[3]); err != nil {
				t.Errorf("%v: %v", fault, err)
			}
			// Two of one content count as one.
			if _, err := forgetFrom(t, app, mem, ForgetOptions{}); err != nil || a.left("shop") != "0 1 2 3" {
				t.Errorf("%v: %v, left %s", fault, err, a.left("shop"))
			}
			if err := pinInStore(t, app, mem, opt); err != nil {
				t.Errorf("again: %v", err)
			}
			if got := a.left("shop"); got != "0 1 2 3" {
				t.Errorf("%v: left %s", fault, got)
			}
			id, err := a.repo.FindSnapshot(t.Context(), ids[3])
			if err != nil {
				t.Fatal(err)
			}
			if sn, err := a.repo.LoadSnapshot(t.Context(), id); err != nil || sn.HasTag(TagPinned) == unpin || !strings.Contains(strings.Join(sn.Tags, " "), TagProject+"shop") {
				t.Errorf("%v: %+v, %v", fault, sn, err)
			}
			wantReadable(t, a)
		}
	}
}
