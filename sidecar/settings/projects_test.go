package settings

import (
	"slices"
	"strings"
	"testing"
)

func TestProjects(t *testing.T) {
	for value, want := range map[string]struct {
		one     string
		several []string
		all     bool
	}{
		"":              {},
		"shop":          {one: "shop"},
		" shop, ":       {one: "shop"},
		"shop,shop":     {one: "shop"},
		"shop, blog,":   {several: []string{"shop", "blog"}},
		"b,_standalone": {several: []string{"b", "_standalone"}},
		" * ":           {all: true},
	} {
		s, err := Load([]string{"RIPPLEBAK_PROJECT=" + value}, nil)
		if err != nil || s.Project != want.one || !slices.Equal(s.Projects, want.several) || s.AllProjects != want.all {
			t.Errorf("%q: %q, %q, %v, %v", value, s.Project, s.Projects, s.AllProjects, err)
		}
		if several := want.all || want.several != nil; s.Several() != several {
			t.Errorf("%q: several: %v", value, s.Several())
		}
	}
	for value, want := range map[string]string{
		",":                      "must be names of projects",
		"*,shop":                 "or * alone",
		"a,../b":                 "no project can have",
		"a,b c":                  "no project can have",
		"a,..":                   "no project can have",
		strings.Repeat("a", 256): "no project can have",
	} {
		if _, err := Load([]string{"RIPPLEBAK_PROJECT=" + value}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", value, err)
		}
	}
	if one := (&Settings{Projects: []string{"a", "b"}, Schedule: "@daily"}).ForProject("b"); one.Several() || one.Project != "b" || one.Schedule != "@daily" {
		t.Errorf("%+v", one)
	}
}

// TestWhatBelongsToOneProjectDoesNotGoWithSeveral: nobody would know with which.
func TestWhatBelongsToOneProjectDoesNotGoWithSeveral(t *testing.T) {
	for _, v := range []string{"RIPPLEBAK_PRE=app: true", "RIPPLEBAK_POST=app: true", "RIPPLEBAK_HOST_PATHS=/etc"} {
		name, _, _ := strings.Cut(v, "=")
		if _, err := Load([]string{v, "RIPPLEBAK_PROJECT=shop"}, nil); err != nil {
			t.Errorf("%s with one: %v", v, err)
		}
		for _, p := range []string{"*", "a,b"} {
			if _, err := Load([]string{v, "RIPPLEBAK_PROJECT=" + p}, nil); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s with %s: %v", v, p, err)
			}
		}
	}
}
