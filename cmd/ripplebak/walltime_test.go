package main

import (
	"strings"
	"testing"
	"time"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestWallTime(t *testing.T) {
	for _, c := range []struct{ zone, text, want string }{
		{"Europe/Berlin", "2026-11-20 14:00", "2026-11-20T13:00:00Z"},
		{"Europe/Berlin", "2026-11-20 14:00:30", "2026-11-20T13:00:30Z"},
		{"Europe/Berlin", "2026-06-20T14:00", "2026-06-20T12:00:00Z"},
		{"Europe/Berlin", "2026-11-20T14:00:00Z", "2026-11-20T14:00:00Z"},
		{"Europe/Berlin", " 2026-11-20T14:00:00.5-08:00 ", "2026-11-20T22:00:00.5Z"},
		{"UTC", "2026-11-20", "2026-11-20T23:59:59Z"},
		{"Europe/Berlin", "2026-12-31", "2026-12-31T22:59:59Z"},
		{"Pacific/Kiritimati", "2026-11-20 14:00", "2026-11-20T00:00:00Z"}, // +14:00
		{"Pacific/Pago_Pago", "2026-11-20 14:00", "2026-11-21T01:00:00Z"},  // -11:00
		// The clock goes from 02:00 to 03:00, at 01:00 in UTC.
		{"Europe/Berlin", "2026-03-29 01:59:59", "2026-03-29T00:59:59Z"},
		{"Europe/Berlin", "2026-03-29 02:00", "2026-03-29T01:00:00Z"},
		{"Europe/Berlin", "2026-03-29 02:30", "2026-03-29T01:00:00Z"},
		{"Europe/Berlin", "2026-03-29 03:00", "2026-03-29T01:00:00Z"},
		{"Europe/Berlin", "2026-03-29 03:30", "2026-03-29T01:30:00Z"},
		// Once again, and around what is shown twice.
		{"Europe/Berlin", "2026-10-25 01:59:59", "2026-10-24T23:59:59Z"},
		{"Europe/Berlin", "2026-10-25 03:00", "2026-10-25T02:00:00Z"},
		{"Europe/Berlin", "2026-10-25T02:30:00+02:00", "2026-10-25T00:30:00Z"},
		{"Europe/Berlin", "2026-10-25T02:30:00+01:00", "2026-10-25T01:30:00Z"},
		// Clocks that are put forward, and back, at midnight.
		{"Africa/Cairo", "2026-04-23", "2026-04-23T21:59:59Z"},
		{"Africa/Cairo", "2026-04-24 00:30", "2026-04-23T22:00:00Z"},
		{"America/Havana", "2026-10-31", "2026-11-01T03:59:59Z"}, // of two midnights the first
		// A day that a zone left out.
		{"Pacific/Apia", "2011-12-30 12:00", "2011-12-30T10:00:00Z"},
	} {
		got, err := wallTime(c.text, zone(t, c.zone))
		if err != nil || got.UTC().Format(time.RFC3339Nano) != c.want {
			t.Errorf("%q in %s: %v, %v, want %s", c.text, c.zone, got, err, c.want)
		}
		if err == nil && got.Location().String() != c.zone {
			t.Errorf("%q is given in %s, not in %s", c.text, got.Location(), c.zone)
		}
	}
}

func TestWallTimeThatIsShownTwice(t *testing.T) {
	for _, c := range []struct{ zone, text, first, second string }{
		{"Europe/Berlin", "2026-10-25 02:00", "2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"},
		{"Europe/Berlin", "2026-10-25 02:59:59", "2026-10-25T02:59:59+02:00", "2026-10-25T02:59:59+01:00"},
		{"Australia/Lord_Howe", "2026-04-05 01:45", "2026-04-05T01:45:00+11:00", "2026-04-05T01:45:00+10:30"}, // half an hour
	} {
		_, err := wallTime(c.text, zone(t, c.zone))
		if err == nil || !strings.Contains(err.Error(), c.first+" or "+c.second) {
			t.Errorf("%q in %s: %v, want %s and %s", c.text, c.zone, err, c.first, c.second)
		}
	}
}

func TestWhatIsNoTime(t *testing.T) {
	for _, text := range []string{"", "yesterday", "14:00", "2026-02-30", "2026-11-20 25:00", "20.11.2026", "2026-11-20 14:00 ", "latest"} {
		at, err := wallTime(text, time.UTC)
		if text == "2026-11-20 14:00 " { // a space that was pasted with it
			if err != nil {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%q was taken for %s", text, at)
		}
	}
}

func TestRestoreAt(t *testing.T) {
	f := fixed()
	want := time.Date(2026, 2, 20, 14, 0, 0, 0, time.UTC)
	for _, args := range [][]string{{"restore", "--at", "2026-02-20 14:00"}, {"restore", "latest", "--at=2026-02-20 14:00"}} {
		if r := run(t, f, append(args, "--yes")...); r.code != 0 || f.restored.Snapshot != "latest" || !f.restored.At.Equal(want) {
			t.Errorf("%q: code %d, restored %+v, error %q", args, r.code, f.restored, r.stderr)
		}
	}
	for text, args := range map[string][]string{
		"leave out 4f2a": {"restore", "4f2a", "--at", "2026-02-20 14:00"},
		"is no time":     {"restore", "--at", "soon"},
	} {
		f := fixed()
		if r := run(t, f, append(args, "--yes")...); r.code != exitFailed || len(f.called) > 0 || !strings.Contains(r.stderr, text) {
			t.Errorf("%q: code %d, called %q, error %q", args, r.code, f.called, r.stderr)
		}
	}
}

// FuzzWallTime holds what was read against the clock that shows it.
func FuzzWallTime(f *testing.F) {
	f.Add("2026-10-25 02:30", "Europe/Berlin")
	f.Add("2011-12-30 12:00", "Pacific/Apia")
	f.Add("0001-01-01", "Asia/Kathmandu")
	f.Fuzz(func(t *testing.T, text, name string) {
		zone, err := time.LoadLocation(name)
		if err != nil {
			return
		}
		at, err := wallTime(text, zone)
		if err != nil {
			return
		}
		wall, err := time.Parse("2006-01-02 15:04", text)
		if err != nil {
			return
		}
		if shown := at.Format("2006-01-02 15:04"); shown != text {
			// Only over a gap: a moment before, the clock showed less.
			before := at.Add(-time.Second).Format("2006-01-02 15:04:05")
			if shown <= wall.Format("2006-01-02 15:04") || before >= wall.Format("2006-01-02 15:04:05") {
				t.Errorf("%q in %s is %s; a second before %s", text, name, at, before)
			}
		}
	})
}
