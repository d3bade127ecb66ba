package settings

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/ripplebak/ripplebak/spelling"
)

const prefix = "RIPPLEBAK_"

// maxFile bounds what a _FILE twin may hold, in bytes.
const maxFile = 64 << 10

// fileTwins are the variables of others whose _FILE twin is ours to read. The
// AWS variables that end in _FILE by themselves are not among them.
func fileTwins() []string {
	return []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "RESTIC_REST_USERNAME", "RESTIC_REST_PASSWORD"}
}

// resolve reads the environment into a map, with the twins read from their files.
func resolve(environ []string, readFile func(string) ([]byte, error)) (map[string]string, []error) {
	vars := map[string]string{}
	for _, kv := range environ {
		name, value, ok := strings.Cut(kv, "=")
		if ok && value != "" {
			vars[name] = value
		}
	}
	var errs []error
	for _, name := range twins(vars) {
		plain := strings.TrimSuffix(name, "_FILE")
		if vars[plain] != "" {
			errs = append(errs, fmt.Errorf("%s and %s are both set: keep one", plain, name))
			continue
		}
		b, err := readFile(vars[name])
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		case len(b) > maxFile:
			errs = append(errs, fmt.Errorf("%s: the file is larger than %d bytes", name, maxFile))
		case strings.TrimSpace(string(b)) == "":
			errs = append(errs, fmt.Errorf("%s: the file is empty", name))
		default:
			vars[plain] = strings.TrimSpace(string(b))
		}
		if strings.HasPrefix(name, prefix) {
			delete(vars, name)
		}
	}
	return vars, errs
}

// isPath says that a copy's variable is a path itself, and no twin.
func isPath(name string) bool {
	rest, ok := ofCopy(name)
	return ok && slices.Contains(awsFiles(), rest)
}

func twins(vars map[string]string) []string {
	var out []string
	for name := range vars {
		if strings.HasPrefix(name, prefix) && strings.HasSuffix(name, "_FILE") && !isPath(name) {
			out = append(out, name)
		}
	}
	for _, name := range fileTwins() {
		if vars[name+"_FILE"] != "" {
			out = append(out, name+"_FILE")
		}
	}
	sort.Strings(out)
	return out
}

// unknown returns one error per variable with our prefix that nobody reads.
func unknown(vars map[string]string, known map[string]bool) []error {
	var names []string
	for name := range vars {
		if strings.HasPrefix(name, prefix) && !known[name] {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	candidates := slices.Sorted(maps.Keys(known))
	var errs []error
	for _, name := range names {
		if meant := spelling.Nearest(name, candidates); meant != "" {
			errs = append(errs, fmt.Errorf("%s is unknown: did you mean %s?", name, meant))
			continue
		}
		errs = append(errs, fmt.Errorf("%s is unknown: the variables are %s", name, strings.Join(candidates, ", ")))
	}
	return errs
}
