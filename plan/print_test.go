package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/compose"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (-update writes it):\n%s", file, got)
	}
}

// bigShop has something of everything that a plan can say.
func bigShop(t *testing.T) Input {
	w := shopWorld()
	w.services[1].labels = l("during=stop", "group=shop", "exclude=/cache,*.tmp", "pre=php occ maintenance:mode --on", "post=php occ maintenance:mode --off\nphp occ scan")
	w.services = append(w.services,
		svc{name: "thumbs", mounts: []string{"files:/in", "thumbs:/out"}},
		svc{name: "queue", mounts: []string{"jobs:/jobs"}, labels: l("group=shop", "during=pause")},
		svc{name: "wiki", mounts: []string{"lost:/w"}, labels: l("enable=true")},
		svc{name: "cache", image: "redis:8", mounts: []string{"redis:/data"}},
	)
	w.gone = []string{"shop_lost"}
	in := w.input(t)
	in.LocalRepository = "/backups"
	in.ForeignWriters = map[string][]string{"shop_files": {"container ftp"}}
	return in
}

func TestPrintedPlan(t *testing.T) {
	tests := map[string]func(*testing.T) *Plan{
		"plan.txt": func(t *testing.T) *Plan { return Make(bigShop(t)) },
		"plan-selected.txt": func(t *testing.T) *Plan {
			in := bigShop(t)
			in.Select = []string{"db"}
			return Make(in)
		},
		"plan-problems.txt": func(t *testing.T) *Plan {
			in := bigShop(t)
			in.HasState, in.HasSocket = false, false
			in.Probes["db"] = Probe{Missing: "pg_dump is not in the container", Err: errors.New("x"), DataDirs: []string{"/var/lib/postgresql/data"}}
			in.Problems = []string{`service app: label ripplebak.durng: is not a label that ripplebak knows; did you mean "ripplebak.during"?`}
			return Make(in)
		},
	}
	for name, make := range tests {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := make(t).Print(&b); err != nil {
				t.Fatal(err)
			}
			golden(t, name, b.Bytes())
		})
	}
}

func TestPrintedRestore(t *testing.T) {
	old := volumeSource("shop", "files")
	old.Time = night(3)
	in := shopWorld().restore(t, dumpSource("db", ""), dumpSource("db", "shop", "pg"), old, volumeSource("shop", "pg"), volumeSource("shop", "new"))
	var b bytes.Buffer
	r := MakeRestore(in)
	r.CheckSpace(map[string]RestoreSpace{"volume files": {NeedBytes: 3 << 20, FreeBytes: 1 << 30, NeedInodes: 7, FreeInodes: 1000, AtMost: true}})
	if err := r.Print(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "restore.txt", b.Bytes())

	b.Reset()
	in.ForeignUsers = map[string][]string{"shop_files": {"container ftp"}}
	in.Project.Services[1].Containers[0].State = compose.StatePaused
	if err := MakeRestore(in).Print(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "restore-problems.txt", b.Bytes())
}

// TestPrintedRestoreOfATime shows times in the zone of the time that was asked
// for.
func TestPrintedRestoreOfATime(t *testing.T) {
	zone := time.FixedZone("", 3600)
	old, late := volumeSource("shop", "files"), volumeSource("shop", "new")
	old.Time, late.Time = night(3).In(zone), night(9).In(zone)
	old.Item.Finished, late.Item.Finished = night(3).Add(time.Minute), night(9).Add(2*time.Hour)
	in := shopWorld().restore(t, old, late)
	in.At = night(9).Add(time.Hour).In(zone)
	var b bytes.Buffer
	if err := MakeRestore(in).Print(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "restore-at.txt", b.Bytes())
}

func TestPlansAsJSON(t *testing.T) {
	for name, v := range map[string]any{
		"plan.json":    Make(bigShop(t)),
		"restore.json": MakeRestore(shopWorld().restore(t, dumpSource("db", "shop", "pg"), volumeSource("shop", "files"))),
		"empty.json":   []any{Make(world{name: "e"}.input(t)), MakeRestore(RestoreInput{}), MakeSafety(SafetyInput{Restore: &Restore{}})},
	} {
		b, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("null")) {
			t.Errorf("%s has a null where readers want a list", name)
		}
		golden(t, name, append(b, '\n'))
	}
}

func TestNothingOfAPlanReachesTheTerminalRaw(t *testing.T) {
	evil := "x\x1b[2J\n 9. all is well\u202e\xff"
	in := shopWorld().restore(t, dumpSource("db", evil))
	var b strings.Builder
	if err := MakeRestore(in).Print(&b); err != nil {
		t.Fatal(err)
	}
	p := &Plan{Items: []Item{{Key: evil, Cause: "c", Broken: evil, Skip: ""}}, Operations: []Operation{{Do: DoDump, Items: []string{evil}, Cause: "c"}}, Warnings: []string{evil}}
	if err := p.Print(&b); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"\x1b", "\u202e", "\xff", "\n 9.", "\n  9."} {
		if strings.Contains(b.String(), bad) {
			t.Errorf("%q is printed raw:\n%s", bad, b.String())
		}
	}
}

type full struct{ left int }

func (f *full) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errors.New("disk full")
	}
	return len(p), nil
}

func TestPrintTellsWhenItCannotWrite(t *testing.T) {
	if err := Make(bigShop(t)).Print(&full{left: 10}); err == nil {
		t.Error("no error")
	}
	if err := MakeRestore(RestoreInput{}).Print(&full{left: 10}); err == nil {
		t.Error("no error")
	}
}
