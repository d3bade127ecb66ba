package sidecar

import (
	"slices"
	"time"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// checkMemory is what checks know of those before them. Without a state volume
// it is empty, and nothing is kept.
type checkMemory struct {
	dir      *state.Dir
	times    *state.PackTimes // nil without a state volume
	suspects []string         // packs that were found damaged
	now      func() time.Time
	warn     func(error)
	saved    time.Time // when times were last saved
	noted    bool      // times are of the packs that there are

	there map[string]bool // the suspects that an index still names
	read  map[string]bool // the suspects that were read and are whole
}

func (a *App) checkMemory(v *vault) *checkMemory {
	m := &checkMemory{now: a.Now, saved: a.Now(), warn: func(err error) { a.Log.Warn().Msg(a.Redactor().Redact(err.Error())) }, there: map[string]bool{}, read: map[string]bool{}}
	if v.target.name == "" { // what is kept is of the repository, not of a copy
		m.dir = a.stateDir()
	}
	if m.dir == nil {
		return m
	}
	h, err := m.dir.History()
	if err == nil && h.Check.Damage != nil {
		m.suspects = h.Check.Damage.Packs
	}
	if m.times, err = m.dir.PackTimes(v.repo.Config().ID); err != nil {
		m.warn(err)
	}
	return m
}

// saveTimesEvery is how often what was read is saved while a check goes on, so
// that one that is killed need not read it all again.
const saveTimesEvery = time.Minute

// saveTimes saves what was read until now.
func (m *checkMemory) saveTimes() {
	m.saved = m.now()
	if m.times == nil || !m.noted {
		return
	}
	if err := m.dir.SavePackTimes(m.times); err != nil {
		m.warn(err)
	}
}

// options are the repository's for a check.
func (m *checkMemory) options(opt CheckOptions) repository.CheckOptions {
	return repository.CheckOptions{
		ReadData: opt.ReadData,
		Select: func(packs []repository.PackInfo) []repository.PackInfo {
			m.note(packs)
			if opt.part == nil || opt.ReadData {
				return nil
			}
			return opt.part(packs, m.times, m.suspects)
		},
		Verified: func(id repository.ID) {
			if m.times != nil {
				m.times.Read(id, m.now())
				if d := m.now().Sub(m.saved); d >= saveTimesEvery || d < 0 {
					m.saveTimes()
				}
			}
			if slices.Contains(m.suspects, id.String()) {
				m.read[id.String()] = true
			}
		},
	}
}

// note takes in which packs there are.
func (m *checkMemory) note(packs []repository.PackInfo) {
	if m.times != nil {
		m.times.Note(func(yield func([32]byte) bool) {
			for _, p := range packs {
				if !yield(p.ID) {
					return
				}
			}
		}, m.now())
		m.noted = true
	}
	for _, p := range packs {
		if id := p.ID.String(); len(m.suspects) > 0 && slices.Contains(m.suspects, id) {
			m.there[id] = true
		}
	}
}

// cleared says whether a check without a finding shows that damage which was
// found before is gone: every pack concerned was read again, or is no longer
// part of the repository.
func (m *checkMemory) cleared(d *state.Damage, all bool) bool {
	if all {
		return true
	}
	for id := range m.there {
		if !m.read[id] {
			return false
		}
	}
	return !d.More
}

// recordCheck remembers what a check found, for health and for the next one. A
// state volume that cannot be written does not make the check fail.
func (a *App) recordCheck(m *checkMemory, r *CheckReport, all bool) {
	if m.dir == nil {
		return
	}
	err := m.dir.UpdateHistory(func(h *state.History) {
		old := h.Check.Damage
		h.Check.Last, h.Check.Error = a.Now(), ""
		switch {
		case !r.OK:
			m.damage(a, h, r)
		case old != nil && m.cleared(old, all):
			h.Check.Damage = nil
		}
	})
	if err != nil {
		m.warn(err)
	}
	m.saveTimes()
}

// recordStopped remembers what a check found that did not come to its end, and
// what it has read, and why it did not where that was not our own doing.
func (a *App) recordStopped(m *checkMemory, r *CheckReport, why error, interrupted bool) {
	if m.dir == nil {
		return
	}
	if !interrupted || !r.OK {
		err := m.dir.UpdateHistory(func(h *state.History) {
			if !interrupted {
				h.Check.Error = a.Redactor().Redact(why.Error())
			}
			if !r.OK {
				m.damage(a, h, r)
			}
		})
		if err != nil {
			m.warn(err)
		}
	}
	m.saveTimes()
}

// damage takes what a check found into the record.
func (m *checkMemory) damage(a *App, h *state.History, r *CheckReport) {
	old := h.Check.Damage
	h.Check.Damage = state.NewDamage(a.Now(), r.Errors, a.firstError(r), r.BadPacks)
	if old != nil {
		h.Check.Damage.Found = old.Found
		h.Check.Damage.Keep(old, m.read)
	}
}

// firstError is the first finding that is no note, as one line.
func (a *App) firstError(r *CheckReport) string {
	for _, f := range r.Findings {
		if !f.Note {
			return a.Redactor().Redact(f.Kind + ": " + f.File + ": " + f.Detail)
		}
	}
	return "not listed"
}
