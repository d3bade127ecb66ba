package compose

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/template"
)

// maxEnvFile bounds the .env file in bytes.
const maxEnvFile = 1 << 20

// environment is given over what the directory's .env says.
func environment(dir string, given map[string]string) (map[string]string, error) {
	env := map[string]string{}
	file := filepath.Join(dir, ".env")
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("read variables: %w", err)
	case !info.Mode().IsRegular():
	case info.Size() > maxEnvFile:
		return nil, fmt.Errorf("%s is larger than %d bytes", file, maxEnvFile)
	default:
		read, err := dotenv.GetEnvFromFile(given, []string{file})
		if err != nil {
			// The parser's own error quotes the line, which may hold a password.
			return nil, fmt.Errorf("%s has a line that is not NAME=VALUE; docker compose config shows where", file)
		}
		maps.Copy(env, read)
	}
	maps.Copy(env, given)
	return env, nil
}

// variables fills in the variables of a compose file and remembers which are
// not set and which may be secret.
type variables struct {
	standIn string // what a variable that is not set becomes
	unset   map[string]bool
	secrets map[string]bool // values
}

func newVariables(standIn string) *variables {
	return &variables{standIn: standIn, unset: map[string]bool{}, secrets: map[string]bool{}}
}

// substitute fills in one string. A variable that is required and not set
// becomes a stand-in: whether the project can run is for Compose to say.
func (v *variables) substitute(text string, mapping template.Mapping) (string, error) {
	// More rounds than this would need more required variables in one string
	// than fit there.
	for range len(text) + 1 {
		out, err := template.SubstituteWithOptions(text, v.lookup(text, mapping), template.WithoutLogging)
		var missing *template.MissingRequiredError
		if !errors.As(err, &missing) {
			return out, err
		}
		if v.unset[requiredMark+missing.Variable] {
			return out, err
		}
		v.unset[requiredMark+missing.Variable] = true
	}
	return text, nil
}

// requiredMark marks, in the set of unset variables, those that are required.
const requiredMark = "?"

// lookup is the mapping for one string. A variable that is not set is given as
// empty where that makes no difference to the string, because the template
// package logs those that it doesn't find.
func (v *variables) lookup(text string, mapping template.Mapping) template.Mapping {
	return func(name string) (string, bool) {
		value, ok := mapping(name)
		if ok && (value != "" || !v.unset[requiredMark+name]) {
			if value != "" && namesSecret(name) {
				v.secrets[value] = true
			}
			return value, true
		}
		if v.unset[requiredMark+name] {
			return "1", true
		}
		for _, operator := range []string{"-", "+", ":-", ":+", "?", ":?"} {
			if strings.Contains(text, "{"+name+operator) {
				return "", false
			}
		}
		v.unset[name] = true
		return v.standIn, true
	}
}

// notes tells which variables are not set.
func (v *variables) notes() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(v.unset)) {
		if required, ok := strings.CutPrefix(name, requiredMark); ok {
			out = append(out, fmt.Sprintf("variable %s is not set, and the compose file requires it", required))
		} else {
			out = append(out, fmt.Sprintf("variable %s is not set", name))
		}
	}
	return out
}

// namesSecret says whether a variable's name means that its value is secret.
func namesSecret(name string) bool {
	upper := strings.ToUpper(name)
	for _, word := range []string{"PASS", "SECRET", "TOKEN", "KEY", "CRED", "AUTH", "DSN", "URL", "URI", "SALT", "PRIVATE"} {
		if strings.Contains(upper, word) {
			return true
		}
	}
	return false
}

// redactedError is an error whose text had values of secret variables in it.
type redactedError struct {
	err  error
	text string
}

func (e redactedError) Error() string        { return e.text }
func (e redactedError) Is(target error) bool { return errors.Is(e.err, target) }

// redacted takes the values of secret variables out of an error's text, which
// quotes what the file says after they were filled in.
func (v *variables) redacted(err error) error {
	text := err.Error()
	values := slices.SortedFunc(maps.Keys(v.secrets), func(a, b string) int { return len(b) - len(a) })
	for _, value := range values {
		text = strings.ReplaceAll(text, value, "***")
	}
	if text == err.Error() {
		return err
	}
	return redactedError{err: err, text: text}
}
