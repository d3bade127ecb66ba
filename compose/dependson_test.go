package compose

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParseDependsOn(t *testing.T) {
	for label, want := range map[string][]Dependency{
		"":   nil,
		"  ": nil,
		"db:service_healthy:true,cache:service_started:false": {{"cache", ConditionStarted, false}, {"db", ConditionHealthy, true}},
		"db:service_completed_successfully":                   {{"db", ConditionCompleted, false}},
		"db":                                                  {{"db", ConditionStarted, false}},
		"db::":                                                {{"db", ConditionStarted, false}},
		"a.b-c_d, e":                                          {{"a.b-c_d", ConditionStarted, false}, {"e", ConditionStarted, false}},
	} {
		got, err := ParseDependsOn(label)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", label, got, err)
		}
	}
}

func TestParseDependsOnRefuses(t *testing.T) {
	for label, reason := range map[string]string{
		",":                              "does not begin",
		"db,":                            "does not begin",
		"../x:service_started:true":      "does not begin",
		"..":                             "does not begin",
		"db:service_happy":               "condition",
		"db:service_started:maybe":       "neither true nor false",
		"a:b:c:d":                        "more than three",
		"db,db":                          "twice",
		strings.Repeat("a", 300):         "does not begin",
		strings.Repeat("x,", 1<<20) + "": "twice",
	} {
		got, err := ParseDependsOn(label)
		if !errors.Is(err, ErrDependsOn) || !strings.Contains(err.Error(), reason) || len(err.Error()) > 300 || len(got) > maxDependencies {
			t.Errorf("%.40q: %d, %.300v", label, len(got), err)
		}
	}
	got, _ := ParseDependsOn("db:bad,cache")
	if want := []Dependency{{"cache", ConditionStarted, false}}; !reflect.DeepEqual(got, want) {
		t.Errorf("the rest: %+v", got)
	}
}

func FuzzParseDependsOn(f *testing.F) {
	for _, seed := range []string{"", "db:service_healthy:true", "a,b:service_started", "::", ",,,", "a:b:c:d", "x\x00y", "é:service_started:1", strings.Repeat("s,", 2000)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, label string) {
		deps, err := ParseDependsOn(label)
		if len(deps) > maxDependencies {
			t.Fatalf("%d dependencies", len(deps))
		}
		for i, d := range deps {
			if !validName(d.Service) || i > 0 && deps[i-1].Service >= d.Service {
				t.Fatalf("service %q", d.Service)
			}
		}
		if err != nil && (strings.ContainsAny(err.Error(), "\n\r\x00") || len(err.Error()) > 600) {
			t.Fatalf("message %q", err)
		}
	})
}
