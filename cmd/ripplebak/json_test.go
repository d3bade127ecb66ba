package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden.json")

// jsonCase is a command that prints JSON, and the type that it prints.
type jsonCase struct {
	name    string
	args    []string
	err     error
	code    int
	printed reflect.Type
}

// streams says whether the command prints an object per line as it goes.
func (c jsonCase) streams() bool { return slices.Contains([]string{"ls", "diff", "find"}, c.name) }

func jsonCases() []jsonCase {
	return append(lookingJSONCases(), []jsonCase{
		{"plan", []string{"plan", "--json"}, nil, exitDone, reflect.TypeFor[plan.Plan]()},
		{"prune", []string{"prune", "--json"}, nil, exitDone, reflect.TypeFor[sidecar.PruneReport]()},
		{"backup", []string{"backup", "--json"}, sidecar.ErrIncomplete, exitIncomplete, reflect.TypeFor[sidecar.BackupReport]()},
		{"restore", []string{"restore", "latest", "--yes", "--json"}, sidecar.ErrRestoreFailed, exitFailed, reflect.TypeFor[sidecar.RestoreReport]()},
		{"snapshots", []string{"snapshots", "--json"}, nil, exitDone, reflect.TypeFor[[]sidecar.SnapshotInfo]()},
		{"ls", []string{"ls", "latest", "--json"}, nil, exitDone, reflect.TypeFor[listedFile]()},
		{"check", []string{"check", "--json"}, sidecar.ErrDamaged, exitFailed, reflect.TypeFor[sidecar.CheckReport]()},
		{"repair index", []string{"repair", "index", "--yes", "--json"}, nil, exitDone, reflect.TypeFor[sidecar.RepairReport]()},
		{"repair packs", []string{"repair", "packs", "--yes", "--json"}, nil, exitDone, reflect.TypeFor[sidecar.RepairReport]()},
		{"repair snapshots", []string{"repair", "snapshots", "--yes", "--json"}, nil, exitDone, reflect.TypeFor[sidecar.RepairReport]()},
		{"unlock", []string{"unlock", "--json"}, nil, exitDone, reflect.TypeFor[sidecar.UnlockReport]()},
		{"forget", []string{"forget", "--yes", "--json"}, nil, exitDone, reflect.TypeFor[[]sidecar.ForgetGroup]()},
		{"pin", []string{"pin", "latest", "--json"}, nil, exitDone, reflect.TypeFor[sidecar.PinReport]()},
		{"unpin", []string{"unpin", "latest", "--json"}, nil, exitDone, reflect.TypeFor[sidecar.PinReport]()},
		{"init", []string{"init", "--json"}, nil, exitDone, reflect.TypeFor[sidecar.InitReport]()},
		{"key list", []string{"key", "list", "--json"}, nil, exitDone, reflect.TypeFor[[]sidecar.KeyInfo]()},
		{"key add", []string{"key", "add", "--json"}, nil, exitDone, reflect.TypeFor[sidecar.KeyReport]()},
		{"key remove", []string{"key", "remove", "--yes", "5b2f", "--json"}, repository.ErrNoKeyLeft, exitFailed, reflect.TypeFor[sidecar.KeyReport]()},
		{"key passwd", []string{"key", "passwd", "--json"}, nil, exitDone, reflect.TypeFor[sidecar.KeyReport]()},
		{"copy", []string{"copy", "--json"}, sidecar.ErrCopyFailed, exitFailed, reflect.TypeFor[sidecar.CopyReport]()},
		{"runbook", []string{"runbook", "4f2a", "--json"}, nil, exitDone, reflect.TypeFor[sidecar.RunbookReport]()},
		{"version", []string{"version", "--json"}, nil, exitDone, reflect.TypeFor[buildInfo]()},
	}...)
}

func TestGoldenJSON(t *testing.T) {
	for _, c := range jsonCases() {
		t.Run(c.name, func(t *testing.T) {
			f := fixed()
			f.err = c.err
			r := run(t, f, c.args...)
			if r.code != c.code {
				t.Fatalf("exit code %d, want %d: %s", r.code, c.code, r.stderr)
			}
			path := filepath.Join("testdata", strings.ReplaceAll(c.name, " ", "-")+".golden.json")
			if *update {
				if err := os.WriteFile(path, []byte(r.out), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if r.out != string(want) {
				t.Errorf("%s differs from what is printed (-update rewrites it; the fields are a contract):\n%s", path, r.out)
			}
			for line := range bytes.Lines([]byte(r.out)) {
				if c.streams() && !json.Valid(line) {
					t.Errorf("line is no JSON: %s", line)
				}
			}
			if !c.streams() && !json.Valid([]byte(r.out)) {
				t.Errorf("output is no JSON")
			}
		})
	}
}

// TestDocumentedJSON compares the fields of docs/json.md with those of the
// types: both must have the same.
func TestDocumentedJSON(t *testing.T) {
	doc, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")
	for _, c := range jsonCases() {
		_, section, ok := strings.Cut(string(doc), "\n## "+c.name+"\n")
		if !ok {
			t.Errorf("docs/json.md has no section %q", c.name)
			continue
		}
		section, _, _ = strings.Cut(section, "\n## ")
		var have []string
		for _, m := range row.FindAllStringSubmatch(section, -1) {
			have = append(have, m[1])
		}
		want := fieldPaths(c.printed, "")
		for _, f := range want {
			if !slices.Contains(have, f) {
				t.Errorf("%s: %s is not documented", c.name, f)
			}
		}
		for _, f := range have {
			if !slices.Contains(want, f) {
				t.Errorf("%s: %s is documented, and no field", c.name, f)
			}
		}
	}
}

// fieldPaths names every field that encoding/json writes of a type.
func fieldPaths(t reflect.Type, at string) []string {
	switch {
	case t.Kind() == reflect.Pointer:
		return fieldPaths(t.Elem(), at)
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		return fieldPaths(t.Elem(), at+"[]")
	case t.Kind() != reflect.Struct || t.Implements(reflect.TypeFor[json.Marshaler]()):
		return []string{at}
	}
	var out []string
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-", !f.IsExported() && !f.Anonymous:
			continue
		case f.Anonymous && name == "":
			out = append(out, fieldPaths(f.Type, at)...)
			continue
		case name == "":
			out = append(out, at+"."+f.Name+" (it has no JSON name)")
			continue
		}
		out = append(out, fieldPaths(f.Type, strings.TrimPrefix(at+"."+name, "."))...)
	}
	return out
}
