package s3

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// sharedConfig is what AWS tools keep in ~/.aws, for one profile.
type sharedConfig struct {
	profile     string // never empty
	explicit    bool   // the profile was named
	credentials string // path; empty where no home is known
	config      string // likewise
	env         func(string) string
}

func newSharedConfig(env func(string) string) *sharedConfig {
	c := &sharedConfig{env: env, profile: env("AWS_PROFILE"), credentials: env("AWS_SHARED_CREDENTIALS_FILE"), config: env("AWS_CONFIG_FILE")}
	if c.profile == "" {
		c.profile = env("AWS_DEFAULT_PROFILE")
	}
	c.explicit = c.profile != ""
	if !c.explicit {
		c.profile = "default"
	}
	if home := env("HOME"); home != "" {
		if c.credentials == "" {
			c.credentials = filepath.Join(home, ".aws", "credentials")
		}
		if c.config == "" {
			c.config = filepath.Join(home, ".aws", "config")
		}
	}
	return c
}

// region returns the configured region, empty where there is none.
func (c *sharedConfig) region() (string, error) {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if v := c.env(name); v != "" {
			return v, nil
		}
	}
	s, err := c.fromConfig()
	return s["region"], err
}

// fromCredentials returns the profile in the credentials file, nil where
// there is none.
func (c *sharedConfig) fromCredentials() (map[string]string, error) {
	return section(c.credentials, c.profile)
}

// fromConfig returns the profile in the config file, nil where there is none.
func (c *sharedConfig) fromConfig() (map[string]string, error) {
	s, err := section(c.config, "profile "+c.profile)
	if s == nil && err == nil && c.profile == "default" {
		s, err = section(c.config, c.profile)
	}
	return s, err
}

// section reads one section of an INI file as AWS tools write it. A file that
// is not there has no sections.
func section(path, name string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("AWS profile: %w", err)
	}
	var out map[string]string
	inside := false
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			head, _, _ := strings.Cut(line[1:], "]")
			inside = strings.Join(strings.Fields(head), " ") == name
			if inside && out == nil {
				out = make(map[string]string)
			}
		case inside:
			if key, value, ok := strings.Cut(line, "="); ok {
				out[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
			}
		}
	}
	return out, nil
}
