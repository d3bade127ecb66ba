package retention

import "time"

// Counters are how many more a policy would keep, after a snapshot that it
// keeps; those of rules that it does not have are absent.
type Counters struct {
	Last      int `json:"last,omitempty"`
	Hourly    int `json:"hourly,omitempty"`
	Daily     int `json:"daily,omitempty"`
	Weekly    int `json:"weekly,omitempty"`
	Monthly   int `json:"monthly,omitempty"`
	Quarterly int `json:"quarterly,omitempty"`
	Yearly    int `json:"yearly,omitempty"`
}

func countersOf(left [units]int) Counters {
	return Counters{left[last], left[hourly], left[daily], left[weekly], left[monthly], left[quarterly], left[yearly]}
}

// verdict is what a policy says of one snapshot: why it is kept, or nothing.
type verdict struct {
	reasons  []string
	counters Counters
}

// bucket is the stretch of the calendar that a time falls into. For "last",
// each snapshot is one of its own.
func (u unit) bucket(t time.Time, nth int) int {
	switch u {
	case hourly:
		return ((t.Year()*100+int(t.Month()))*100+t.Day())*100 + t.Hour()
	case daily:
		return (t.Year()*100+int(t.Month()))*100 + t.Day()
	case weekly:
		year, week := t.ISOWeek()
		return year*100 + week
	case monthly:
		return t.Year()*100 + int(t.Month())
	case quarterly:
		return t.Year()*10 + (int(t.Month())-1)/3
	case yearly:
		return t.Year()
	default:
		return nth
	}
}

// noBucket is none that a time falls into.
const noBucket = -1 << 62

// apply says for each of the times, which are given newest first, whether the
// policy keeps it. Spans are counted back from latest. The policy is not empty.
func (p Policy) apply(times []time.Time, latest time.Time) []verdict {
	out := make([]verdict, len(times))
	left := p.counts
	var counted, spanned [units]int
	for u := range units {
		counted[u], spanned[u] = noBucket, noBucket
	}
	for nth, t := range times {
		oldest := nth == len(times)-1
		var why []string
		if s := p.spans[last]; s != (Span{}) && t.After(s.before(latest)) {
			why = append(why, "within "+s.String())
		}
		for u := range units {
			if left[u] == 0 {
				continue
			}
			if reason, ok := u.take(&counted[u], t, nth, oldest); ok {
				why = append(why, reason+" snapshot")
				if left[u] > 0 {
					left[u]--
				}
			}
		}
		for u := hourly; u < units; u++ {
			s := p.spans[u]
			if s == (Span{}) || !t.After(s.before(latest)) {
				continue
			}
			if reason, ok := u.take(&spanned[u], t, nth, oldest); ok {
				why = append(why, reason+" within "+s.String())
			}
		}
		out[nth] = verdict{reasons: why, counters: countersOf(left)}
	}
	return out
}

// take says whether a time opens a new bucket, and remembers it. The oldest
// snapshot of all is taken too, so that the history stays as long as counts
// remain, also when they cannot be filled yet.
func (u unit) take(previous *int, t time.Time, nth int, oldest bool) (reason string, ok bool) {
	b := u.bucket(t, nth)
	switch {
	case b != *previous:
		*previous = b
		return u.String(), true
	case oldest:
		return "oldest " + u.String(), true
	}
	return "", false
}
