package sidecar

import (
	"fmt"
	"slices"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// overwrites says what the restore writes over. What goes beside the old data
// is no part of it. saved names what holds the old data of an item.
func (r *restore) overwrites(saved func(plan.RestoreItem) []string) manifest.Overwritten {
	out := manifest.Overwritten{Restore: r.id, Snapshot: r.opt.Snapshot, Globals: r.opt.Globals, Items: []manifest.OverwrittenItem{}}
	for _, it := range r.plan.Items {
		if it.NewName != "" {
			continue
		}
		o := manifest.OverwrittenItem{Key: it.Key, Snapshot: it.Snapshot, Saved: saved(it)}
		for _, p := range it.Paths {
			o.Paths = append(o.Paths, []byte(p))
		}
		if info := it.Source.Item.VolumeInfo; info != nil {
			o.Exclude, o.Unreadable = info.Exclude, info.Unreadable
		}
		out.Items = append(out.Items, o)
	}
	return out
}

// noteBegun notes what is about to be written over, and where the old data is:
// without that, undoing the restore would undo the one before it. Nothing is
// noted of a restore that overwrites nothing.
func (r *restore) noteBegun() error {
	if r.last.Restore == "" { // there was nothing to save, or nothing was to be saved
		r.last.Overwritten = r.overwrites(func(plan.RestoreItem) []string { return nil })
	}
	if len(r.last.Items) == 0 {
		return nil
	}
	r.last.Project, r.last.Started, r.last.NoSafety = r.host.project, r.app.Now(), r.opt.NoSafety
	if r.undoing != nil {
		undoes := *r.undoing
		undoes.Undoes = nil
		if undoes.Finished.IsZero() { // it was interrupted, which is put right
			undoes.Finished = r.last.Started
		}
		r.last.Undoes = &undoes
	}
	last := r.last
	err := r.app.updateHistory(r.host.state, func(h *state.History) {
		h.LastRestore = &last
	})
	if err != nil {
		return fmt.Errorf("nothing was touched: what it takes to undo the restore cannot be noted: %w", err)
	}
	r.noted = true
	return nil
}

// noteItemBegun notes that an item is about to be written over. What cannot be
// noted must not be: undoing the restore would leave it as it is.
func (r *restore) noteItemBegun(key string) error {
	if !r.noted {
		return nil
	}
	if err := r.app.updateHistory(r.host.state, itemIs(r.id, key, state.ItemBegun)); err != nil {
		return fmt.Errorf("it was not touched: what it takes to undo that cannot be noted: %w", err)
	}
	return nil
}

// noteItem notes how far a restore came with an item, if it is the last one.
func (a *App) noteItem(h *host, restore, key string, s state.ItemState) {
	a.record(h, itemIs(restore, key, s))
}

func itemIs(restore, key string, s state.ItemState) func(*state.History) {
	return func(hist *state.History) {
		if s == state.ItemRestored { // which may be known only once it was recovered
			hist.BootstrapHas(restore, key)
		}
		l := hist.LastRestore
		if l == nil || l.Restore != restore || !slices.ContainsFunc(l.Items, func(it manifest.OverwrittenItem) bool { return it.Key == key }) {
			return
		}
		if l.States == nil {
			l.States = map[string]state.ItemState{}
		}
		l.States[key] = s
	}
}

// noteFinished notes that a restore is over, whatever became of it. One that
// was to undo another, and has not restored all, leaves the rest to be undone:
// who rolls back again wants that, not what came back to go.
func (a *App) noteFinished(h *host, restore string) {
	a.record(h, func(hist *state.History) {
		l := hist.LastRestore
		if l == nil || l.Restore != restore {
			return
		}
		l.Finished = a.Now()
		if l.Undoes != nil && !l.Complete() {
			hist.LastRestore = l.Remaining()
		}
	})
}

// lastNoted is the last restore of the project that this sidecar knows of, or
// nil.
func (a *App) lastNoted(h *host) *state.LastRestore {
	if h.state == nil {
		return nil
	}
	hist, err := h.state.History()
	if err != nil {
		a.Log.Warn().Msg(a.Redactor().Redact(err.Error()))
		return nil
	}
	if hist.LastRestore == nil || hist.LastRestore.Project != h.project {
		return nil
	}
	return hist.LastRestore
}

// databaseKey is the key of the item that a database of the journal is.
func databaseKey(d state.DatabaseRestore) string {
	return manifest.Key(manifest.Dump, d.Service, d.Database)
}
