package sidecar

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// turns puts packs in the order in which they are to be read: those that were
// found damaged, then those that were not read for the longest time. Without a
// record the order is by chance, so that repeated checks come around.
func turns(packs []repository.PackInfo, times *state.PackTimes, suspects []string) []repository.PackInfo {
	packs = slices.Clone(packs)
	rand.Shuffle(len(packs), func(i, j int) { packs[i], packs[j] = packs[j], packs[i] })
	suspect := map[string]bool{}
	for _, id := range suspects {
		suspect[id] = true
	}
	when := func(p repository.PackInfo) int64 {
		if len(suspect) > 0 && suspect[p.ID.String()] {
			return -1
		}
		if times == nil {
			return 0
		}
		at, read := times.When(p.ID)
		order := 2 * max(at.Unix(), 0)
		if read { // of one time, those first that were only seen
			order++
		}
		return order
	}
	slices.SortStableFunc(packs, func(a, b repository.PackInfo) int { return cmp.Compare(when(a), when(b)) })
	return packs
}

// share is what a scheduled check reads, of packs in their turn: all whose time
// is up before the next check, so that each is read once within the period;
// and at least the even share, so that they do not all fall due at once. What
// was read since the check was begun is done, and counts.
func share(packs []repository.PackInfo, times *state.PackTimes, suspects []string, began, next time.Time, period time.Duration) []repository.PackInfo {
	var total, done int64
	began = began.Truncate(time.Minute) // as times are kept
	packs = slices.DeleteFunc(packs, func(p repository.PackInfo) bool {
		total += p.Size
		if times == nil {
			return false
		}
		at, read := times.When(p.ID)
		if read = read && !at.Before(began); read {
			done += p.Size
		}
		return read
	})
	interval := next.Sub(began)
	if interval >= period {
		return packs
	}
	n := len(repository.FirstBytes(packs, int64(float64(total)*float64(interval)/float64(period))+1-done))
	for ; times != nil && n < len(packs); n++ {
		at, _ := times.When(packs[n].ID)
		if at.Add(period).After(next) && !slices.Contains(suspects, packs[n].ID.String()) {
			break
		}
	}
	return packs[:n]
}

// suspected are the packs that were found damaged before.
func suspected(packs []repository.PackInfo, suspects []string) []repository.PackInfo {
	return slices.DeleteFunc(slices.Clone(packs), func(p repository.PackInfo) bool { return !slices.Contains(suspects, p.ID.String()) })
}
