package compose

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The conditions of depends_on.
const (
	ConditionStarted   = "service_started"
	ConditionHealthy   = "service_healthy"
	ConditionCompleted = "service_completed_successfully"
)

// maxDependencies bounds the entries of one depends_on label.
const maxDependencies = 1000

// ErrDependsOn is what ParseDependsOn fails with.
var ErrDependsOn = errors.New("not a depends_on label")

// ParseDependsOn reads the label in which Compose keeps a container's
// depends_on: entries SERVICE:CONDITION:RESTART, separated by commas, where
// older versions leave out the last or the last two fields. The result is
// sorted by service. What can be read is returned beside the error.
func ParseDependsOn(label string) ([]Dependency, error) {
	if strings.TrimSpace(label) == "" {
		return nil, nil
	}
	var deps []Dependency
	var first error
	bad := func(entry, reason string) {
		if first == nil {
			first = fmt.Errorf("%w: entry %s %s", ErrDependsOn, quoted(entry), reason)
		}
	}
	seen := map[string]bool{}
	count := 0
	for entry := range strings.SplitSeq(label, ",") {
		if count++; count > maxDependencies {
			bad("", "comes after "+strconv.Itoa(maxDependencies)+" others")
			break
		}
		d, reason := parseDependency(strings.TrimSpace(entry))
		switch {
		case reason != "":
			bad(entry, reason)
		case seen[d.Service]:
			bad(entry, "names a service twice")
		default:
			seen[d.Service] = true
			deps = append(deps, d)
		}
	}
	slices.SortFunc(deps, func(a, b Dependency) int { return cmp.Compare(a.Service, b.Service) })
	return deps, first
}

func parseDependency(entry string) (Dependency, string) {
	fields := strings.Split(entry, ":")
	if len(fields) > 3 {
		return Dependency{}, "has more than three fields"
	}
	d := Dependency{Service: fields[0], Condition: ConditionStarted}
	if !validName(d.Service) {
		return Dependency{}, "does not begin with the name of a service"
	}
	if len(fields) > 1 && fields[1] != "" {
		d.Condition = fields[1]
	}
	switch d.Condition {
	case ConditionStarted, ConditionHealthy, ConditionCompleted:
	default:
		return Dependency{}, "has a condition that Compose does not know"
	}
	if len(fields) > 2 && fields[2] != "" {
		restart, err := strconv.ParseBool(fields[2])
		if err != nil {
			return Dependency{}, "says neither true nor false about the restart"
		}
		d.Restart = restart
	}
	return d, ""
}
