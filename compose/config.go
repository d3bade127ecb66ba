package compose

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// LabelEnvFiles is where Compose notes which files of variables it was given;
// without it, it took .env in the working directory.
const LabelEnvFiles = "com.docker.compose.project.environment_file"

// The roles of a project's own files.
const (
	RoleCompose  = "compose"  // the first compose file
	RoleOverride = "override" // those over it
	RoleInclude  = "include"  // named by include:
	RoleExtends  = "extends"  // named by extends:
	RoleEnv      = "env"      // the variables of compose files
	RoleEnvFile  = "env_file" // the variables of a service
	RoleLabels   = "label_file"
	RoleConfig   = "config" // of configs:
	RoleSecret   = "secret" // of secrets:
)

// ConfigFile is one of the project's own files on the host.
type ConfigFile struct {
	// Path is absolute and clean.
	Path string
	Role string
	// Dir is where relative paths in a compose file start from.
	Dir string
	// Optional says that Compose does without it.
	Optional bool
}

// Config is where a project's own files are on the host, as far as its
// containers say. What else belongs to it, References finds in their content.
type Config struct {
	WorkingDir string
	Files      []ConfigFile
	// Notes are what was left out, one line each.
	Notes []string
}

// MaxConfigFiles bounds how many files of its own a project can have.
// maxConfigPath bounds their paths, in bytes.
const (
	MaxConfigFiles = 256
	maxConfigPath  = 4096
)

// ConfigOf finds the project's own files by the labels that Compose puts on its
// containers, our own among them. Labels that an image declares don't count: so
// no image chooses files of the host. The containers given first win where they
// were made of another directory than the others.
func ConfigOf(project string, cs []Container) Config {
	var out Config
	for _, c := range cs {
		if c.Labels[LabelProject] != project || strays(c) {
			continue
		}
		dir := configLabel(c, LabelWorkingDir)
		switch {
		case !usablePath(dir) || !path.IsAbs(dir):
			continue
		case out.WorkingDir == "":
			out.WorkingDir = path.Clean(dir)
		case out.WorkingDir != path.Clean(dir):
			continue // made before the project was moved
		}
		out.addLabels(c)
	}
	if out.Files == nil {
		return Config{Notes: out.Notes}
	}
	return out
}

// configLabel is the value of a label of Compose's own.
func configLabel(c Container, name string) string {
	if v := c.Labels[name]; v != c.ImageLabels[name] {
		return v
	}
	return ""
}

func (c *Config) addLabels(box Container) {
	for i, f := range configList(configLabel(box, LabelConfigs)) {
		role := RoleOverride
		if i == 0 {
			role = RoleCompose
		}
		c.add(f, ConfigFile{Role: role, Dir: c.WorkingDir})
	}
	envs := configList(configLabel(box, LabelEnvFiles))
	for _, f := range envs {
		c.add(f, ConfigFile{Role: RoleEnv})
	}
	if len(envs) == 0 && len(c.Files) > 0 {
		c.add(".env", ConfigFile{Role: RoleEnv, Optional: true})
	}
}

func configList(label string) []string {
	return slices.DeleteFunc(strings.Split(label, ","), func(s string) bool { return s == "" })
}

// add adds a file once.
func (c *Config) add(name string, f ConfigFile) {
	why := ""
	switch {
	case name == "-":
		why = "was read from standard input"
	case isRemote(name):
		why = "is not on this machine"
	case !usablePath(name):
		why = "is no path"
	case len(c.Files) >= MaxConfigFiles:
		why = fmt.Sprintf("is one too many: at most %d are saved", MaxConfigFiles)
	}
	f.Path = absolute(c.WorkingDir, name)
	switch {
	case why == "" && KernelPath(f.Path):
		why = "is none of the project's files"
	case slices.ContainsFunc(c.Files, func(g ConfigFile) bool { return g.Path == f.Path }):
		return
	}
	if why != "" {
		note := fmt.Sprintf("the project's file %s %s", quoted(name), why)
		if !slices.Contains(c.Notes, note) && len(c.Notes) < maxNotes {
			c.Notes = append(c.Notes, note)
		}
		return
	}
	c.Files = append(c.Files, f)
}

// maxNotes bounds what is said of files that are left out.
const maxNotes = 16

func absolute(dir, name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(dir, name)
}

// usablePath says whether s can be the path of a file that somebody wrote.
func usablePath(s string) bool {
	return s != "" && len(s) <= maxConfigPath && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// KernelPath says whether what lies there is made up by the kernel.
func KernelPath(p string) bool {
	for _, dir := range []string{"/proc", "/sys", "/dev"} {
		if p == dir || strings.HasPrefix(p, dir+"/") {
			return true
		}
	}
	return false
}

// ConfigOfFiles is the config of a project that was read from compose files.
func ConfigOfFiles(p Project) Config {
	c := Config{WorkingDir: p.WorkingDir}
	for i, f := range p.ConfigFiles {
		role := RoleOverride
		if i == 0 {
			role = RoleCompose
		}
		c.add(f, ConfigFile{Role: role, Dir: p.WorkingDir})
	}
	if c.Files != nil {
		c.add(".env", ConfigFile{Role: RoleEnv, Optional: true})
	}
	return c
}
