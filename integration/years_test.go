package integration

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// aged is a project on S3 that has gone on for a while: two snapshots, and what
// became of its files between them.
type aged struct {
	*project
	g             *storagetest.Gateway
	first, second string
}

// TestRepositoryOverTheYears does by the shipped image what people do with a
// repository that they keep: look, take out, copy, forget, prune, change
// passwords. Stock restic says whether it is so.
func TestRepositoryOverTheYears(t *testing.T) {
	t.Parallel()
	a := &aged{project: newFilesProject(t, "live"), g: gateway(t)}
	a.useS3(a.g, a.g.Host, "app")
	a.env["RIPPLEBAK_KEEP_MINIMUM"] = "1"
	a.first = a.backup().Snapshot
	a.inVolume("data", "mkdir later; head -c 700000 /dev/urandom > later/invoice.pdf; echo HELLO > d/a; ln d/a d/hard; rm d/big; setfattr -n user.color -v blue d/a; chown 1234:99 d")
	a.second = a.backup().Snapshot
	t.Run("diff, find, stats", func(t *testing.T) { a.in(t).looks() })
	t.Run("export", func(t *testing.T) { a.in(t).exports() })
	t.Run("copy", func(t *testing.T) { a.in(t).copies() })
	t.Run("pin, forget, prune", func(t *testing.T) { a.in(t).forgets() })
	t.Run("key", func(t *testing.T) { a.in(t).changesKeys() })
}

func (a *aged) in(t testing.TB) *aged {
	c := *a
	c.project = a.inTest(t)
	return &c
}

// resticIDs are the snapshots that stock restic sees, those with a tag.
func resticIDs(t testing.TB, a *aged, prefix, password, tag string) (ids []string) {
	t.Helper()
	r := resticWith(t, a.g, prefix, password, "snapshots", "--json", "--tag", tag)
	var list []struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &list); r.code != 0 || err != nil {
		t.Fatalf("restic snapshots: %v: %s", err, r)
	}
	for _, s := range list {
		ids = append(ids, s.ID)
	}
	return ids
}

// wantClean in the eyes of stock restic, every byte.
func (a *aged) wantClean(prefix, password string) {
	a.t.Helper()
	if r := resticWith(a.t, a.g, prefix, password, "check", "--read-data"); r.code != 0 || !strings.Contains(r.stdout, "no errors were found") {
		a.t.Errorf("restic check of %s: %s", prefix, r)
	}
}

// forgets removes all but the newest and what is pinned, by the policy, then
// what that leaves.
func (a *aged) forgets() {
	a.t.Helper()
	t := a.t
	var pin struct {
		Snapshot, Was string
		Pinned        bool
	}
	a.decode(a.mustRun("pin", a.first, "--json"), &pin)
	if got := resticIDs(t, a, "app", password, "pinned"); !pin.Pinned || pin.Was != a.first || !slices.Equal(got, []string{pin.Snapshot}) {
		t.Errorf("%+v; pinned in the eyes of restic: %v", pin, got)
	}
	newest := a.backup().Snapshot
	all := resticIDs(t, a, "app", password, "ripplebak")
	want := slices.Sorted(slices.Values([]string{pin.Snapshot, newest}))
	forget := []string{"forget", "--keep", "last=1", "--json"}
	var groups []struct {
		Keep, Remove []struct{ ID string }
	}
	a.decode(a.mustRun(append(forget, "--dry-run")...), &groups)
	if len(groups) != 1 || len(groups[0].Keep) != 2 || len(groups[0].Remove) != len(all)-2 {
		t.Errorf("forget --dry-run: %+v", groups)
	}
	if r := a.run(forget...); r.code != 1 || !strings.Contains(r.stderr, "--yes") {
		t.Errorf("a forget that nobody confirms: %s", r)
	}
	if got := resticIDs(t, a, "app", password, "ripplebak"); !slices.Equal(got, all) {
		t.Errorf("there are %v, and were %v", got, all)
	}
	a.mustRun(append(forget, "--yes")...)
	if got := slices.Sorted(slices.Values(resticIDs(t, a, "app", password, "ripplebak"))); !slices.Equal(got, want) {
		t.Errorf("left are %v, want %v", got, want)
	}
	a.mustRun("unpin", a.first) // the ID from before still names it
	a.mustRun(append(forget, "--yes")...)
	if got := resticIDs(t, a, "app", password, "ripplebak"); !slices.Equal(got, []string{newest}) {
		t.Errorf("left are %v, want %v", got, newest)
	}
	size := func() (n int64) {
		for _, s := range objects(t, a.g, "app", "data") {
			n += s
		}
		return n
	}
	before := size()
	if done := a.prune(); done.PacksRemoved == 0 || before-size() < 3_000_000 { // d/big was in the first only
		t.Errorf("%d bytes before, %d after: %+v", before, size(), done)
	}
	a.wantClean("app", password)
}

// changesKeys adds a password, changes it, and takes one out.
func (a *aged) changesKeys() {
	a.t.Helper()
	t := a.t
	opens := func(password string) bool {
		ours := a.runEnv([]string{"RIPPLEBAK_PASSWORD=" + password}, "snapshots")
		theirs := resticWith(t, a.g, "app", password, "snapshots")
		if ours.code != 0 && ours.code != 12 || (ours.code == 0) != (theirs.code == 0) {
			t.Errorf("password %q: %s\nrestic: %s", password, ours, theirs)
		}
		return theirs.code == 0
	}
	change := func(old, next string, args ...string) {
		t.Helper()
		if r := a.runEnv([]string{"RIPPLEBAK_PASSWORD=" + old, "RIPPLEBAK_NEW_PASSWORD=" + next}, args...); r.code != 0 || strings.Contains(r.String(), next) {
			t.Errorf("%v: %s", args, r)
		}
	}
	change(password, "the second", "key", "add")
	change("the second", "the third", "key", "passwd")
	if !opens(password) || opens("the second") || !opens("the third") {
		t.Error("after add and passwd the first and the third password must open it, and not the second")
	}
	var keys []struct {
		ID      string
		Current bool
	}
	list := func() {
		t.Helper()
		a.decode(a.mustRun("key", "list", "--json"), &keys)
	}
	list()
	for _, k := range slices.Clone(keys) {
		if r := a.run("key", "remove", "--yes", k.ID); (r.code == 0) == k.Current {
			t.Errorf("removal of a key, in use: %t: %s", k.Current, r)
		}
	}
	if list(); len(keys) != 1 || !keys[0].Current {
		t.Errorf("keys: %+v", keys)
	}
	if opens("the third") || !opens(password) {
		t.Error("after remove only the first password must open it")
	}
	a.wantClean("app", password)
}
