package settings

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ripplebak/ripplebak/retention"
)

// Copy is a further repository, to which snapshots are copied.
type Copy struct {
	// Name is what commands call it: copy, copy2 and so on.
	Name string
	// Repository and Password are as those of the settings. Where no password
	// is set it is that of the settings.
	Repository, Password string
	// S3Style is auto, path or virtual.
	S3Style string
	// S3Lock and S3LockDays are as those of the settings, and never taken from
	// them: another bucket may not be able to lock.
	S3Lock     string
	S3LockDays int
	// Keep is the policy of what stays in the copy; empty: everything.
	Keep retention.Policy

	prefix string // of its variables
}

// Variable names a variable of the copy in messages: Variable("TO").
func (c Copy) Variable(name string) string { return c.prefix + name }

// maxCopies is how many copies there can be.
const maxCopies = 9

// copyPrefix is what the variables of a copy begin with: RIPPLEBAK_COPY_ for
// the first, RIPPLEBAK_COPY2_ and so on for others.
func copyPrefix(n int) string {
	if n == 1 {
		return prefix + "COPY_"
	}
	return prefix + "COPY" + strconv.Itoa(n) + "_"
}

// awsFiles are variables of the AWS credential chain that end in _FILE by
// themselves.
func awsFiles() []string {
	return []string{"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"}
}

// awsVariables are those of the AWS credential chain that a copy can have of its
// own.
func awsVariables() []string {
	return append(awsFiles(), "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE",
		"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CA_BUNDLE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_ENDPOINT_URL_STS",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
		"AWS_EC2_METADATA_DISABLED", "AWS_EC2_METADATA_SERVICE_ENDPOINT")
}

// restVariables are the login of a REST server, which a copy never takes from
// the repository: it would be told to another server.
func restVariables() []string { return []string{"RESTIC_REST_USERNAME", "RESTIC_REST_PASSWORD"} }

// ofCopy splits the name of a variable of a copy: RIPPLEBAK_COPY2_TO is "TO".
func ofCopy(name string) (rest string, ok bool) {
	for n := 1; n <= maxCopies; n++ {
		if rest, ok := strings.CutPrefix(name, copyPrefix(n)); ok {
			return rest, true
		}
	}
	return "", false
}

// copyTable is the variables of the copies: of the first always, of others where
// one of theirs is set.
func copyTable(vars map[string]string) (out []setting) {
	for n := 1; n <= maxCopies; n++ {
		p, used := copyPrefix(n), n == 1
		for name := range vars {
			used = used || strings.HasPrefix(name, p)
		}
		if !used {
			continue
		}
		own := func(field func(*Copy) *string) func(*Settings) *string {
			return func(s *Settings) *string { return field(s.copyWith(p, n)) }
		}
		out = append(out,
			setting{p + "TO", text(own(func(c *Copy) *string { return &c.Repository }))},
			setting{p + "PASSWORD", text(own(func(c *Copy) *string { return &c.Password }))},
			setting{p + "S3_STYLE", oneOf(own(func(c *Copy) *string { return &c.S3Style }), "auto", "path", "virtual")})
		out = append(out,
			setting{p + "S3_LOCK", oneOf(own(func(c *Copy) *string { return &c.S3Lock }), lockModes()...)},
			setting{p + "S3_LOCK_DAYS", takeLockDays(func(s *Settings) *int { return &s.copyWith(p, n).S3LockDays })})
		out = append(out, setting{p + "KEEP", func(s *Settings, v string) error {
			keep, err := parseKeep(v)
			s.copyWith(p, n).Keep = keep
			return err
		}})
		for _, name := range append(awsVariables(), restVariables()...) {
			out = append(out, setting{p + name, func(s *Settings, _ string) error { s.copyWith(p, n); return nil }})
		}
	}
	return out
}

// copyWith returns the copy with a prefix, which is made if it is not there.
func (s *Settings) copyWith(prefix string, n int) *Copy {
	i := slices.IndexFunc(s.Copies, func(c Copy) bool { return c.prefix == prefix })
	if i < 0 {
		name := "copy"
		if n > 1 {
			name += strconv.Itoa(n)
		}
		s.Copies = append(s.Copies, Copy{Name: name, S3Style: "auto", S3LockDays: usualLockDays, prefix: prefix})
		i = len(s.Copies) - 1
	}
	return &s.Copies[i]
}

// completeCopies fills in what copies take from the repository, and reports
// those without a place.
func (s *Settings) completeCopies() (errs []error) {
	for i := range s.Copies {
		c := &s.Copies[i]
		if c.Repository == "" {
			errs = append(errs, fmt.Errorf("%s is not set, and other variables of this copy are: set it, or remove them", c.Variable("TO")))
		}
		if c.Password == "" {
			c.Password = s.Password
		}
	}
	return errs
}

// Copy returns the copy with a name.
func (s *Settings) Copy(name string) (Copy, bool) {
	i := slices.IndexFunc(s.Copies, func(c Copy) bool { return c.Name == name })
	if i < 0 {
		return Copy{}, false
	}
	return s.Copies[i], true
}

// CopyEnv returns a variable for the storage of a copy. Where the copy has any
// AWS variable of its own, all of them are its own, so that never one half of
// the credentials is the repository's; else they are those of the repository.
// The login of a REST server is always its own.
func (s *Settings) CopyEnv(c Copy) func(string) string {
	own := slices.ContainsFunc(awsVariables(), func(name string) bool { return s.vars[c.prefix+name] != "" })
	return func(name string) string {
		if slices.Contains(restVariables(), name) || own && strings.HasPrefix(name, "AWS_") {
			return s.vars[c.prefix+name]
		}
		return s.vars[name]
	}
}
