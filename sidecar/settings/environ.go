package settings

import (
	"fmt"
	"sort"
	"strings"
)

const prefix = "RIPPLEBAK_"

// maxFile bounds what a _FILE twin may hold, in bytes.
const maxFile = 64 << 10

// fileTwins are the variables of others whose _FILE twin is ours to read. The
// AWS variables that end in _FILE by themselves are not among them.
func fileTwins() []string {
	return []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
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

func twins(vars map[string]string) []string {
	var out []string
	for name := range vars {
		if strings.HasPrefix(name, prefix) && strings.HasSuffix(name, "_FILE") {
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
	var errs []error
	for _, name := range names {
		errs = append(errs, fmt.Errorf("%s is unknown: did you mean %s?", name, nearest(name, known)))
	}
	return errs
}

func nearest(name string, known map[string]bool) string {
	best, least := "", -1
	for k := range known {
		if d := distance(name, k); least < 0 || d < least || d == least && k < best {
			best, least = k, d
		}
	}
	return best
}

// distance is the Levenshtein distance.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
