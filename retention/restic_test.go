package retention_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/retention"
	"github.com/ripplebak/ripplebak/storage/local"
)

const judgePassword = "correct horse"

// judged is a repository of snapshots at given times, with stock restic to ask.
type judged struct {
	t    *testing.T
	dir  string
	list []retention.Snapshot
}

// newJudged stores a snapshot for each of the times.
func newJudged(t *testing.T, times []time.Time) *judged {
	t.Helper()
	if _, err := exec.LookPath("restic"); err != nil {
		if os.Getenv("RIPPLEBAK_REQUIRE_TOOLS") == "1" {
			t.Fatal("restic is required and not installed")
		}
		t.Skip("restic is not installed")
	}
	j := &judged{t: t, dir: filepath.Join(t.TempDir(), "repo")}
	s, err := local.Open(j.dir, local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	opt := repository.InitOptions{KDF: repository.KDF{N: 1024, R: 8, P: 1}}
	if err := repository.Init(t.Context(), s.Reader(), s.Writer(), judgePassword, opt); err != nil {
		t.Fatal(err)
	}
	r, err := repository.Open(t.Context(), s.Reader(), judgePassword, repository.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	w, err := r.NewWriter(t.Context(), s.Writer(), repository.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(t.Context())
	tree, err := w.SaveTree(t.Context(), &repository.Tree{})
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range times {
		id, err := w.SaveSnapshot(t.Context(), &repository.Snapshot{Time: at, Tree: &tree, Paths: []string{"/p"}, Hostname: "h"})
		if err != nil {
			t.Fatal(err)
		}
		j.list = append(j.list, retention.Snapshot{ID: id.String(), Time: at, Parent: "gone"}) // no pause is doubted, for restic doubts none
	}
	return j
}

// ask has restic say what a policy keeps: the reasons by ID.
func (j *judged) ask(policy string) map[string][]string {
	j.t.Helper()
	args := []string{"--repo", j.dir, "--no-cache", "forget", "--dry-run", "--json", "--group-by", ""}
	for _, rule := range strings.Fields(policy) {
		word, value, _ := strings.Cut(rule, "=")
		args = append(args, "--keep-"+word, value)
	}
	cmd := exec.CommandContext(j.t.Context(), "restic", args...)
	cmd.Env = append(os.Environ(), "RESTIC_PASSWORD="+judgePassword, "TZ=UTC")
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		j.t.Fatalf("restic: %v: %s", err, stderr.String())
	}
	var groups []struct {
		Keep, Remove []struct{ ID string }
		Reasons      []struct{ Matches []string }
	}
	if err := json.Unmarshal(out.Bytes(), &groups); err != nil || len(groups) != 1 {
		j.t.Fatalf("%v: %d groups: %s", err, len(groups), out.String())
	}
	g := groups[0]
	if len(g.Keep)+len(g.Remove) != len(j.list) || len(g.Reasons) != len(g.Keep) {
		j.t.Fatalf("restic judged %d and %d of %d snapshots", len(g.Keep), len(g.Remove), len(j.list))
	}
	said := map[string][]string{}
	for i, k := range g.Keep {
		said[k.ID] = g.Reasons[i].Matches
	}
	return said
}

// compare demands of Decide what restic says. Debian's restic does not keep the
// oldest snapshot while counts remain, as later ones do; nor has it our floors.
func (j *judged) compare(policy string) {
	j.t.Helper()
	p, err := retention.Parse(policy)
	if err != nil {
		j.t.Fatal(err)
	}
	want := j.ask(policy)
	d := retention.Decide(j.list, retention.Options{Default: p, Minimum: 1, Now: time.Now()})
	got := map[string][]string{}
	for _, k := range d.Keep {
		reasons := slices.DeleteFunc(slices.Clone(k.Reasons), func(r string) bool {
			return strings.HasPrefix(r, "oldest ") || strings.HasPrefix(r, "one of ")
		})
		if len(reasons) > 0 {
			got[k.ID] = reasons
		}
	}
	for _, s := range j.list {
		if !slices.Equal(got[s.ID], want[s.ID]) {
			j.t.Errorf("%s of %s: restic says %q, we say %q", policy, s.Time, want[s.ID], got[s.ID])
		}
	}
}

// zones are those of snapshots: their calendars are what counts.
func zones() []*time.Location {
	return []*time.Location{time.UTC, time.FixedZone("", 2*3600), time.FixedZone("", -11*3600), time.FixedZone("", 5*3600+1800)}
}

// randomTimes are times of the past, many close together and some far apart.
func randomTimes(rng *rand.Rand, n int) []time.Time {
	at := time.Date(2024, 12, 31, 23, 59, 59, 999_000_000, time.UTC).Add(-time.Duration(rng.IntN(1000)) * time.Hour)
	seen := map[int64]bool{}
	var out []time.Time
	for len(out) < n {
		steps := []time.Duration{time.Millisecond, 30 * time.Minute, 7 * time.Hour, 26 * time.Hour, 9 * 24 * time.Hour, 40 * 24 * time.Hour}
		at = at.Add(-time.Duration(1 + rng.Int64N(int64(steps[rng.IntN(len(steps))]))))
		if !seen[at.UnixMilli()] { // the order of those of one instant is anybody's
			seen[at.UnixMilli()] = true
			out = append(out, at.In(zones()[rng.IntN(len(zones()))]))
		}
	}
	rng.Shuffle(n, func(a, b int) { out[a], out[b] = out[b], out[a] })
	return out
}

// randomRules is a policy in the words that restic has.
func randomRules(rng *rand.Rand) string {
	var rules []string
	for _, w := range retention.Words() {
		switch within := strings.HasPrefix(w, "within"); {
		case w == "quarterly" || rng.IntN(4) != 0:
		case within:
			rules = append(rules, fmt.Sprintf("%s=%dy%dm%dd%dh", w, rng.IntN(2), rng.IntN(8), rng.IntN(30), 1+rng.IntN(40)))
		default:
			rules = append(rules, fmt.Sprintf("%s=%d", w, 1+rng.IntN(9)))
		}
	}
	if rules == nil {
		return "last=2"
	}
	return strings.Join(rules, " ")
}

// TestSameAnswersAsRestic compares decisions and reasons with those of stock
// restic, for each word by itself and for random policies.
func TestSameAnswersAsRestic(t *testing.T) {
	rounds, policies, snapshots := 5, 10, 70
	if testing.Short() {
		rounds, policies, snapshots = 1, 3, 30
	}
	for seed := range rounds {
		rng := rand.New(rand.NewPCG(uint64(seed), 7))
		j := newJudged(t, randomTimes(rng, snapshots))
		if !testing.Short() && seed == 0 {
			for _, w := range retention.Words() {
				switch {
				case w == "quarterly": // restic does not have it
				case strings.HasPrefix(w, "within"):
					j.compare(w + "=1y1m3d5h")
				default:
					j.compare(w + "=4")
				}
			}
		}
		for range policies {
			j.compare(randomRules(rng))
		}
	}
}

// TestSameAnswersAsResticOnTheCalendar has times that are hard: ends of months,
// week 53 and the weeks around it, leap days, and nights when clocks change.
func TestSameAnswersAsResticOnTheCalendar(t *testing.T) {
	if testing.Short() {
		t.Skip("stock restic is asked many times")
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	var times []time.Time
	at := func(zone *time.Location, y int, m time.Month, d, h, min int) {
		times = append(times, time.Date(y, m, d, h, min, 0, len(times)*1000, zone))
	}
	for y := 2019; y <= 2021; y++ {
		for m := time.January; m <= time.December; m++ {
			last := time.Date(y, m+1, 0, 0, 0, 0, 0, time.UTC).Day()
			at(time.UTC, y, m, 1, 0, 0)
			at(time.UTC, y, m, last, 23, 59)
		}
	}
	for d := 27; d <= 31; d++ { // 2020 has a week 53
		at(time.UTC, 2020, 12, d, 12, 0)
		at(time.UTC, 2021, 1, d-26, 12, 0)
	}
	night := time.Date(2021, 10, 31, 0, 0, 0, 0, berlin)
	for h := range 6 { // 02:30 comes twice
		one := night.Add(time.Duration(h)*time.Hour + 30*time.Minute)
		_, offset := one.Zone()
		times = append(times, one.In(time.FixedZone("", offset)))
	}
	j := newJudged(t, times)
	for _, p := range []string{
		"hourly=6 daily=9 weekly=12 monthly=30 yearly=2", "hourly=80", "weekly=20", "monthly=36", "yearly=3",
		"within=1m", "within=1y1m", "within-hourly=3d", "within-weekly=11m", "within-monthly=2y", "within-daily=1m1h",
	} {
		j.compare(p)
	}
}
