package sidecar

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/retention"
	"github.com/ripplebak/ripplebak/sidecar/schedule"
	"github.com/ripplebak/ripplebak/spelling"
)

// ForgetGroup is what becomes of the project's snapshots of one host. The
// fields are those of "restic forget --json", and some more.
type ForgetGroup struct {
	Tags  []string `json:"tags"`
	Host  string   `json:"host"`
	Paths []string `json:"paths"`
	// Keep and Remove come newest first, as the reasons do.
	Keep    []ForgetSnapshot `json:"keep"`
	Remove  []ForgetSnapshot `json:"remove"`
	Reasons []ForgetReason   `json:"reasons"`

	Project string `json:"project"`
	// Policy is that of the sidecar; empty where it has none.
	Policy   string   `json:"policy"`
	Warnings []string `json:"warnings"`

	held []string // why nothing must be removed unless somebody looks at it
}

// ForgetSnapshot is a snapshot as restic prints it.
type ForgetSnapshot struct {
	Time     time.Time `json:"time"`
	Parent   string    `json:"parent,omitempty"`
	Tree     string    `json:"tree"`
	Paths    []string  `json:"paths"`
	Hostname string    `json:"hostname"`
	Username string    `json:"username,omitempty"`
	Tags     []string  `json:"tags"`
	Original string    `json:"original,omitempty"`
	ID       string    `json:"id"`
	ShortID  string    `json:"short_id"`
}

// ForgetReason is why a snapshot is kept.
type ForgetReason struct {
	Snapshot ForgetSnapshot     `json:"snapshot"`
	Matches  []string           `json:"matches"`
	Counters retention.Counters `json:"counters"`
}

// forgetter decides which snapshots of a project are forgotten. It may be asked
// again; what it has read of a snapshot it need not read again.
type forgetter struct {
	app     *App
	opt     ForgetOptions
	policy  retention.Policy
	project string
	// host limits it to the snapshots of one host; empty: all.
	host  string
	known map[repository.ID]retention.Snapshot
}

// decide judges the project's snapshots by host, for projects of one name on
// two hosts are two projects.
func (f *forgetter) decide(ctx context.Context, repo *repository.Repository) ([]ForgetGroup, error) {
	list, err := f.list(ctx, repo)
	if err != nil {
		return nil, err
	}
	if err := f.read(ctx, repo, list); err != nil {
		return nil, err
	}
	if err := f.checkItems(list); err != nil {
		return nil, err
	}
	named, err := f.named(ctx, repo, list)
	if err != nil {
		return nil, err
	}
	groups := []ForgetGroup{}
	for _, host := range hostsOf(list) {
		g, err := f.group(host, slices.DeleteFunc(slices.Clone(list), func(s repository.StoredSnapshot) bool { return s.Hostname != host }), named)
		if err != nil {
			return nil, err
		}
		groups = append(groups, g)
	}
	return groups, nil
}

// list are the project's snapshots. One whose file is damaged does not say
// whose it is, and stays.
func (f *forgetter) list(ctx context.Context, repo *repository.Repository) ([]repository.StoredSnapshot, error) {
	all, damaged, err := repo.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range damaged {
		f.app.Log.Warn().Msg(f.app.Redactor().Redact(d.Error()))
	}
	return slices.DeleteFunc(all, func(s repository.StoredSnapshot) bool {
		return !ofProject(&s.Snapshot, f.project) || f.host != "" && s.Hostname != f.host
	}), nil
}

func hostsOf(list []repository.StoredSnapshot) []string {
	var out []string
	for _, s := range list {
		out = append(out, s.Hostname)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// checkItems refuses to drop an item that is in no snapshot: it is misspelt.
func (f *forgetter) checkItems(list []repository.StoredSnapshot) error {
	var keys []string
	for _, s := range list {
		for _, i := range f.known[s.ID].Items {
			keys = append(keys, i.Key)
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	for _, want := range f.opt.DropItems {
		if slices.Contains(keys, want) {
			continue
		}
		if near := spelling.Nearest(want, keys); near != "" {
			return fmt.Errorf("no snapshot of project %q has an item %q; did you mean %q?", f.project, want, near)
		}
		return fmt.Errorf("no snapshot of project %q has an item %q; there are %s", f.project, want, strings.Join(keys, ", "))
	}
	return nil
}

// named resolves the snapshots of the options; nil where there are none.
func (f *forgetter) named(ctx context.Context, repo *repository.Repository, list []repository.StoredSnapshot) (map[repository.ID]bool, error) {
	if len(f.opt.Snapshots) == 0 {
		return nil, nil
	}
	out := map[repository.ID]bool{}
	for _, name := range f.opt.Snapshots {
		s, err := findAmong(ctx, repo, list, name)
		if err != nil {
			return nil, err
		}
		if f.known[s.ID].Pinned {
			return nil, fmt.Errorf("snapshot %s is pinned; to remove it, unpin it first", s.ID.Short())
		}
		out[s.ID] = true
	}
	return out, nil
}

// findAmong finds one of the listed snapshots, oldest first, by "latest", an ID
// or the beginning of one.
func findAmong(ctx context.Context, repo *repository.Repository, list []repository.StoredSnapshot, name string) (repository.StoredSnapshot, error) {
	if name == "latest" {
		instead := replaced(list)
		for _, s := range slices.Backward(list) {
			if _, damaged := instead[s.ID]; !damaged && !s.HasTag(TagSafety) {
				return s, nil
			}
		}
		return repository.StoredSnapshot{}, fmt.Errorf("latest: %w", repository.ErrNoSnapshot)
	}
	id, err := repo.FindSnapshot(ctx, name)
	if err != nil {
		return repository.StoredSnapshot{}, err
	}
	i := slices.IndexFunc(list, func(s repository.StoredSnapshot) bool { return s.ID == id })
	if i < 0 {
		return repository.StoredSnapshot{}, fmt.Errorf("snapshot %s is none of this project's that can be read: %w", id.Short(), repository.ErrNoSnapshot)
	}
	return list[i], nil
}

// group judges the snapshots of one host.
func (f *forgetter) group(host string, list []repository.StoredSnapshot, named map[repository.ID]bool) (ForgetGroup, error) {
	g := ForgetGroup{
		Host: host, Tags: []string{TagOurs, TagProject + f.project}, Paths: pathsOf(list), Project: f.project, Policy: f.policy.String(),
		Keep: []ForgetSnapshot{}, Remove: []ForgetSnapshot{}, Reasons: []ForgetReason{}, Warnings: []string{},
	}
	shown := map[string]ForgetSnapshot{}
	for _, s := range list {
		shown[s.ID.String()] = forgetSnapshot(s)
	}
	d, err := f.judge(list, named)
	if err != nil {
		return g, err
	}
	for _, k := range d.Keep {
		g.Keep = append(g.Keep, shown[k.ID])
		g.Reasons = append(g.Reasons, ForgetReason{Snapshot: shown[k.ID], Matches: k.Reasons, Counters: k.Counters})
	}
	for _, s := range d.Remove {
		g.Remove = append(g.Remove, shown[s.ID])
	}
	g.Warnings, g.held = append(g.Warnings, d.Warnings...), d.Held
	return g, nil
}

// judge has the snapshots of one host decided upon, each content once: where a
// change of tags was killed there may be two of it.
func (f *forgetter) judge(list []repository.StoredSnapshot, named map[repository.ID]bool) (retention.Decision, error) {
	var states, extra []retention.Snapshot
	for _, s := range list {
		if st := f.known[s.ID]; f.replaced(s, list) {
			extra = append(extra, st)
		} else {
			states = append(states, st)
		}
	}
	if named != nil {
		return f.judgeNamed(append(states, extra...), named)
	}
	d := retention.Decide(states, retention.Options{
		Default: f.policy, Minimum: f.app.Settings.KeepMinimum, Now: f.app.Now(), Interval: f.app.interval(), Drop: f.opt.DropItems,
	})
	for _, s := range extra {
		if f.policy.Empty() {
			d.Keep = append(d.Keep, retention.Kept{Snapshot: s, Reasons: []string{"policy is empty"}})
		} else {
			d.Remove = append(d.Remove, s)
		}
	}
	return d, nil
}

// replaced says whether another of the snapshots is the same with other tags,
// and is the one to keep: a pinned one, or one whose tags were changed, or else
// the first.
func (f *forgetter) replaced(s repository.StoredSnapshot, list []repository.StoredSnapshot) bool {
	rank := func(s repository.StoredSnapshot) int {
		switch {
		case s.HasTag(TagPinned):
			return 0
		case s.Original != nil:
			return 1
		}
		return 2
	}
	for _, o := range list {
		if o.ID == s.ID || !sameContent(o, s) {
			continue
		}
		if c := cmp.Or(rank(o)-rank(s), strings.Compare(o.ID.String(), s.ID.String())); c < 0 {
			return true
		}
	}
	return false
}

// sameContent says whether two snapshots are one, but for their tags.
func sameContent(a, b repository.StoredSnapshot) bool {
	return firstID(a) == firstID(b) && a.Time.Equal(b.Time) && a.Tree != nil && b.Tree != nil && *a.Tree == *b.Tree
}

// firstID is the ID that a snapshot had before its tags were changed.
func firstID(s repository.StoredSnapshot) repository.ID {
	if s.Original != nil {
		return *s.Original
	}
	return s.ID
}

// judgeNamed removes what is named. The last good one of an item goes only when
// the item is dropped too.
func (f *forgetter) judgeNamed(states []retention.Snapshot, named map[repository.ID]bool) (retention.Decision, error) {
	var d retention.Decision
	left, lost := map[string]bool{}, map[string]string{}
	good := 0
	slices.SortFunc(states, func(a, b retention.Snapshot) int {
		return cmp.Or(b.Time.Compare(a.Time), strings.Compare(b.ID, a.ID))
	})
	for _, s := range states {
		id, err := repository.ParseID(s.ID)
		if err != nil {
			return d, err
		}
		for _, i := range s.Items {
			if i.State != retention.Good || s.Safety {
				continue
			}
			if !named[id] {
				left[i.Key] = true
			} else if lost[i.Key] == "" {
				lost[i.Key] = id.Short()
			}
		}
		if named[id] {
			if err := staysWith(s, named); err != nil {
				return d, err
			}
			d.Remove = append(d.Remove, s)
			continue
		}
		if !s.Incomplete && !s.Safety && (!s.Part || len(s.Schedules) > 0) && s.Unreadable == "" {
			good++
		}
		d.Keep = append(d.Keep, retention.Kept{Snapshot: s, Reasons: []string{"not named"}})
	}
	for key, id := range lost {
		if !left[key] && !slices.Contains(f.opt.DropItems, key) {
			return d, fmt.Errorf("snapshot %s has the only good copy of %s that would be left; to remove it all the same, add --drop-item %q", id, key, key)
		}
	}
	if len(d.Remove) > 0 && good < f.app.Settings.KeepMinimum {
		d.Warnings = append(d.Warnings, fmt.Sprintf("%d good snapshots are left, fewer than the %d of RIPPLEBAK_KEEP_MINIMUM", good, f.app.Settings.KeepMinimum))
	}
	return d, nil
}

// staysWith refuses to remove what a repair has written in place of a damaged
// snapshot that stays: nothing else tells that this one is damaged.
func staysWith(s retention.Snapshot, named map[repository.ID]bool) error {
	if s.StandsFor == "" {
		return nil
	}
	id, err := repository.ParseID(s.StandsFor)
	if err != nil || named[id] {
		return err
	}
	return fmt.Errorf("snapshot %.8s was written in place of %s, which is damaged and would count as good without it: name that one too", s.ID, id.Short())
}

// interval is how far apart scheduled runs of the project are, at all of its
// schedules together; 0 where the sidecar's cannot be read, which serve complains
// of. What the services' are is what serve has noted: snapshots, which others may
// have written, are not asked.
func (a *App) interval() time.Duration {
	s, err := schedule.Parse(a.Settings.Schedule, a.Settings.Location)
	if err != nil {
		return 0
	}
	interval := s.Interval(a.Now())
	hist, err := a.at().History()
	if err != nil || interval <= 0 || len(hist.Schedules) == 0 {
		return interval
	}
	often := 1 / interval.Hours()
	for _, s := range hist.Schedules {
		if s.Interval > 0 {
			often += 1 / s.Interval.Hours()
		}
	}
	return time.Duration(float64(time.Hour) / often)
}

func pathsOf(list []repository.StoredSnapshot) []string {
	out := []string{}
	for _, s := range list {
		out = append(out, s.Paths...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func forgetSnapshot(s repository.StoredSnapshot) ForgetSnapshot {
	out := ForgetSnapshot{
		Time: s.Time, Paths: append([]string{}, s.Paths...), Hostname: s.Hostname, Username: s.Username,
		Tags: append([]string{}, s.Tags...), ID: s.ID.String(), ShortID: s.ID.Short(),
	}
	if s.Parent != nil {
		out.Parent = s.Parent.String()
	}
	if s.Tree != nil {
		out.Tree = s.Tree.String()
	}
	if s.Original != nil {
		out.Original = s.Original.String()
	}
	return out
}

// removals are the snapshots to remove, oldest first: so whoever is killed
// leaves the newest.
func removals(groups []ForgetGroup) []repository.ID {
	var list []ForgetSnapshot
	for _, g := range groups {
		list = append(list, g.Remove...)
	}
	slices.SortStableFunc(list, func(a, b ForgetSnapshot) int {
		return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.ID, b.ID))
	})
	var ids []repository.ID
	for _, s := range list {
		id, err := repository.ParseID(s.ID)
		if err != nil {
			panic(errors.Join(errors.New("a snapshot's ID is none"), err)) // it was written by ID.String
		}
		ids = append(ids, id)
	}
	return ids
}
