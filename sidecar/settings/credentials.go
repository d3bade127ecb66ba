package settings

import (
	"slices"
	"strings"
)

// Credential is a variable that whoever opens the repository needs, and the file
// that its value was read from, where its twin with _FILE was set.
type Credential struct{ Name, File string }

// Credentials are those that were set, by name. They hold no values.
func (s *Settings) Credentials() []Credential { return slices.Clone(s.credentials) }

// accompanying are variables that are no secret, and without which one is of no
// use.
func accompanying() []string {
	return []string{"RESTIC_REST_USERNAME", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_CA_BUNDLE"}
}

// credentials lists them. What belongs to copies is left out: it opens those.
func credentials(environ []string, vars map[string]string) []Credential {
	files := map[string]string{}
	for _, kv := range environ {
		if name, value, _ := strings.Cut(kv, "="); value != "" {
			files[name] = value
		}
	}
	var out []Credential
	for name, value := range vars {
		_, copied := ofCopy(name)
		if value == "" || copied || name == "RIPPLEBAK_NEW_PASSWORD" || !isSecret(name) && !slices.Contains(accompanying(), name) {
			continue
		}
		c := Credential{Name: name}
		if files[name] == "" {
			c.File = files[name+"_FILE"]
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Credential) int { return strings.Compare(a.Name, b.Name) })
	return out
}
