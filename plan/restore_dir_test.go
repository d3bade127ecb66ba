package plan

import (
	"bytes"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/manifest"
)

func TestRestoreIntoADirectory(t *testing.T) {
	in := DirInput{
		Project: "shop", Dir: "/srv/back", FreeBytes: 1 << 30,
		Sources: []Source{dumpSource("db", ""), dumpSource("db", "a/b", "pg"), volumeSource("shop", "pg"), pathSource("shop", "files", "2026/a.pdf")},
	}
	r := MakeRestoreToDir(in)
	wantRestore(t, r, "write dump db (globals)", "write dump db/a/b", "write volume pg", "write volume files")
	var b bytes.Buffer
	if err := r.Print(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "restore-dir.txt", b.Bytes())
}

func TestDirectoryThatCannotTakeIt(t *testing.T) {
	whole := DirInput{Dir: "/srv/back", FreeBytes: -1, Sources: []Source{volumeSource("shop", "files")}}
	for want, change := range map[string]func(*DirInput){
		"is not empty":         func(in *DirInput) { in.Occupied = true },
		"gone with it":         func(in *DirInput) { in.Lost = "it is inside this container, and gone with it" },
		"3MiB are needed":      func(in *DirInput) { in.FreeBytes = 1 << 20 },
		"nothing to restore":   func(in *DirInput) { in.Sources = nil },
		"volume x is unlisted": func(in *DirInput) { in.Problems = []string{"volume x is unlisted"} },
	} {
		in := whole
		change(&in)
		wantLine(t, "problem", MakeRestoreToDir(in).Problems, want)
	}
	bare := DirInput{Dir: "/x", FreeBytes: -1, Sources: []Source{{Item: manifest.Item{Kind: manifest.Volume, Name: "bare"}}}}
	wantLine(t, "problem", MakeRestoreToDir(bare).Problems, "volume bare", "does not describe")
	in := whole
	in.Occupied, in.KeepExtra, in.At = true, true, night(9).Add(time.Hour)
	if r := MakeRestoreToDir(in); len(r.Problems) > 0 || !r.At.Equal(in.At) {
		t.Errorf("problems %q, at %s", r.Problems, r.At)
	}
}
