package compose

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// graph makes a project of "a: b c" lines.
func graph(lines ...string) Project {
	var p Project
	for _, line := range lines {
		name, on, _ := strings.Cut(line, ":")
		s := Service{Name: name}
		for _, d := range strings.Fields(on) {
			s.DependsOn = append(s.DependsOn, Dependency{Service: d, Condition: ConditionStarted})
		}
		p.Services = append(p.Services, s)
	}
	return p
}

func TestOrder(t *testing.T) {
	for _, c := range []struct{ lines, want string }{
		{"", ""},
		{"b:|a:", "a b"},
		{"a: z|z:|m:", "z a m"},
		{"web: api cache|api: db|cache:|db:", "db api cache web"},
		{"a: gone", "a"},
		{"a: b b c|b: c|c:", "c b a"},
	} {
		lines := strings.FieldsFunc(c.lines, func(r rune) bool { return r == '|' })
		for range 3 {
			order, err := graph(lines...).Order()
			if err != nil || strings.Join(order, " ") != c.want {
				t.Errorf("%s: %v, %v", c.lines, order, err)
			}
			slices.Reverse(lines)
		}
	}
}

func TestOrderNamesTheCircle(t *testing.T) {
	for lines, want := range map[string]string{
		"a: a":                     "a -> a",
		"a: b|b: c|c: a":           "a -> b -> c -> a",
		"start: x|x: y|y: x|free:": "x -> y -> x",
	} {
		p := graph(strings.Split(lines, "|")...)
		order, err := p.Order()
		if order != nil || !errors.Is(err, ErrCycle) || !strings.HasSuffix(err.Error(), ": "+want) {
			t.Errorf("%s: %v, %v", lines, order, err)
		}
	}
}

func TestDependents(t *testing.T) {
	p := graph("web: api", "api: db cache", "cache:", "db:", "report: db", "alone:")
	for service, want := range map[string][]string{
		"db": {"web", "report", "api"}, "cache": {"web", "api"}, "web": {}, "alone": {}, "gone": {},
	} {
		got := p.Dependents(service)
		if len(got) != len(want) || len(want) > 0 && !sameStopOrder(p, got, want) {
			t.Errorf("%s: %v", service, got)
		}
	}
	circle := graph("a: b", "b: c", "c: a", "d: a")
	if got := circle.Dependents("a"); !reflect.DeepEqual(got, []string{"d", "c", "b"}) {
		t.Errorf("in a circle: %v", got)
	}
}

// sameStopOrder says whether got has the services of want, dependents first.
func sameStopOrder(p Project, got, want []string) bool {
	a, b := slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(a, b) {
		return false
	}
	for i, name := range got {
		s, _ := p.Service(name)
		for _, on := range s.on() {
			if at := slices.Index(got, on); at >= 0 && at < i {
				return false
			}
		}
	}
	return true
}

func TestOrderOfALongChain(t *testing.T) {
	const length = 3000
	var lines []string
	for i := range length {
		lines = append(lines, fmt.Sprintf("s%04d: s%04d", i, i+1))
	}
	order, err := graph(lines...).Order()
	if err != nil || len(order) != length || order[0] != "s2999" || order[length-1] != "s0000" {
		t.Fatalf("%d services, %v", len(order), err)
	}
	if got := graph(lines...).Dependents("s2999"); len(got) != length-1 || got[0] != "s0000" {
		t.Fatalf("%d dependents", len(got))
	}
}
