package settings

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxProjects bounds how many may be named.
const maxProjects = 256

// Several says whether there may be more than one project to back up.
func (s *Settings) Several() bool { return s.AllProjects || len(s.Projects) > 0 }

// ForProject are the settings for one of several projects.
func (s *Settings) ForProject(name string) *Settings {
	one := *s
	one.Project, one.Projects, one.AllProjects = name, nil, false
	return &one
}

// takeProject reads one name, several, or * for all.
func takeProject(s *Settings, v string) error {
	if strings.TrimSpace(v) == "*" {
		s.AllProjects = true
		return nil
	}
	var names []string
	for _, name := range strings.Split(v, ",") {
		name = strings.TrimSpace(name)
		switch {
		case name == "":
		case name == "*":
			return errors.New("must be names of projects, separated by commas, or * alone for all")
		case !isProject(name):
			return errors.New("has a name that no project can have: letters, digits, and . _ -")
		case !slices.Contains(names, name):
			names = append(names, name)
		}
	}
	switch {
	case len(names) == 0:
		return errors.New("must be names of projects, separated by commas, or * for all")
	case len(names) > maxProjects:
		return fmt.Errorf("must be at most %d projects", maxProjects)
	case len(names) == 1:
		s.Project = names[0]
	default:
		s.Projects = names
	}
	return nil
}

func isProject(name string) bool {
	return len(name) <= 255 && name != "." && name != ".." && !strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-')
	})
}

// goWithSeveral refuses what belongs to one project, where there are several.
func (s *Settings) goWithSeveral() (errs []error) {
	if !s.Several() {
		return nil
	}
	for name, set := range map[string]bool{"RIPPLEBAK_PRE": s.Pre != Hook{}, "RIPPLEBAK_POST": s.Post != Hook{}} {
		if set {
			errs = append(errs, fmt.Errorf("%s names a service of one project, and RIPPLEBAK_PROJECT is about several: put ripplebak.pre and ripplebak.post on services instead", name))
		}
	}
	if len(s.HostPaths) > 0 {
		errs = append(errs, errors.New("RIPPLEBAK_HOST_PATHS are saved with one project, and RIPPLEBAK_PROJECT is about several: give the paths a sidecar of their own"))
	}
	return errs
}
