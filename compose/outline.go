package compose

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"go.yaml.in/yaml/v3"
)

// Outline is what the commands that start a project depend upon, as its saved
// files say. Each file is looked at by itself, so that it is had of a project
// that Compose would refuse, too.
type Outline struct {
	// Name is the project's in the compose files; empty where they give none, or
	// one that is made of variables.
	Name string
	// Profiles are those of services that have some, Build the services that are
	// built on the spot.
	Profiles map[string][]string
	Build    map[string]bool
}

// OutlineOf reads compose files, the later ones over the earlier ones. What is
// no YAML adds nothing.
func OutlineOf(files [][]byte) Outline {
	out := Outline{Profiles: map[string][]string{}, Build: map[string]bool{}}
	for _, content := range files {
		if len(content) > maxParsed {
			continue
		}
		for d := yaml.NewDecoder(bytes.NewReader(content)); ; {
			var doc map[string]any
			if err := d.Decode(&doc); errors.Is(err, io.EOF) || err != nil {
				break
			}
			out.add(doc)
		}
	}
	return out
}

func (o *Outline) add(doc map[string]any) {
	if name := text(doc["name"]); name != "" {
		o.Name = name
		if strings.Contains(name, "$") {
			o.Name = ""
		}
	}
	services, _ := doc["services"].(map[string]any)
	for name, s := range services {
		service, _ := s.(map[string]any)
		if _, ok := service["build"]; ok {
			o.Build[name] = true
		}
		for _, p := range list(service["profiles"]) {
			if p := text(p); p != "" {
				o.Profiles[name] = append(o.Profiles[name], p)
			}
		}
	}
}

// Calls says whether Compose gives the project this name when it runs in the
// directory, with these variables from .env, and is not told a name.
func (o Outline) Calls(dir string, vars map[string]string, project string) bool {
	return cmp.Or(vars["COMPOSE_PROJECT_NAME"], o.Name, loader.NormalizeProjectName(path.Base(dir))) == project
}

// Found says whether Compose finds exactly these files by itself in their
// directory: the first is one that it looks for, and the second, if there is
// one, the override that goes with it. beside are all names in the directory.
func Found(files, beside []string) bool {
	if len(files) == 0 || len(files) > 2 || strings.Contains(strings.Join(files, ""), "/") {
		return false
	}
	first := firstOf([]string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"}, beside)
	override := firstOf([]string{"compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"}, beside)
	want := []string{first}
	if override != "" {
		want = append(want, override)
	}
	return slices.Equal(files, want)
}

func firstOf(names, there []string) string {
	for _, n := range names {
		if slices.Contains(there, n) {
			return n
		}
	}
	return ""
}
