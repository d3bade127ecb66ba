package sidecar

import (
	"net/url"
	"path"
	"strings"

	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/dump"
)

// environmentSecrets are values of a container's environment that are secrets
// by their name, and passwords inside addresses. They are known only so that
// no message repeats them.
func environmentSecrets(c docker.Container) []string {
	var out []string
	for _, name := range c.EnvNames() {
		v, ok := c.LookupEnv(name)
		if !ok {
			continue
		}
		if namesSecret(name) {
			out = append(out, v)
		}
		if u, err := url.Parse(v); err == nil && u.User != nil {
			if p, ok := u.User.Password(); ok {
				out = append(out, p)
			}
		}
	}
	return out
}

// namesSecret says whether a variable of this name holds a secret itself: one
// that ends in _FILE only says where it lies.
func namesSecret(name string) bool {
	name = strings.ToUpper(name)
	if strings.HasSuffix(name, "_FILE") {
		return false
	}
	for _, word := range []string{"PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "API_KEY", "APIKEY", "ACCESS_KEY", "PRIVATE", "CREDENTIAL"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return strings.HasSuffix(name, "_PASS") || strings.HasSuffix(name, "_PWD") || strings.HasSuffix(name, "_KEY")
}

// argumentSecrets are values on a container's command line that are secrets by
// the option before them, also inside a shell's command.
func argumentSecrets(c docker.Container) []string {
	var words, out []string
	for _, a := range c.Argv() {
		words = append(words, strings.Fields(a)...)
	}
	for i, w := range words {
		option, ok := strings.CutPrefix(w, "--")
		if !ok {
			continue
		}
		name, value, has := strings.Cut(option, "=")
		if name = strings.ReplaceAll(name, "-", "_"); !namesSecret(name) && name != "requirepass" && name != "masterauth" {
			continue
		}
		if !has && i+1 < len(words) {
			value = words[i+1]
		}
		if value = strings.Trim(value, `"'`); value != "" && !strings.HasPrefix(value, "$") {
			out = append(out, value)
		}
	}
	return out
}

// environmentNames are names that a container's environment gives to users and
// databases.
func environmentNames(c docker.Container) []string {
	var out []string
	for _, name := range c.EnvNames() {
		upper := strings.ToUpper(name)
		for _, end := range []string{"_USER", "_USERNAME", "_DB", "_DATABASE", "_NAME"} {
			if v, ok := c.LookupEnv(name); ok && strings.HasSuffix(upper, end) {
				out = append(out, v)
			}
		}
	}
	return out
}

// names are what anybody may know of a project: what its parts are called.
func (d *discovery) names() []string {
	out := []string{d.project.Name}
	for _, s := range d.project.Services {
		image, _, _ := strings.Cut(path.Base(s.Image), ":")
		out = append(out, s.Name, s.Image, image)
		for _, c := range s.Containers {
			out = append(out, c.Name)
		}
		for _, m := range s.Mounts {
			out = append(out, m.Target)
		}
	}
	for _, v := range d.project.Volumes {
		out = append(out, v.Key, v.Name)
	}
	return append(out, dump.Names()...)
}

// factNames are what a server calls its databases and roles.
func factNames(f dump.Facts) []string {
	out := append([]string{f.User}, f.Roles...)
	for _, db := range f.Databases {
		out = append(out, db.Name, db.Owner)
	}
	return out
}
