package retention

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// noon is the time by the clock of these tests.
func noon() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

// ago are good snapshots of one volume, so many days before noon, each named
// after its days: "d3".
func ago(days ...int) []Snapshot {
	var out []Snapshot
	for _, d := range days {
		out = append(out, Snapshot{ID: fmt.Sprintf("d%d", d), Time: noon().AddDate(0, 0, -d).Add(-time.Hour), Items: []Item{{Key: "volume data", State: Good}}})
	}
	return out
}

// upTo are the days 0 to n-1.
func upTo(n int) []int {
	var out []int
	for d := range n {
		out = append(out, d)
	}
	return out
}

// failed makes snapshots incomplete, with the volume as it says.
func failed(state State, list ...Snapshot) []Snapshot {
	for i := range list {
		list[i].Incomplete = true
		list[i].Items = []Item{{Key: "volume data", State: state}, {Key: "volume other", State: Absent}}
	}
	return list
}

func keptIDs(d Decision) string {
	var out []string
	for _, k := range d.Keep {
		out = append(out, k.ID)
	}
	return strings.Join(out, " ")
}

func reasons(t *testing.T, d Decision, id string) string {
	t.Helper()
	for _, k := range d.Keep {
		if k.ID == id {
			return strings.Join(k.Reasons, ", ")
		}
	}
	return ""
}

func decide(t *testing.T, list []Snapshot, policy string, change ...func(*Options)) Decision {
	t.Helper()
	opt := Options{Minimum: 1, Now: noon()}
	if policy != "" {
		opt.Default = mustParse(t, policy)
	}
	for _, fn := range change {
		fn(&opt)
	}
	return Decide(list, opt)
}

func minimum(n int) func(*Options) { return func(o *Options) { o.Minimum = n } }

func wantKept(t *testing.T, d Decision, want string) {
	t.Helper()
	if got := keptIDs(d); got != want {
		t.Errorf("kept %q, want %q", got, want)
	}
}

// TestWords has a table for each word, on times whose calendar is hard.
func TestWords(t *testing.T) {
	at := func(stamps ...string) []Snapshot {
		var out []Snapshot
		for _, s := range stamps {
			when, err := time.Parse(time.RFC3339Nano, s)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, Snapshot{ID: s, Time: when, Parent: "gone"})
		}
		return out
	}
	for _, c := range []struct {
		name, policy string
		stamps       []string
		kept         []int // of the stamps
	}{
		{"last takes the newest, unsorted", "last=2", []string{"2026-01-02T00:00:00Z", "2026-03-01T00:00:00Z", "2025-01-01T00:00:00Z", "2026-02-01T00:00:00Z"}, []int{1, 3}},
		{"two within one second", "last=1", []string{"2026-01-01T00:00:00.1Z", "2026-01-01T00:00:00.9Z"}, []int{1}},
		{"two of one instant", "last=1", []string{"2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00"}, []int{1}}, // by ID
		{"-1 is all", "daily=-1", []string{"2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z", "2026-01-02T10:00:00Z", "2025-12-31T10:00:00Z"}, []int{1, 2, 3}},
		{"hourly, the newest of each", "hourly=2", []string{"2026-01-01T10:59:59Z", "2026-01-01T11:00:00Z", "2026-01-01T11:59:59Z", "2026-01-01T09:00:00Z"}, []int{0, 2}},
		{"the hour that comes twice when clocks go back", "hourly=3", []string{"2025-10-26T02:30:00+02:00", "2025-10-26T02:30:00+01:00", "2025-10-26T01:30:00+02:00", "2025-10-26T03:30:00+01:00"}, []int{1, 2, 3}},
		{"a night when clocks go forward", "daily=2", []string{"2026-03-29T01:59:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-28T23:59:00+01:00"}, []int{1, 2}},
		{"days of the snapshot's own zone", "daily=2", []string{"2026-01-01T23:30:00-05:00", "2026-01-02T03:00:00Z", "2026-01-02T05:00:00Z"}, []int{0, 2}},
		{"ISO weeks: 53 of 2020 goes on in 2021", "weekly=2", []string{"2021-01-03T10:00:00Z", "2020-12-28T10:00:00Z", "2021-01-04T10:00:00Z", "2020-12-27T10:00:00Z"}, []int{0, 2}},
		{"ISO weeks: Monday 2024-12-30 is week 1", "weekly=1", []string{"2024-12-29T10:00:00Z", "2024-12-30T10:00:00Z", "2025-01-05T10:00:00Z"}, []int{2}},
		{"months of 28 to 31 days", "monthly=3", []string{"2026-01-31T10:00:00Z", "2026-02-01T10:00:00Z", "2026-02-28T10:00:00Z", "2026-03-01T10:00:00Z", "2026-03-31T10:00:00Z", "2026-04-30T10:00:00Z"}, []int{2, 4, 5}},
		{"calendar quarters", "quarterly=3", []string{"2025-12-31T10:00:00Z", "2026-01-01T10:00:00Z", "2026-03-31T10:00:00Z", "2026-04-01T10:00:00Z", "2026-07-01T10:00:00Z", "2026-09-30T10:00:00Z"}, []int{2, 3, 5}},
		{"years", "yearly=2", []string{"2023-12-31T23:59:59Z", "2024-01-01T00:00:00Z", "2024-12-31T00:00:00Z", "2025-06-01T00:00:00Z"}, []int{2, 3}},
		{"the oldest, while counts remain", "daily=5", []string{"2026-01-05T10:00:00Z", "2026-01-05T09:00:00Z", "2026-01-04T10:00:00Z", "2026-01-04T09:00:00Z"}, []int{0, 2, 3}},
		{"and not when they are used up", "daily=2", []string{"2026-01-05T10:00:00Z", "2026-01-04T10:00:00Z", "2026-01-04T09:00:00Z"}, []int{0, 1}},
		{"within, by the calendar", "within=1m", []string{"2026-03-31T10:00:00Z", "2026-03-03T10:00:01Z", "2026-03-03T10:00:00Z"}, []int{0, 1}}, // 31 February is 3 March
		{"within a leap year", "within=1y", []string{"2024-02-29T10:00:00Z", "2023-03-01T10:00:00Z", "2023-03-01T10:00:01Z"}, []int{0, 2}},
		{"within all parts", "within=1y2m3d4h", []string{"2026-05-10T10:00:00Z", "2025-03-07T06:00:00Z", "2025-03-07T06:00:01Z"}, []int{0, 2}},
		{"within-daily", "within-daily=2d", []string{"2026-01-05T10:00:00Z", "2026-01-05T09:00:00Z", "2026-01-04T10:00:00Z", "2026-01-03T10:00:00Z"}, []int{0, 2}},
		{"within-hourly", "within-hourly=2h", []string{"2026-01-05T10:50:00Z", "2026-01-05T10:40:00Z", "2026-01-05T09:10:00Z", "2026-01-05T08:50:00Z"}, []int{0, 2}},
		{"within-weekly", "within-weekly=14d", []string{"2026-01-25T10:00:00Z", "2026-01-19T10:00:00Z", "2026-01-18T10:00:00Z", "2026-01-11T10:00:00Z"}, []int{0, 2}},
		{"within-monthly", "within-monthly=2m", []string{"2026-03-31T10:00:00Z", "2026-02-28T10:00:00Z", "2026-02-01T10:00:00Z", "2026-01-31T09:00:00Z"}, []int{0, 1}},
		{"within-yearly", "within-yearly=2y", []string{"2026-03-31T10:00:00Z", "2025-02-28T10:00:00Z", "2025-02-01T10:00:00Z", "2024-03-31T09:00:00Z"}, []int{0, 1}},
		{"rules add up", "last=1 monthly=2", []string{"2026-03-31T10:00:00Z", "2026-03-30T10:00:00Z", "2026-02-28T10:00:00Z", "2026-02-27T10:00:00Z"}, []int{0, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := decide(t, at(c.stamps...), c.policy)
			var want []string
			for _, i := range c.kept {
				want = append(want, c.stamps[i])
			}
			got := strings.Fields(keptIDs(d))
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s kept %q, want %q", c.policy, got, want)
			}
		})
	}
}

func TestEmptyPolicyRemovesNothing(t *testing.T) {
	list := append(ago(upTo(40)...), failed(Good, ago(50, 51)...)...)
	list = append(list, Snapshot{ID: "safety", Safety: true, Time: noon().AddDate(-1, 0, 0)})
	if d := decide(t, list, ""); len(d.Remove) > 0 || len(d.Keep) != len(list) {
		t.Errorf("removed %+v", d.Remove)
	}
}

// TestF35_IncompleteRunsPushOutNothing: however many runs fail, complete
// snapshots stay as if these had not been made.
func TestF35_IncompleteRunsPushOutNothing(t *testing.T) {
	good := ago(5, 6, 7, 8, 9)
	before := keptIDs(decide(t, good, "last=3"))
	d := decide(t, append(failed(Absent, ago(0, 1, 2, 3, 4)...), good...), "last=3")
	wantKept(t, d, before)
	d = decide(t, append(failed(Good, ago(0, 1, 2, 3, 4)...), good...), "last=3")
	wantKept(t, d, "d0 d1 d2 "+before)
	// A volume of which something could not be read is no better.
	d = decide(t, append(failed(Partial, ago(0)...), good...), "last=1")
	wantKept(t, d, "d0 d5")
	// The floor counts good ones only.
	d = decide(t, append(failed(Good, ago(0, 1, 2, 3, 4)...), good...), "last=1", minimum(3))
	wantKept(t, d, "d0 d5 d6 d7")
}

func TestMinimumOfGoodSnapshots(t *testing.T) {
	wantKept(t, decide(t, ago(upTo(9)...), "last=1", minimum(3)), "d0 d1 d2")
	wantKept(t, decide(t, ago(0, 1, 31, 62, 93), "monthly=3 last=1", minimum(3)), "d0 d31 d62") // there are enough
	wantKept(t, decide(t, ago(0, 1), "last=1", minimum(3)), "d0 d1")
	wantKept(t, decide(t, ago(upTo(5)...), "last=1", minimum(0)), "d0")
	part := ago(0, 1, 2)
	for i := range part {
		part[i].Part = true // a part of the project is no backup of it
	}
	wantKept(t, decide(t, append(part, ago(3, 4, 5, 6)...), "last=1", minimum(3)), "d0 d3 d4 d5")
}

// TestNewestGoodOfEveryItemStays, also of one whose service is gone.
func TestNewestGoodOfEveryItemStays(t *testing.T) {
	list := ago(upTo(30)...)
	for i := range list {
		if i >= 10 { // "dump old/x" was there ten days ago, and good before that
			list[i].Items = append(list[i].Items, Item{Key: "dump old/x", State: Good})
		}
		if i == 10 {
			list[i].Items[1].State, list[i].Incomplete = Absent, true
		}
		if i == 20 {
			list[i].Items = append(list[i].Items, Item{Key: "volume torn", State: Partial})
			list[i].Incomplete = true
		}
	}
	d := decide(t, list, "within=2d")
	wantKept(t, d, "d0 d1 d11 d20")
	if got := reasons(t, d, "d11"); got != "newest good of dump old/x" {
		t.Errorf("reasons %q", got)
	}
	if got := reasons(t, d, "d20"); got != "all that there is of volume torn" {
		t.Errorf("reasons %q", got)
	}
	wantKept(t, decide(t, list, "within=2d", func(o *Options) { o.Drop = []string{"dump old/x"} }), "d0 d1 d20")
}

// TestPolicyOfAnItemStaysWithIt: a service that is gone keeps what its label
// said, and one policy does not shorten another's.
func TestPolicyOfAnItemStaysWithIt(t *testing.T) {
	own := mustParse(t, "last=4")
	list := ago(upTo(12)...)
	for i := range list {
		if i >= 5 {
			list[i].Items = append(list[i].Items, Item{Key: "dump old/x", State: Good, Policies: []Policy{own}})
		}
	}
	d := decide(t, list, "last=2")
	wantKept(t, d, "d0 d1 d5 d6 d7 d8")
	if got := reasons(t, d, "d6"); got != "last snapshot of dump old/x" {
		t.Errorf("reasons %q", got)
	}
	// What the newest manifest says holds.
	list[5].Items[1].Policies = []Policy{mustParse(t, "last=1")}
	wantKept(t, decide(t, list, "last=2"), "d0 d1 d5")
	// Two services own it: each of their policies keeps.
	list[5].Items[1].Policies = []Policy{mustParse(t, "last=1"), {}}
	wantKept(t, decide(t, list, "last=3"), "d0 d1 d2 d5 d6 d7")
	// No policy of the sidecar: what has none of its own stays.
	d = decide(t, list, "")
	if len(d.Remove) > 0 {
		t.Errorf("removed %d", len(d.Remove))
	}
	for i := range list {
		list[i].Items[0].Policies = []Policy{mustParse(t, "last=1")}
		if i >= 5 {
			list[i].Items[1].Policies = []Policy{mustParse(t, "last=1")}
		}
	}
	wantKept(t, decide(t, list, ""), "d0 d5")
}

// TestBackupOfOneServicePushesOutNone of the others.
func TestBackupOfOneServicePushesOutNone(t *testing.T) {
	var list []Snapshot
	for d := range 6 {
		night := ago(d)[0]
		night.Items = append(night.Items, Item{Key: "dump db/shop", State: Good})
		byDay := ago(d)[0]
		byDay.ID, byDay.Time, byDay.Part = "part"+byDay.ID, byDay.Time.Add(30*time.Minute), true
		list = append(list, night, byDay)
	}
	wantKept(t, decide(t, list, "daily=3"), "partd0 d0 partd1 d1 partd2 d2")
}

func TestSafetySnapshotsHaveARuleOfTheirOwn(t *testing.T) {
	safety := ago(3, 10, 12, 13, 20, 30)
	for i := range safety {
		safety[i].Safety, safety[i].ID = true, "s"+safety[i].ID
	}
	d := decide(t, append(safety, ago(upTo(8)...)...), "last=2", minimum(3))
	wantKept(t, d, "d0 d1 d2 sd3 sd10 sd12 sd13")
	if got := reasons(t, d, "sd13"); got != "safety within 14d" {
		t.Errorf("reasons %q", got)
	}
	old := ago(20, 30, 40, 50)
	for i := range old {
		old[i].Safety, old[i].ID = true, "s"+old[i].ID
	}
	wantKept(t, decide(t, append(old, ago(0, 1, 2)...), "last=1"), "d0 sd20 sd30 sd40")
}

func TestPinnedAndUnreadableStay(t *testing.T) {
	list := ago(upTo(9)...)
	list[7].Pinned = true
	list[5].Unreadable, list[5].Items = "its manifest is damaged", nil
	d := decide(t, list, "last=2")
	wantKept(t, d, "d0 d1 d5 d7")
	if got := reasons(t, d, "d7"); got != "pinned" {
		t.Errorf("reasons %q", got)
	}
}

// TestF37_FutureSnapshots stay, and push out nothing.
func TestF37_FutureSnapshots(t *testing.T) {
	list := ago(-400, -5, 0, 1, 2, 3, 4)
	d := decide(t, list, "last=3 within=1d")
	wantKept(t, d, "d-400 d-5 d0 d1 d2")
	if len(d.Warnings) != 1 || !strings.Contains(d.Warnings[0], "2 snapshots are from the future") || d.Held != nil {
		t.Errorf("warnings %q, held %q", d.Warnings, d.Held)
	}
	// A clock that was set back by a year makes all of them future.
	d = decide(t, list, "last=1", func(o *Options) { o.Now = noon().AddDate(-1, 0, 0) })
	if len(d.Remove) > 0 || len(d.Held) != 1 {
		t.Errorf("removed %+v, held %q", d.Remove, d.Held)
	}
}

// TestF37_ClockThatJumpedAYear: what was kept before the jump is kept after it.
func TestF37_ClockThatJumpedAYear(t *testing.T) {
	chain := func(list []Snapshot) []Snapshot {
		for i := range list[:len(list)-1] {
			list[i].Parent = list[i+1].ID
		}
		return list
	}
	for _, policy := range []string{"within=10d", "last=2 within-daily=20d", "yearly=2 last=3", "monthly=2 weekly=3"} {
		list := chain(ago(upTo(30)...))
		opt := func(now time.Time) func(*Options) { return func(o *Options) { o.Now = now } }
		before := keptIDs(decide(t, list, policy))
		var after []Snapshot
		for d := range 5 { // days of runs with a clock that is wrong
			at := noon().AddDate(1, 0, d)
			s := Snapshot{ID: fmt.Sprintf("wrong%d", d), Time: at, Items: list[0].Items, Parent: list[0].ID}
			if d > 0 {
				s.Parent = after[len(after)-1].ID
			}
			after = append(after, s)
			got := decide(t, append(slices.Clone(after), list...), policy, opt(at.Add(time.Minute)))
			var wrong []string
			for _, w := range slices.Backward(after) {
				wrong = append(wrong, w.ID)
			}
			wantKept(t, got, strings.Join(wrong, " ")+" "+before)
			if len(got.Warnings) != 1 {
				t.Errorf("warnings %q", got.Warnings)
			}
		}
		// The clock is put right: they are from the future.
		wantKept(t, decide(t, append(after, list...), policy), "wrong4 wrong3 wrong2 wrong1 wrong0 "+before)
	}
	// Where backups have gone on for two weeks the pause was real.
	list := chain(append(ago(upTo(16)...), ago(400, 401)...))
	wantKept(t, decide(t, list, "within=3d"), "d0 d1 d2")
	// A pause that retention itself has left is none: the parent is gone.
	list = chain(append(ago(0, 1, 2), ago(300, 600)...))
	list[2].Parent = "d3"
	wantKept(t, decide(t, list, "last=2 yearly=2"), "d0 d1 d600")
	// Nor is one that the schedule makes.
	list = chain(ago(0, 31, 62, 93))
	wantKept(t, decide(t, list, "within=40d", func(o *Options) { o.Interval = 31 * 24 * time.Hour }), "d0 d31")
}

// TestF37_ClockThatJumpedWithoutParents: copies name no parents, and the gap is
// measured to the next older snapshot.
func TestF37_ClockThatJumpedWithoutParents(t *testing.T) {
	list := ago(upTo(30)...)
	list = append(list, Snapshot{ID: "safety", Safety: true, Time: noon().AddDate(1, 0, -1)})
	before := strings.Join(strings.Fields(keptIDs(decide(t, ago(upTo(30)...), "within=10d"))), " ")
	var wrong []Snapshot
	ids := ""
	for d := range 5 {
		at := noon().AddDate(1, 0, d)
		wrong = append(wrong, Snapshot{ID: fmt.Sprintf("wrong%d", d), Time: at, Items: list[0].Items})
		ids = fmt.Sprintf("wrong%d ", d) + ids
		got := decide(t, append(slices.Clone(wrong), list...), "within=10d", func(o *Options) { o.Now = at.Add(time.Minute) })
		wantKept(t, got, ids+"safety "+before)
		if len(got.Warnings) != 1 {
			t.Errorf("warnings %q", got.Warnings)
		}
	}
	// Where backups have gone on for two weeks the pause was real.
	wantKept(t, decide(t, append(ago(upTo(16)...), ago(400, 401)...), "within=3d"), "d0 d1 d2")
	// Nor is one that the schedule makes.
	wantKept(t, decide(t, ago(0, 31, 62, 93), "within=40d", func(o *Options) { o.Interval = 31 * 24 * time.Hour }), "d0 d31")
	// A safety snapshot after a pause makes nothing doubtful.
	late := append(ago(0, 1), Snapshot{ID: "safety", Safety: true, Time: noon().AddDate(0, 0, -5)})
	late[0].Parent, late[1].Parent = "d1", "gone"
	wantKept(t, decide(t, append(late, ago(300)...), "last=1"), "d0 safety")
}

// TestDamagedCountForNothing: those that cannot be read stay, push out nothing,
// and are not what spans are counted from.
func TestDamagedCountForNothing(t *testing.T) {
	list := ago(0, 1, 2, 20, 21, 22)
	for i := range 3 {
		list[i].Items, list[i].Unreadable = nil, "it is damaged"
		instead := failed(Partial, ago(i)...)[0]
		instead.ID, instead.StandsFor = fmt.Sprintf("new%d", i), list[i].ID
		list = append(list, instead)
	}
	for _, policy := range []string{"last=2", "within=2d"} {
		wantKept(t, decide(t, list, policy), "new0 d0 new1 d1 new2 d2 d20 d21")
		wantKept(t, decide(t, list, policy, minimum(3)), "new0 d0 new1 d1 new2 d2 d20 d21 d22")
	}
	d := decide(t, list, "last=1")
	if got := reasons(t, d, "new2"); !strings.Contains(got, "written in place of d2") {
		t.Errorf("reasons %q", got)
	}
}

// TestF38_FloodOfFreshSnapshots: what is made to push out older ones raises an
// alarm, and what "within" and the floors keep stays.
func TestF38_FloodOfFreshSnapshots(t *testing.T) {
	list := ago(upTo(20)...)
	for i := range 200 {
		list = append(list, Snapshot{ID: fmt.Sprintf("evil%d", i), Time: noon().Add(-time.Duration(i) * time.Second), Items: []Item{{Key: "volume evil", State: Good}}})
	}
	d := decide(t, list, "last=5 within=6d", func(o *Options) { o.Interval = 24 * time.Hour }, minimum(3))
	for _, id := range []string{"d0", "d1", "d2", "d3", "d4", "d5"} {
		if reasons(t, d, id) == "" {
			t.Errorf("%s is not kept", id)
		}
	}
	if len(d.Held) != 1 || !strings.Contains(d.Held[0], "201 snapshots were made within a day") {
		t.Errorf("held %q", d.Held)
	}
	if d = decide(t, ago(upTo(20)...), "last=5", func(o *Options) { o.Interval = 24 * time.Hour }); d.Held != nil {
		t.Errorf("held %q", d.Held)
	}
}

func TestF13_SuddenChange(t *testing.T) {
	marks := func(bytes ...int64) []Mark {
		var out []Mark
		for _, b := range bytes {
			out = append(out, Mark{Bytes: b, Files: 100})
		}
		return out
	}
	const mb = 1 << 20
	for _, c := range []struct {
		name   string
		before []Mark
		now    Mark
		limit  float64
		want   bool
	}{
		{"the first of its kind", nil, Mark{0, 0}, 0.5, false},
		{"as ever", marks(mb, mb, mb), Mark{mb, 100}, 0.5, false},
		{"half of it", marks(mb, mb, mb), Mark{mb / 2, 100}, 0.5, false},
		{"less than half", marks(mb, mb, mb), Mark{mb/2 - 1, 100}, 0.5, true},
		{"a tenth, and another limit", marks(mb), Mark{mb / 10, 100}, 0.95, false},
		{"files fell", marks(mb), Mark{mb, 49}, 0.5, true},
		{"files fell to half", marks(mb), Mark{mb, 50}, 0.5, false},
		{"one odd run is not compared with", marks(9*mb, mb, mb, mb, mb), Mark{mb, 100}, 0.5, false},
		{"only five are", marks(mb, mb, mb, 9*mb, 9*mb, 9*mb, 9*mb), Mark{mb, 100}, 0.5, false},
		{"small, and smaller", []Mark{{1000, 3}}, Mark{10, 1}, 0.5, false},
		{"small, and gone", []Mark{{1000, 3}}, Mark{0, 0}, 0.5, true},
		{"a hundred times as large", marks(mb), Mark{100 * mb, 100}, 0.5, true},
		{"ten times as large", marks(mb), Mark{10 * mb, 100}, 0.5, false},
	} {
		if what, got := Changed(c.before, c.now, c.limit); got != c.want || got == (what == "") {
			t.Errorf("%s: %v, %q", c.name, got, what)
		}
	}
}

// TestF13_RunsThatAgreeAreBelieved: after three runs of the new size the fourth
// holds nothing back.
func TestF13_RunsThatAgreeAreBelieved(t *testing.T) {
	before := []Mark{{8 << 20, 10}, {8 << 20, 10}, {8 << 20, 10}, {8 << 20, 10}, {8 << 20, 10}}
	now := Mark{1 << 20, 10}
	for run := range 4 {
		_, changed := Changed(before, now, 0.5)
		if changed != (run < 3) {
			t.Errorf("run %d: %v", run, changed)
		}
		before = append([]Mark{now}, before...)
	}
}

func TestF35_IncompleteForTooLong(t *testing.T) {
	for _, c := range []struct {
		name string
		list []Snapshot
		want bool
	}{
		{"complete", ago(0, 1), false},
		{"incomplete for 13 days", append(ago(14), failed(Good, ago(upTo(13)...)...)...), false},
		{"for 14", append(ago(15), failed(Good, ago(upTo(15)...)...)...), true},
		{"and then complete", append(ago(0), failed(Good, ago(1, 30)...)...), false},
		{"never complete", failed(Good, ago(0, 20)...), true},
		{"nothing", nil, false},
	} {
		if since, got := HeldBack(c.list, noon()); got != c.want {
			t.Errorf("%s: %v, since %s", c.name, got, since)
		}
	}
}
