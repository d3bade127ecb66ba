package retention

import (
	"fmt"
	"time"
)

const (
	// jumpLeast is how long a project may go without a backup before its next
	// one looks like one of a clock that jumped. It is more where backups are
	// meant to be rare.
	jumpLeast = 30 * 24 * time.Hour
	// settled is how long backups must have gone on after such a gap until
	// their times are believed.
	settled = 14 * 24 * time.Hour
	// setBack is how many snapshots from the future mean that it is the clock
	// that is wrong, and not the snapshots.
	setBack = 3
)

// inFuture is why a snapshot from the future is kept.
const inFuture = "its time is in the future"

// doubt marks the snapshots whose times cannot be right, or may not be: those
// from the future, and those after a gap of a size that only a clock that
// jumped, or a machine that was off for long, leaves. The gap is measured to
// the parent, for what lay between two snapshots may have been removed. One
// that names none, as copies don't, is measured to the next older one. The
// entries come newest first.
func doubt(list []*entry, opt Options) {
	byID := map[string]*entry{}
	var newest time.Time
	for _, e := range list {
		byID[e.ID] = e
		if e.Was != "" {
			byID[e.Was] = e
		}
		if e.Time.After(opt.Now) {
			e.odd = inFuture
		} else if e.Time.After(newest) {
			newest = e.Time
		}
	}
	gap := max(jumpLeast, 3*opt.Interval)
	from := -1 // the oldest after a gap; all newer ones come before it
	for i, e := range list {
		parent := byID[e.Parent]
		if e.Parent == "" && !e.Safety {
			parent = nextOlder(list[i+1:])
		}
		if e.odd != "" || parent == nil || parent.odd != "" {
			continue
		}
		if newest.Sub(e.Time) < settled && e.Time.Sub(parent.Time) > gap {
			from = i
		}
	}
	for i := 0; i <= from; i++ {
		if list[i].odd == "" {
			list[i].odd = fmt.Sprintf("its time is not believed yet: there was no backup for more than %d days before, or the clock jumped", int(gap.Hours()/24))
		}
	}
}

// nextOlder is the first whose time can stand for that of a backup.
func nextOlder(list []*entry) *entry {
	for _, e := range list {
		if e.odd == "" && !e.Safety {
			return e
		}
	}
	return nil
}

// reference is the time from which spans are counted back: that of the newest
// snapshot whose time is believed, among all or among the complete ones. So no
// incomplete run makes complete snapshots older.
type reference struct{ all, complete time.Time }

func referenceOf(list []*entry) (r reference) {
	for _, e := range list {
		if e.odd != "" || e.Safety || e.Unreadable != "" {
			continue
		}
		if e.Time.After(r.all) {
			r.all = e.Time
		}
		if !e.Incomplete && e.Time.After(r.complete) {
			r.complete = e.Time
		}
	}
	return r
}

// clockWarnings says what is odd about the times. held says why retention must
// not run by itself.
func clockWarnings(list []*entry) (warnings, held []string) {
	future, unsettled := 0, 0
	for _, e := range list {
		switch {
		case e.odd == inFuture:
			future++
		case e.odd != "":
			unsettled++
		}
	}
	if future > 0 {
		text := fmt.Sprintf("%d snapshots are from the future: is the clock right? They stay, and count for nothing", future)
		warnings = append(warnings, text)
		if future >= setBack {
			held = append(held, text)
		}
	}
	if unsettled > 0 {
		warnings = append(warnings, fmt.Sprintf("the last %d snapshots come after a long pause, or after a jump of the clock: they stay, and count for nothing until backups have gone on for %d days", unsettled, int(settled.Hours()/24)))
	}
	return warnings, held
}
