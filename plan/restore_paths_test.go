package plan

import (
	"bytes"
	"testing"

	"github.com/ripplebak/ripplebak/compose"
)

func pathSource(project, key string, paths ...string) Source {
	s := volumeSource(project, key)
	s.Paths, s.Item.Bytes, s.Item.Files = paths, 4096, 1
	return s
}

func TestPathsAreRestoredAsVolumesAre(t *testing.T) {
	in := shopWorld().restore(t, pathSource("shop", "files", "2026/a.pdf", "odd\nname"))
	r := MakeRestore(in)
	wantRestore(t, r, "safety volume files", "stop stats", "stop app", "restore-volume volume files", "start app", "start stats")
	var b bytes.Buffer
	if err := r.Print(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "restore-paths.txt", b.Bytes())
}

func TestPathsUnderRunningServices(t *testing.T) {
	in := shopWorld().restore(t, pathSource("shop", "files", "a"))
	in.NoStop = true
	in.ForeignUsers = map[string][]string{"shop_files": {"container ftp"}}
	in.Project.Services[4].Containers[0].State = compose.StatePaused // mail, which has nothing to do with it
	r := MakeRestore(in)
	wantRestore(t, r, "safety volume files", "restore-volume volume files")
	wantLine(t, "warning", r.Warnings, "volume files", `container ftp, service "app", service "stats" goes on meanwhile`)

	in.Sources = []Source{volumeSource("shop", "files")}
	wantLine(t, "problem", MakeRestore(in).Problems, "volume files", "single paths")
}

func TestSafetyOfPathsUnderARunningDatabaseStopsNothing(t *testing.T) {
	in := shopWorld().restore(t, pathSource("shop", "pg", "pg_hba.conf"))
	in.NoStop = true
	p := MakeSafety(SafetyInput{Project: in.Project, Restore: MakeRestore(in)})
	wantSteps(t, p, "walk volume pg")
}
