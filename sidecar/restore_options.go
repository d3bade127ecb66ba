package sidecar

import (
	"time"

	"github.com/ripplebak/ripplebak/plan"
)

// RestoreOptions say what a restore is to do.
type RestoreOptions struct {
	// Snapshot is an ID, a prefix of one, or "latest".
	Snapshot string
	// At takes, with "latest", what was made at that time or before it; zero:
	// no bound.
	At time.Time
	// Services, Volumes and Databases choose items; all empty: every item.
	// A database is named SERVICE/DATABASE.
	Services, Volumes, Databases []string
	// Paths choose files and folders of volumes, from their roots; of what they
	// lie beside nothing is touched.
	Paths []string
	// ToDatabase and ToVolume are new names: what is restored goes beside what
	// is there. The first is for exactly one database, the second, which is one
	// as the compose file has it, for exactly one volume.
	ToDatabase, ToVolume string
	// ToDir is a directory into which the items are written as files, in place
	// of the project. Confirm is then asked only where it holds something.
	ToDir string
	// Bootstrap is a directory of the host, as an absolute path there: on a machine
	// that has nothing of the project, everything comes back, and the project's
	// own files into it. Patience is how long to wait each time for somebody to run
	// a command that Ask was given. Of the options only Snapshot, At, NoSafety, DryRun,
	// Wait and Confirm go with it.
	Bootstrap string
	Patience  time.Duration
	Ask       func(Asked) error
	// NoStop leaves the services running that use the files of Paths.
	NoStop bool
	// Globals gives existing roles the stored password and attributes too.
	Globals bool
	// Rollback undoes the last restore, and chooses everything by that: of the
	// options only NoSafety, VerifyAll, DryRun and those of asking go with it.
	Rollback bool
	// VerifyAll compares every file of a volume by content, for damage that left
	// size, times and inode alone.
	VerifyAll bool
	// KeepExtra leaves files that are not in the snapshot.
	KeepExtra bool
	// NoSafety leaves out the safety snapshot.
	NoSafety bool
	// DryRun prints the plan and ends.
	DryRun bool
	// Wait is how long to wait for another run.
	Wait time.Duration
	// Confirm is shown the plan and asked before anything is touched.
	Confirm func(*plan.Restore) error
	// Sure says that Confirm asks nobody: the first helper starts while the
	// snapshot is verified, as it would sit idle where a person thinks.
	Sure bool
}

// Asked is a command that somebody is asked to run on the host.
type Asked struct {
	Command string
	// Then says what is waited for; empty: nothing is.
	Then string
}
