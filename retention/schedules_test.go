package retention

import (
	"fmt"
	"testing"
	"time"
)

// TestFloorsHoldForEachSchedule: however many snapshots of one schedule there
// are, the newest good ones of another stay.
func TestFloorsHoldForEachSchedule(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	policy, err := Parse("last=1")
	if err != nil {
		t.Fatal(err)
	}
	part := func(id string, ago time.Duration, schedule string) Snapshot {
		fast := Item{Key: "volume fast", Schedules: []string{"@hourly"}}
		slow := Item{Key: "volume slow"}
		if schedule == "" {
			slow.State = Good
		} else {
			fast.State = Good
		}
		return Snapshot{ID: id, Time: now.Add(-ago), Part: true, Schedules: []string{schedule}, Items: []Item{fast, slow}}
	}
	var list []Snapshot
	for i := range 10 {
		list = append(list, part(fmt.Sprintf("h%d", i), time.Duration(i)*time.Hour, "@hourly"))
	}
	for i := range 5 {
		list = append(list, part(fmt.Sprintf("d%d", i), time.Duration(i*24+1)*time.Hour, ""))
	}
	asked := part("asked", 30*time.Minute, "@hourly")
	asked.Schedules = nil // somebody has asked for it
	d := Decide(append(list, asked), Options{Default: policy, Minimum: 3, Now: now, Interval: time.Hour})
	kept := map[byte]int{}
	for _, k := range d.Keep {
		kept[k.ID[0]]++
	}
	if kept['h'] != 3 || kept['d'] != 3 || kept['a'] != 0 {
		t.Errorf("kept %v", d.Keep)
	}
}
