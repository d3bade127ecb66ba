package sidecar

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// RestoreReport says what a restore did.
type RestoreReport struct {
	ID      string        `json:"id"`
	Project string        `json:"project"`
	Started time.Time     `json:"started"`
	Plan    *plan.Restore `json:"plan"`
	DryRun  bool          `json:"dry_run"`
	Safety  string        `json:"safety_snapshot,omitempty"`
	// Undo is the command that undoes it; empty where nothing can be undone.
	Undo    string         `json:"undo,omitempty"`
	Items   []RestoredItem `json:"items"`
	Seconds float64        `json:"seconds"`
	Notes   []string       `json:"notes"`
	// LeftAlone is what the restore might have touched and did not, by intent.
	LeftAlone []string `json:"left_alone"`
	// Downtime is how long each service was not running, in seconds.
	Downtime map[string]float64 `json:"downtime_seconds"`
}

// RestoredItem is what became of one item.
type RestoredItem struct {
	Key string `json:"key"`
	// Snapshot is the ID of the one that it comes from.
	Snapshot string  `json:"snapshot,omitempty"`
	Restored bool    `json:"restored"`
	Error    string  `json:"error,omitempty"`
	Seconds  float64 `json:"seconds"`
	// Bytes is what was written for it; Files how many files were created,
	// replaced, removed or changed in their metadata; Unchanged how many were
	// as they should be.
	Bytes     int64 `json:"bytes"`
	Files     int64 `json:"files"`
	Removed   int64 `json:"removed"`
	Unchanged int64 `json:"unchanged"`
	// Compared is how many files in place were compared by content, Intact how
	// many of Unchanged were not, because size, times and inode are as recorded.
	Compared int64 `json:"compared"`
	Intact   int64 `json:"intact"`
	// Fetched is how many of Bytes came from the repository.
	Fetched int64 `json:"bytes_fetched"`
	// Counts are what the engine counts: tables, rows, keys.
	Counts map[string]int64 `json:"counts,omitempty"`
	// Verified says how it was proven.
	Verified []string `json:"verified,omitempty"`
	// LeftAlone is what the restore did not touch, by intent.
	LeftAlone []string `json:"left_alone,omitempty"`
	Notes     []string `json:"notes,omitempty"`
}

// verdict is nil only when every item of the plan was restored.
func (r *restore) verdict() error {
	done := map[string]bool{}
	for _, i := range r.report.Items {
		done[i.Key] = i.Restored
	}
	errs := slices.Clone(r.missing)
	for _, it := range r.plan.Items {
		switch {
		case r.unsettled[it.Key] != "":
			errs = append(errs, fmt.Errorf("%s: %s", it.Key, r.unsettled[it.Key]))
		case !done[it.Key]:
			errs = append(errs, fmt.Errorf("%s: %s", it.Key, r.left()))
		}
	}
	if len(errs) > 0 {
		return errors.Join(append([]error{ErrRestoreFailed}, errs...)...)
	}
	return nil
}

// left says what is there of an item that was not restored.
func (r *restore) left() string {
	if r.plan.Dir != "" {
		return "what there is of it in the directory is not whole"
	}
	if r.opt.Bootstrap != "" {
		return "what there is of it is not whole; put right what failed and run the same command again, it goes on"
	}
	if r.opt.Rollback {
		return "what was there before the rollback is in place; another one goes on with it"
	}
	return "the old data is in place"
}

// item begins the report of an item; the returned function ends it.
func (r *restore) item(key string) (*RestoredItem, func(error)) {
	started := r.app.Now()
	it, _ := r.plan.Item(key)
	r.app.progress().Begin(key, it.Bytes)
	out := &RestoredItem{Key: key, Snapshot: it.Snapshot}
	return out, func(err error) {
		out.Seconds = r.app.Now().Sub(started).Seconds()
		out.Restored = err == nil
		outcome := "restored"
		if err != nil {
			outcome, out.Error = "failed", r.app.Redactor().Redact(err.Error())
			what := r.left()
			var mixed *mixedError
			switch {
			case errors.As(err, &mixed):
				what = mixed.advice()
				r.unsettled[key] = what
				out.Notes = append(out.Notes, what)
			case errors.Is(err, errUnsettled):
				what = errUnsettled.Error()
				r.unsettled[key] = what
			}
			r.app.Log.Error().Str("item", key).Str("error", out.Error).Msg("item was not restored, " + what)
			if r.unsettled[key] == "" {
				r.note(key, state.ItemKept)
			}
		} else {
			r.note(key, state.ItemRestored)
			if r.restored != nil {
				r.restored(*out)
			}
			r.app.Log.Info().Str("item", key).Int64("bytes", out.Bytes).Int64("files", out.Files).Float64("seconds", out.Seconds).Msg("item restored")
		}
		r.app.progress().End(key, outcome)
		r.report.Items = append(r.report.Items, *out)
	}
}

// note notes how far it came with an item, for who undoes the restore.
func (r *restore) note(key string, s state.ItemState) {
	if r.noted {
		r.app.noteItem(r.host, r.id, key, s)
	}
}
