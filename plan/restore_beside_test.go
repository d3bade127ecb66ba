package plan

import (
	"bytes"
	"slices"
	"testing"

	"github.com/ripplebak/ripplebak/compose"
)

func TestDatabaseUnderANewNameStopsNothing(t *testing.T) {
	s := dumpSource("db", "shop", "pg")
	s.NewName = "shop\told"
	in := shopWorld().restore(t, s)
	r := MakeRestore(in)
	wantRestore(t, r, "start-database db", "restore-dump dump db/shop")
	var b bytes.Buffer
	if err := r.Print(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "restore-to-database.txt", b.Bytes())
	if p := MakeSafety(SafetyInput{Project: in.Project, Restore: r}); len(p.Items) > 0 {
		t.Errorf("saved first: %+v", p.Items)
	}

	// With its roles, which may be changed, it is another matter.
	in.Sources = []Source{dumpSource("db", "", "pg"), s}
	wantRestore(t, MakeRestore(in), "safety dump db (globals)", "stop web", "stop app", "start-database db",
		"restore-dump dump db (globals)", "restore-dump dump db/shop", "start app", "start web")
}

func TestVolumeUnderANewName(t *testing.T) {
	w := shopWorld()
	s := volumeSource("shop", "files")
	s.Item.VolumeInfo.Options, s.Item.VolumeInfo.Withheld = map[string]string{"type": "nfs"}, true
	for _, name := range []string{"old", "shop_old"} {
		s.NewName = name
		in := w.restore(t, s)
		if got := Targets(in.Project, in.Sources); !slices.Equal(got, []string{"shop_old"}) {
			t.Errorf("targets %q", got)
		}
		r := MakeRestore(in)
		wantRestore(t, r, "create-volume volume files", "restore-volume volume files")
		if v := r.Items[0].Volume; v.Docker != "shop_old" || len(v.Spec.Options) > 0 || v.Spec.Labels[compose.LabelVolume] != "old" || v.Spec.Labels[compose.LabelProject] != "shop" {
			t.Errorf("created: %+v", v)
		}
		// One that is there is used if it is empty, which is seen there.
		in.Found = map[string]compose.Volume{"shop_old": {Name: "shop_old"}}
		r = MakeRestore(in)
		wantRestore(t, r, "restore-volume volume files")
		var b bytes.Buffer
		if err := r.Print(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, "restore-to-volume.txt", b.Bytes())
		if p := MakeSafety(SafetyInput{Project: in.Project, Restore: r}); len(p.Items) > 0 {
			t.Errorf("saved first: %+v", p.Items)
		}
		in.Found["shop_old"] = compose.Volume{Name: "shop_old", Labels: map[string]string{compose.LabelProject: "blog"}}
		wantLine(t, "problem", MakeRestore(in).Problems, `belongs to project "blog"`)
		in.Found, in.ForeignUsers = map[string]compose.Volume{"shop_old": {Name: "shop_old"}}, map[string][]string{"shop_old": {"container ftp"}}
		wantLine(t, "problem", MakeRestore(in).Problems, "container ftp")
	}
	s.NewName = "../../etc"
	wantLine(t, "problem", MakeRestore(w.restore(t, s)).Problems, "is no name of a volume")
}

// TestVolumeUnderANewNameStopsNothing: nobody is asked before it, so that a
// slip of the pen must not take services down.
func TestVolumeUnderANewNameStopsNothing(t *testing.T) {
	s := volumeSource("shop", "files")
	s.NewName = "pg"
	r := MakeRestore(shopWorld().restore(t, s))
	wantLine(t, "problem", r.Problems, `the volume shop_pg is used by service "db"`)
	for _, op := range r.Operations {
		if op.Do == StopService {
			t.Errorf("stops %s: %s", op.Service, op.Cause)
		}
	}
}
