package main

import (
	"fmt"
	"strings"
	"time"
)

// wallTime reads a point in time as people write it: RFC 3339, or the date and
// time that a clock in the zone shows, or a date, which stands for the end of
// that day, to the second. A time that the clock skips stands for the moment at which it is
// put forward. One that it shows twice is an error that names both.
func wallTime(text string, zone *time.Location) (time.Time, error) {
	text = strings.TrimSpace(text)
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.In(zone), nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		shown, skipped := shownAt(day.AddDate(0, 0, 1), zone)
		// Of two midnights the first ends the day, and what was made then is of
		// the next.
		return append(shown, skipped)[0].Add(-time.Second), nil
	}
	for _, layout := range []string{stampFormat, "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04"} {
		wall, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		shown, skipped := shownAt(wall, zone)
		if len(shown) > 1 {
			return time.Time{}, fmt.Errorf("clocks in %s show %s twice: say %s or %s", zone, wall.Format(stampFormat), shown[0].Format(time.RFC3339), shown[1].Format(time.RFC3339))
		}
		return append(shown, skipped)[0], nil
	}
	return time.Time{}, fmt.Errorf("%q is no time: write one such as \"2026-11-20 14:00\", 2026-11-20T14:00:00Z, or a date", text)
}

// shownAt gives the moments, in order, at which a clock in the zone shows the
// wall time, which is written as if in UTC. Where there is none, skipped is when
// the clock is put forward over it.
func shownAt(wall time.Time, zone *time.Location) (shown []time.Time, skipped time.Time) {
	last := wall.Add(36 * time.Hour) // more than any zone is away from UTC
	for t := wall.Add(-36 * time.Hour); !t.After(last); {
		_, offset := t.In(zone).Zone()
		begin, end := t.In(zone).ZoneBounds()
		at := wall.Add(-time.Duration(offset) * time.Second).In(zone)
		switch {
		case !begin.IsZero() && at.Before(begin):
			if len(shown) == 0 && skipped.IsZero() {
				skipped = begin
			}
		case end.IsZero() || at.Before(end):
			shown = append(shown, at)
		}
		if end.IsZero() {
			break
		}
		t = end
	}
	return shown, skipped
}
