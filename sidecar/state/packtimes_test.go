package state

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestPackTimes(t *testing.T) {
	d := open(t)
	now := time.Date(2026, 5, 4, 3, 2, 0, 0, time.UTC)
	a, b, c := [32]byte{1}, [32]byte{2}, [32]byte{3}
	p, err := d.PackTimes("one")
	if err != nil {
		t.Fatal(err)
	}
	p.Note(slices.Values([][32]byte{a, b}), now)
	p.Read(b, now.Add(time.Hour))
	if err := d.SavePackTimes(p); err != nil {
		t.Fatal(err)
	}
	if p, err = d.PackTimes("one"); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[[32]byte]time.Time{a: now, b: now.Add(time.Hour), c: {}} {
		if at, read := p.When(id); !at.Equal(want) || read != (id == b) {
			t.Errorf("%x: %s, %v", id[:1], at, read)
		}
	}
	p.Note(slices.Values([][32]byte{b, c}), now.Add(2*time.Hour))
	if at, _ := p.When(a); !at.IsZero() {
		t.Errorf("a pack that is gone is remembered: %s", at)
	}
	if at, read := p.When(b); !read || !at.Equal(now.Add(time.Hour)) {
		t.Errorf("%s, %v", at, read)
	}
	if other, err := d.PackTimes("two"); err != nil || len(other.times) != 0 {
		t.Errorf("of another repository: %v, %v", other.times, err)
	}
	// One that is damaged is none.
	path := filepath.Join(d.Path(), packTimesFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 10, len(whole) - 1, len(whole) - 12} {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if p, err := d.PackTimes("one"); err == nil || len(p.times) != 0 {
			t.Errorf("cut at %d: %v, %v", n, p.times, err)
		}
	}
	whole[60] ^= 1
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := d.PackTimes("one"); err == nil || len(p.times) != 0 {
		t.Errorf("flipped: %v, %v", p.times, err)
	}
}

func TestPackTimesOutsideOfWhatFits(t *testing.T) {
	for _, at := range []time.Time{{}, time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if m := minutes(at); m&neverRead != 0 {
			t.Errorf("%s: %x", at, m)
		}
	}
}
