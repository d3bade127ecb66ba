package settings

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
)

// leastRate is the slowest limit that is taken, in bytes per second: below it
// a server gives up waiting for a request.
const leastRate = 10 << 10

// takeRate takes over bytes per second.
func takeRate(field func(*Settings) *int64) func(*Settings, string) error {
	return func(s *Settings, v string) error {
		n, err := units.RAMInBytes(v)
		if err != nil || n < leastRate {
			return errors.New("must be a number of bytes per second of at least 10K, such as 500K or 20M")
		}
		*field(s) = n
		return nil
	}
}

// lockModes are the modes of Object Lock.
func lockModes() []string { return []string{"governance", "compliance"} }

// usualLockDays is how long is locked where nothing else is said. mostLockDays
// is a bound against mistakes: under compliance nobody can take a lock back.
const (
	usualLockDays = 30
	mostLockDays  = 3660
)

// takeLockDays takes over for how many days is locked.
func takeLockDays(field func(*Settings) *int) func(*Settings, string) error {
	return func(s *Settings, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > mostLockDays {
			return fmt.Errorf("must be a number of days from 1 to %d", mostLockDays)
		}
		*field(s) = n
		return nil
	}
}

// inAddress returns the password that a repository's address holds, as it is
// written and as it is meant.
func inAddress(repository string) []string {
	_, address, ok := strings.Cut(repository, ":")
	if !ok || !strings.Contains(address, "@") {
		return nil
	}
	login, ok := strings.CutPrefix(address, "http://")
	if !ok {
		if login, ok = strings.CutPrefix(address, "https://"); !ok {
			return nil
		}
	}
	// Which @ ends the password cannot be told where it was not escaped as it
	// should be: the last of all, or the last before the path.
	var out []string
	host, _, _ := strings.Cut(login, "/")
	for _, part := range []string{login, host} {
		at := strings.LastIndexByte(part, '@')
		if at < 0 {
			continue
		}
		_, password, ok := strings.Cut(part[:at], ":")
		if !ok || password == "" || slices.Contains(out, password) {
			continue
		}
		out = append(out, password)
		if plain, err := url.PathUnescape(password); err == nil && plain != password {
			out = append(out, plain)
		}
	}
	return out
}
