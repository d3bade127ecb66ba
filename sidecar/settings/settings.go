// Package settings reads the sidecar's own settings from its environment.
//
// Each variable has a twin with the suffix _FILE that names a file holding
// the value, for Docker secrets; the content is trimmed. An empty variable
// counts as not set, because Compose passes on variables that its user never
// set as empty ones. All faults are reported at once, each with the nearest
// name; values are never printed.
package settings

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"

	"github.com/ripplebak/ripplebak/retention"
)

// Settings is what the environment says.
type Settings struct {
	// Repository is where snapshots are kept, in restic's own syntax.
	Repository string
	// Password opens the repository.
	Password string
	// NewPassword is what key add and key passwd are to make.
	NewPassword string
	// Project is the Compose project to back up; empty for the sidecar's own, and
	// where there are several.
	Project string
	// Projects are the projects to back up, where several are named; AllProjects
	// says that all are.
	Projects    []string
	AllProjects bool
	// Schedule is a cron expression.
	Schedule string
	// PruneSchedule is when unused data is removed: a cron expression, or Off.
	PruneSchedule string
	// CheckSchedule is when the repository is checked: a cron expression, or
	// Off. CheckPeriod is within what time all of it is read.
	CheckSchedule string
	CheckPeriod   time.Duration
	// Location is the zone of the schedule, from TZ.
	Location *time.Location
	// Host is the name under which snapshots are filed; empty for the
	// Docker host's.
	Host string

	LogLevel  string
	LogFormat string // console, json, or empty: console on a terminal

	// StateDir holds the journal, the run lock, the cache and the spool.
	StateDir string
	// RunDir holds the socket at which helpers call.
	RunDir string

	// Stall ends a dump, a stream or a request that moves no byte for so long.
	Stall time.Duration
	// Deadline ends a dump that takes longer.
	Deadline time.Duration
	// LockWait is how long a scheduled run waits for another's lock.
	LockWait time.Duration
	// ReadyTimeout is how long a restore waits for a database to answer.
	ReadyTimeout time.Duration
	// SpoolSize bounds the spool of one volume, in bytes.
	SpoolSize int64
	// CacheSize bounds the cache of the repository, in bytes; 0 for none.
	CacheSize int64

	// CPUs bounds the processors that the sidecar and each helper use; 0 for
	// as many as there are.
	CPUs float64
	// Keep is the policy of what has none of its own; empty: it is kept.
	Keep retention.Policy
	// KeepMinimum is how many good snapshots of a project stay at least.
	KeepMinimum int
	// ShrinkLimit is the part of an item by which it may fall from one run to
	// the next without raising suspicion.
	ShrinkLimit float64

	// Auto saves every service that does not refuse it by a label.
	Auto bool
	// HostPaths are paths of the host that are saved, absolute and clean.
	HostPaths []string
	// Config says that the project's own files are saved: compose files, .env
	// and what they name.
	Config bool
	// TrustImageLabels makes labels count that come from an image.
	TrustImageLabels bool
	// S3Style is auto, path or virtual.
	S3Style string
	// UploadLimit and DownloadLimit bound what goes to and comes from a
	// storage over the network, in bytes per second; 0 for none.
	UploadLimit, DownloadLimit int64
	// AppendOnly takes the right to delete away from every command.
	AppendOnly bool
	// S3Lock is governance or compliance where what is stored in S3 is locked
	// against its removal for S3LockDays; else empty.
	S3Lock     string
	S3LockDays int

	// Pre and Post are run before and after each backup, in a service's
	// container; each command may take HookTime, and so may those of labels.
	Pre, Post Hook
	HookTime  time.Duration

	// Copies are further repositories, to which snapshots are copied.
	Copies []Copy

	vars        map[string]string
	credentials []Credential
}

// Env returns a variable as the environment gave it, its _FILE twin read. It
// serves the credential chain of the storage.
func (s *Settings) Env(name string) string { return s.vars[name] }

// Environment returns a copy of all variables, for what interpolates them.
func (s *Settings) Environment() map[string]string { return maps.Clone(s.vars) }

// Secrets returns the values that must never leave the program.
func (s *Settings) Secrets() []string {
	var out []string
	for name, v := range s.vars {
		if v != "" && isSecret(name) {
			out = append(out, v)
		}
	}
	for _, c := range s.Copies {
		out = append(out, inAddress(c.Repository)...)
	}
	return append(out, inAddress(s.Repository)...)
}

func isSecret(name string) bool {
	if rest, ok := ofCopy(name); ok {
		return rest == "PASSWORD" || isSecret(rest)
	}
	switch name {
	case "RIPPLEBAK_PASSWORD", "RIPPLEBAK_NEW_PASSWORD", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN", "RESTIC_REST_PASSWORD":
		return true
	}
	return false
}

// Off is the value of a schedule for what is not to be done.
const Off = "off"

// setting is one variable: how its value is taken over.
type setting struct {
	name string
	take func(s *Settings, value string) error
}

// table is every variable of ours that acts. Its order is that of the errors.
func table() []setting {
	return []setting{
		{"RIPPLEBAK_REPOSITORY", text(func(s *Settings) *string { return &s.Repository })},
		{"RIPPLEBAK_PASSWORD", text(func(s *Settings) *string { return &s.Password })},
		{"RIPPLEBAK_NEW_PASSWORD", text(func(s *Settings) *string { return &s.NewPassword })},
		{"RIPPLEBAK_PROJECT", takeProject},
		{"RIPPLEBAK_SCHEDULE", text(func(s *Settings) *string { return &s.Schedule })},
		{"RIPPLEBAK_PRUNE_SCHEDULE", text(func(s *Settings) *string { return &s.PruneSchedule })},
		{"RIPPLEBAK_CHECK_SCHEDULE", text(func(s *Settings) *string { return &s.CheckSchedule })},
		{"RIPPLEBAK_CHECK_PERIOD", takeCheckPeriod},
		{"RIPPLEBAK_KEEP", takeKeep},
		{"RIPPLEBAK_KEEP_MINIMUM", takeKeepMinimum},
		{"RIPPLEBAK_SHRINK_LIMIT", takeShrinkLimit},
		{"RIPPLEBAK_HOST", text(func(s *Settings) *string { return &s.Host })},
		{"RIPPLEBAK_LOG_LEVEL", oneOf(func(s *Settings) *string { return &s.LogLevel }, "debug", "info", "warn", "error")},
		{"RIPPLEBAK_LOG_FORMAT", oneOf(func(s *Settings) *string { return &s.LogFormat }, "console", "json")},
		{"RIPPLEBAK_STATE_DIR", text(func(s *Settings) *string { return &s.StateDir })},
		{"RIPPLEBAK_RUN_DIR", text(func(s *Settings) *string { return &s.RunDir })},
		{"RIPPLEBAK_STALL_TIMEOUT", duration(func(s *Settings) *time.Duration { return &s.Stall }, time.Second)},
		{"RIPPLEBAK_DEADLINE", duration(func(s *Settings) *time.Duration { return &s.Deadline }, time.Second)},
		{"RIPPLEBAK_PRE", takeHook(func(s *Settings) *Hook { return &s.Pre })},
		{"RIPPLEBAK_POST", takeHook(func(s *Settings) *Hook { return &s.Post })},
		{"RIPPLEBAK_HOOK_TIMEOUT", duration(func(s *Settings) *time.Duration { return &s.HookTime }, time.Second)},
		{"RIPPLEBAK_LOCK_WAIT", duration(func(s *Settings) *time.Duration { return &s.LockWait }, 0)},
		{"RIPPLEBAK_READY_TIMEOUT", duration(func(s *Settings) *time.Duration { return &s.ReadyTimeout }, time.Second)},
		{"RIPPLEBAK_SPOOL_SIZE", takeSpoolSize},
		{"RIPPLEBAK_CACHE_SIZE", takeCacheSize},
		{"RIPPLEBAK_CPUS", takeCPUs},
		{"RIPPLEBAK_AUTO", takeBool(func(s *Settings) *bool { return &s.Auto })},
		{"RIPPLEBAK_HOST_PATHS", takeHostPaths},
		{"RIPPLEBAK_CONFIG", takeBool(func(s *Settings) *bool { return &s.Config })},
		{"RIPPLEBAK_TRUST_IMAGE_LABELS", takeBool(func(s *Settings) *bool { return &s.TrustImageLabels })},
		{"RIPPLEBAK_S3_STYLE", oneOf(func(s *Settings) *string { return &s.S3Style }, "auto", "path", "virtual")},
		{"RIPPLEBAK_S3_LOCK", oneOf(func(s *Settings) *string { return &s.S3Lock }, lockModes()...)},
		{"RIPPLEBAK_S3_LOCK_DAYS", takeLockDays(func(s *Settings) *int { return &s.S3LockDays })},
		{"RIPPLEBAK_APPEND_ONLY", takeBool(func(s *Settings) *bool { return &s.AppendOnly })},
		{"RIPPLEBAK_UPLOAD_LIMIT", takeRate(func(s *Settings) *int64 { return &s.UploadLimit })},
		{"RIPPLEBAK_DOWNLOAD_LIMIT", takeRate(func(s *Settings) *int64 { return &s.DownloadLimit })},
	}
}

// composeOnly are variables that docker-compose.backup.yml reads; an env_file
// may carry them into the container, where they mean nothing.
func composeOnly() []string { return []string{"RIPPLEBAK_IMAGE", "RIPPLEBAK_DIR"} }

func defaults() *Settings {
	return &Settings{
		Schedule:      "0 2 * * *",
		PruneSchedule: "0 5 * * 0",
		CheckSchedule: "0 5 * * 3",
		CheckPeriod:   90 * day,
		Location:      time.UTC,
		LogLevel:      "info",
		StateDir:      "/var/lib/ripplebak",
		RunDir:        "/run/ripplebak",
		Stall:         10 * time.Minute,
		Deadline:      24 * time.Hour,
		HookTime:      30 * time.Minute,
		LockWait:      45 * time.Minute,
		ReadyTimeout:  5 * time.Minute,
		SpoolSize:     16 << 30,
		CacheSize:     1 << 30,
		Config:        true,
		S3Style:       "auto",
		S3LockDays:    usualLockDays,
		KeepMinimum:   retention.DefaultMinimum,
		ShrinkLimit:   0.5,
		vars:          map[string]string{},
	}
}

// Load reads settings from an environment as os.Environ gives it. Files are
// read by readFile. The error joins every fault that was found.
func Load(environ []string, readFile func(string) ([]byte, error)) (*Settings, error) {
	s := defaults()
	vars, errs := resolve(environ, readFile)
	s.vars, s.credentials = vars, credentials(environ, vars)
	known := map[string]bool{}
	for _, name := range composeOnly() {
		known[name] = true
	}
	for _, t := range append(table(), copyTable(vars)...) {
		known[t.name] = true
		value := vars[t.name]
		if value == "" {
			continue
		}
		if err := t.take(s, value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", t.name, err))
		}
	}
	errs = append(errs, unknown(vars, known)...)
	errs = append(errs, s.completeCopies()...)
	errs = append(errs, s.goWithSeveral()...)
	if err := takeZone(s, vars["TZ"]); err != nil {
		errs = append(errs, err)
	}
	return s, errors.Join(errs...)
}

func text(field func(*Settings) *string) func(*Settings, string) error {
	return func(s *Settings, v string) error {
		*field(s) = v
		return nil
	}
}

func oneOf(field func(*Settings) *string, values ...string) func(*Settings, string) error {
	return func(s *Settings, v string) error {
		for _, known := range values {
			if v == known {
				*field(s) = v
				return nil
			}
		}
		return fmt.Errorf("must be one of %s", strings.Join(values, ", "))
	}
}

func duration(field func(*Settings) *time.Duration, least time.Duration) func(*Settings, string) error {
	return func(s *Settings, v string) error {
		d, err := time.ParseDuration(v)
		if err != nil {
			return errors.New("must be a duration such as 90s, 10m or 6h")
		}
		if d < least {
			return fmt.Errorf("must be at least %s", least)
		}
		*field(s) = d
		return nil
	}
}

func takeBool(field func(*Settings) *bool) func(*Settings, string) error {
	return func(s *Settings, v string) error {
		switch v {
		case "true":
			*field(s) = true
		case "false":
			*field(s) = false
		default:
			return errors.New("must be true or false")
		}
		return nil
	}
}

// maxHostPaths bounds how many there are.
const maxHostPaths = 64

func takeHostPaths(s *Settings, v string) error {
	for _, p := range strings.Split(v, ",") {
		p = strings.TrimSpace(p)
		clean := path.Clean(p)
		switch {
		case p == "":
		case !path.IsAbs(p) || strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f }):
			return errors.New("must be absolute paths of the host, separated by commas")
		case !slices.Contains(s.HostPaths, clean):
			s.HostPaths = append(s.HostPaths, clean)
		}
	}
	if len(s.HostPaths) > maxHostPaths {
		return fmt.Errorf("must be at most %d paths", maxHostPaths)
	}
	return nil
}

func takeSpoolSize(s *Settings, v string) error {
	n, err := units.RAMInBytes(v)
	if err != nil || n < 1<<20 {
		return errors.New("must be a size of at least 1M, such as 512M or 16G")
	}
	s.SpoolSize = n
	return nil
}

func takeCacheSize(s *Settings, v string) error {
	n, err := units.RAMInBytes(v)
	if err != nil || n != 0 && n < 64<<20 {
		return errors.New("must be a size of at least 64M, such as 512M or 2G, or 0 for no cache")
	}
	s.CacheSize = n
	return nil
}

func takeCPUs(s *Settings, v string) error {
	n, err := strconv.ParseFloat(v, 64)
	if err != nil || !(n >= 0.1 && n <= 1024) {
		return errors.New("must be a number of processors from 0.1 to 1024, such as 1.5")
	}
	s.CPUs = n
	return nil
}

func takeZone(s *Settings, name string) error {
	if name == "" {
		return nil
	}
	l, err := time.LoadLocation(name)
	if err != nil {
		return fmt.Errorf("TZ: no time zone has this name: write one such as Europe/Berlin or UTC")
	}
	s.Location = l
	return nil
}
