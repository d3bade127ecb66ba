package main

import (
	"slices"
	"strings"
	"testing"
)

func TestRestoreOptions(t *testing.T) {
	f := fixed()
	r := run(t, f, "restore", "latest", "--yes", "--volume", "uploads", "--path", "a,b", "--path=/c", "--no-stop")
	if o := f.restored; r.code != 0 || !slices.Equal(o.Paths, []string{"a,b", "/c"}) || !o.NoStop || !slices.Equal(o.Volumes, []string{"uploads"}) {
		t.Errorf("code %d, options %+v, error %q", r.code, o, r.stderr)
	}
}

func TestRestoreOptionsThatContradict(t *testing.T) {
	for want, args := range map[string][]string{
		"name them by --path":   {"--no-stop"},
		"--path is for volumes": {"--path", "a", "--database", "db/shop"},
		"--path is looked for":  {"--path", "a", "--volume", "x", "--volume", "y"},
	} {
		f := fixed()
		r := run(t, f, append([]string{"restore", "latest", "--yes"}, args...)...)
		if r.code != exitFailed || len(f.called) > 0 || !strings.Contains(r.stderr, want) {
			t.Errorf("%q: code %d, called %q, error %q", args, r.code, f.called, r.stderr)
		}
	}
}
