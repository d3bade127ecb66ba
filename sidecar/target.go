package sidecar

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/retention"
	"github.com/ripplebak/ripplebak/sidecar/settings"
	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/location"
	"github.com/ripplebak/ripplebak/storage/s3"
)

// target is a repository that the settings name: the one that backups go to, or
// a copy of it.
type target struct {
	name     string // a copy's; empty for the repository itself
	place    string // in restic's syntax
	variable string // that names the place, for messages
	password string
	secret   string // the variable with the password, for messages
	style    string
	keep     retention.Policy // of a copy
	env      func(string) string
	// lock is how long what is stored in S3 is locked; nil where it is not.
	lock *s3.ObjectLock
	// polynomial is what a new repository gets; empty for a fresh one.
	polynomial string
	// renew lets it be made anew though one was there before.
	renew bool
}

// primary is the repository that backups go to.
func (a *App) primary() target {
	s := a.Settings
	return target{
		place: s.Repository, variable: "RIPPLEBAK_REPOSITORY", password: s.Password, secret: "RIPPLEBAK_PASSWORD", style: s.S3Style, env: s.Env,
		lock: objectLock(s.S3Lock, s.S3LockDays, "RIPPLEBAK_S3_LOCK"),
	}
}

func (a *App) copyTarget(c settings.Copy) target {
	return target{
		name: c.Name, place: c.Repository, variable: c.Variable("TO"), password: c.Password, secret: c.Variable("PASSWORD"),
		style: c.S3Style, keep: c.Keep, env: a.Settings.CopyEnv(c),
		lock: objectLock(c.S3Lock, c.S3LockDays, c.Variable("S3_LOCK")),
	}
}

// source is the repository that commands read: the one that backups go to, or
// the copy that From names.
func (a *App) source() (target, error) {
	if a.From == "" {
		return a.primary(), nil
	}
	c, ok := a.Settings.Copy(a.From)
	if !ok {
		return target{}, fmt.Errorf("there is no copy %q: %s", a.From, a.knownCopies())
	}
	return a.copyTarget(c), nil
}

// knownCopies says what copies there are.
func (a *App) knownCopies() string {
	var names []string
	for _, c := range a.Settings.Copies {
		names = append(names, c.Name)
	}
	if len(names) == 0 {
		return "none is set up, RIPPLEBAK_COPY_TO names one"
	}
	return "there is " + strings.Join(names, ", ")
}

// openStorage reaches the storage of a target. Every fault that can be seen from
// outside is seen here. What it is asked is counted, unless requests is nil.
func (a *App) openStorage(ctx context.Context, t target, requests *storage.Requests) (storage.AppendStore, error) {
	if t.place == "" {
		return nil, fmt.Errorf("no repository is named: set %s, for example to s3:https://HOST/BUCKET/PREFIX", t.variable)
	}
	if t.password == "" {
		return nil, fmt.Errorf("no password is set: set %s, or %s_FILE", t.secret, t.secret)
	}
	loc, err := location.Parse(t.place)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.variable, err)
	}
	style := t.style
	if style == "auto" {
		style = ""
	}
	return location.Open(ctx, loc, t.env, location.Options{
		S3Style:      style,
		StallTimeout: min(a.Settings.Stall, time.Minute),
		Requests:     requests,
		Limits:       a.transferLimits(),
		AppendOnly:   a.Settings.AppendOnly,
		S3Lock:       t.lock,
		Log:          func(msg string) { a.Log.Warn().Msg(a.Redactor().Redact(msg)) },
	})
}

// errSameRepository: a copy of itself is none.
var errSameRepository = errors.New("it is the repository itself, and no copy: name another place")
