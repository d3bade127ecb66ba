package compose

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/template"
	"go.yaml.in/yaml/v3"
)

// maxParsed bounds the compose files that are looked into, in bytes.
const maxParsed = 1 << 20

// IsCompose says whether a file of the role can refer to further files.
func IsCompose(role string) bool {
	switch role {
	case RoleCompose, RoleOverride, RoleInclude, RoleExtends:
		return true
	}
	return false
}

// maxStatement bounds the lines over which one value in a file of variables goes.
const maxStatement = 64

// Variables reads the content of a file of variables; what is none is empty. A
// reference to a variable that is not set before it is empty, as Compose takes
// it, and the parser is not told: it would log the name, and in a password that
// holds a dollar sign that is a part of the password. What references come to is
// bounded.
func Variables(content []byte) map[string]string {
	if len(content) > maxEnvFile {
		return nil
	}
	vars, left := map[string]string{}, maxEnvFile
	lookup := func(name string) (string, bool) {
		if left -= len(vars[name]); left < 0 {
			return "", true
		}
		return vars[name], true
	}
	statement, lines := "", 0
	for line := range strings.Lines(strings.ReplaceAll(string(content), "\r\n", "\n")) {
		if statement == "" && !strings.ContainsAny(line, "=:") {
			continue // blank, or a variable of whoever calls Compose
		}
		statement += line
		read, err := dotenv.ParseWithLookup(strings.NewReader(statement), lookup)
		if lines++; err != nil && lines < maxStatement {
			continue // a value in quotes that goes on
		}
		if err != nil || left < 0 {
			return nil
		}
		maps.Copy(vars, read)
		statement, lines = "", 0
	}
	if statement != "" {
		return nil
	}
	return vars
}

// References finds the files that a compose file names: included and extended
// ones, files of variables and of labels, files of configs and of secrets. Each
// compose file is looked at by itself, before it is merged or judged, so that a
// project that Compose would refuse today is saved too. vars are the variables
// of .env: a path with one that is not among them is left out. notes say what
// could not be found out.
func References(content []byte, dir string, vars map[string]string) (found []ConfigFile, notes []string) {
	if len(content) > maxParsed {
		return nil, []string{"is too large to look for the files that it names"}
	}
	r := &references{dir: dir, vars: vars, notes: map[string]bool{}}
	for d := yaml.NewDecoder(bytes.NewReader(content)); ; {
		var doc map[string]any
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil { // its text quotes the file
			r.notes["is no YAML as a whole: files that it names may not be saved"] = true
			break
		}
		r.document(doc)
		if len(r.found) > MaxConfigFiles {
			break
		}
	}
	return r.found, slices.Sorted(maps.Keys(r.notes))
}

type references struct {
	dir   string
	vars  map[string]string
	found []ConfigFile
	notes map[string]bool
}

func (r *references) document(doc map[string]any) {
	for _, it := range list(doc["include"]) {
		r.include(it)
	}
	for _, s := range sortedValues(doc["services"]) {
		service, _ := s.(map[string]any)
		for _, it := range list(service["env_file"]) {
			r.envFile(it)
		}
		for _, it := range list(service["label_file"]) {
			r.add(r.resolve(text(it)), ConfigFile{Role: RoleLabels})
		}
		if extends, ok := service["extends"].(map[string]any); ok {
			p := r.resolve(text(extends["file"]))
			r.add(p, ConfigFile{Role: RoleExtends, Dir: path.Dir(p)})
		}
	}
	r.files(doc["configs"], RoleConfig)
	r.files(doc["secrets"], RoleSecret)
}

func (r *references) files(section any, role string) {
	for _, v := range sortedValues(section) {
		entry, _ := v.(map[string]any)
		r.add(r.resolve(text(entry["file"])), ConfigFile{Role: role})
	}
}

func (r *references) envFile(it any) {
	f := ConfigFile{Role: RoleEnvFile}
	if m, ok := it.(map[string]any); ok {
		it = m["path"]
		if required, ok := m["required"].(bool); ok {
			f.Optional = !required
		}
	}
	r.add(r.resolve(text(it)), f)
}

// include takes an entry of include:, a path or a mapping.
func (r *references) include(it any) {
	paths, dir := []any{it}, ""
	m, long := it.(map[string]any)
	if long {
		paths, dir = list(m["path"]), r.resolve(text(m["project_directory"]))
	}
	for _, p := range paths {
		file := r.resolve(text(p))
		if file == "" {
			continue
		}
		if dir == "" {
			dir = path.Dir(file)
		}
		r.add(file, ConfigFile{Role: RoleInclude, Dir: dir})
	}
	envs := list(m["env_file"])
	for _, e := range envs {
		r.add(r.resolve(text(e)), ConfigFile{Role: RoleEnv})
	}
	if len(envs) == 0 && dir != "" && dir != r.dir {
		r.add(path.Join(dir, ".env"), ConfigFile{Role: RoleEnv, Optional: true})
	}
}

// add adds a file that resolve has found.
func (r *references) add(path string, f ConfigFile) {
	if f.Path = path; path != "" && !slices.Contains(r.found, f) {
		r.found = append(r.found, f)
	}
}

// resolve makes a path absolute, with its variables filled in. Empty: it names
// no file that can be had.
func (r *references) resolve(name string) string {
	if name == "" {
		return ""
	}
	if len(name) > maxConfigPath {
		r.notes["names a file by a path that cannot be followed: that file is not saved"] = true
		return ""
	}
	unset := false
	out, err := template.SubstituteWithOptions(name, func(v string) (string, bool) {
		value, ok := r.vars[v]
		unset = unset || !ok && !strings.Contains(name, "{"+v+"-") && !strings.Contains(name, "{"+v+":-")
		return value, ok
	}, template.WithoutLogging)
	switch {
	case err != nil || unset:
		r.notes["names a file by a variable that .env does not set: that file is not saved"] = true
		return ""
	case isRemote(out):
		return ""
	case strings.HasPrefix(out, "~") || !usablePath(out) || KernelPath(absolute(r.dir, out)):
		r.notes["names a file by a path that cannot be followed: that file is not saved"] = true
		return ""
	}
	return absolute(r.dir, out)
}

// list takes what can be one or a list for a list.
func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func sortedValues(v any) []any {
	m, _ := v.(map[string]any)
	var out []any
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[k])
	}
	return out
}
