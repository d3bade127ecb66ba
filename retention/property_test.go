package retention

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// randomProject are snapshots of a project in any state.
func randomProject(rng *rand.Rand) []Snapshot {
	keys := []string{"volume a", "volume b", "dump db/x"}
	at := noon().Add(time.Duration(rng.IntN(400)-200) * time.Hour)
	var list []Snapshot
	for i := range rng.IntN(40) {
		at = at.Add(-time.Duration(rng.Int64N(int64(96 * time.Hour))))
		s := Snapshot{ID: fmt.Sprintf("s%d", i), Time: at, Safety: rng.IntN(12) == 0, Pinned: rng.IntN(20) == 0, Part: rng.IntN(8) == 0}
		if i > 0 && rng.IntN(2) == 0 {
			list[i-1].Parent = s.ID
		}
		if rng.IntN(30) == 0 {
			s.Unreadable = "damaged"
		} else if rng.IntN(10) != 0 {
			s.Items = []Item{}
			for _, k := range keys {
				it := Item{Key: k, State: State(rng.IntN(3))}
				if it.State != Good && rng.IntN(3) != 0 {
					it.State = Good
				}
				if rng.IntN(4) == 0 {
					it.Policies = []Policy{randomPolicy(rng)}
				}
				s.Incomplete = s.Incomplete || it.State != Good
				s.Items = append(s.Items, it)
			}
		}
		list = append(list, s)
	}
	rng.Shuffle(len(list), func(a, b int) { list[a], list[b] = list[b], list[a] })
	return list
}

// checkFloors is what must hold for every decision.
func checkFloors(t *testing.T, list []Snapshot, opt Options, d Decision) {
	t.Helper()
	if len(d.Keep)+len(d.Remove) != len(list) {
		t.Errorf("%d kept and %d removed of %d", len(d.Keep), len(d.Remove), len(list))
	}
	good, kept := 0, 0
	newest := map[string]time.Time{}
	for _, s := range list {
		if s.whole() {
			good++
		}
		for _, i := range s.Items {
			if i.State == Good && !s.Safety && s.Unreadable == "" && !slices.Contains(opt.Drop, i.Key) && s.Time.After(newest[i.Key]) && !s.Time.After(opt.Now) {
				newest[i.Key] = s.Time
			}
		}
	}
	for _, k := range d.Keep {
		if len(k.Reasons) == 0 {
			t.Errorf("%s is kept without a reason", k.ID)
		}
		if k.whole() {
			kept++
		}
	}
	if kept < min(good, opt.Minimum) {
		t.Errorf("%d good snapshots are left of %d, the minimum is %d", kept, good, opt.Minimum)
	}
	for _, s := range d.Remove {
		switch {
		case s.Pinned, s.Unreadable != "", s.Time.After(opt.Now):
			t.Errorf("removed %+v", s)
		case opt.Default.Empty() && s.Items == nil && !s.Safety:
			t.Errorf("no policy, and removed %+v", s)
		}
		for _, i := range s.Items {
			if i.State == Good && !s.Safety && s.Time.Equal(newest[i.Key]) && !twice(list, s.Time) {
				t.Errorf("removed %s, the newest good of %s", s.ID, i.Key)
			}
		}
	}
}

func twice(list []Snapshot, at time.Time) bool {
	n := 0
	for _, s := range list {
		if s.Time.Equal(at) {
			n++
		}
	}
	return n > 1
}

// checkIncompletePushOutNothing: without the incomplete ones no complete
// snapshot more would stay. The floor is left out, which fills up.
func checkIncompletePushOutNothing(t *testing.T, list []Snapshot, opt Options, d Decision) {
	t.Helper()
	var complete []Snapshot
	for _, s := range list {
		if !s.Incomplete {
			complete = append(complete, s)
		}
	}
	alone := Decide(complete, opt)
	for _, k := range alone.Keep {
		if !slices.ContainsFunc(d.Keep, func(o Kept) bool { return o.ID == k.ID }) {
			t.Errorf("%s would stay (%q) if there were no incomplete snapshots", k.ID, k.Reasons)
		}
	}
}

func checkSeed(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 3))
	list := randomProject(rng)
	opt := Options{Minimum: 1 + rng.IntN(5), Now: noon()}
	if rng.IntN(6) != 0 {
		opt.Default = randomPolicy(rng)
	}
	if rng.IntN(6) == 0 {
		opt.Drop = []string{"volume a"}
	}
	d := Decide(list, opt)
	checkFloors(t, list, opt, d)
}

// TestIncompletePushOutNothing is the property with random incomplete runs.
func TestIncompletePushOutNothing(t *testing.T) {
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 4))
		list := randomProject(rng)
		for i := range list { // all by one policy, with no pause in between
			list[i].Parent = "gone"
			for k := range list[i].Items {
				list[i].Items[k].Policies = nil
			}
		}
		opt := Options{Default: randomPolicy(rng), Minimum: 1, Now: noon()}
		checkIncompletePushOutNothing(t, list, opt, Decide(list, opt))
		if t.Failed() {
			t.Fatalf("seed %d, policy %q", seed, opt.Default)
		}
	}
}

// TestFloorsHold is the property with random projects.
func TestFloorsHold(t *testing.T) {
	for seed := range uint64(5000) {
		checkSeed(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzDecide(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seed)
	}
	f.Fuzz(checkSeed)
}
