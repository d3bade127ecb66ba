package sidecar

import (
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/settings"
	"github.com/ripplebak/ripplebak/storage"
)

// App is the sidecar: settings and what it reports to. Its methods are the
// commands. They may not run at the same time as each other.
type App struct {
	Settings *settings.Settings
	Log      zerolog.Logger
	// From names the copy that is read in place of the repository; empty: none.
	From string
	// Progress is told how items come along. Nil: nobody.
	Progress Progress
	// Now is the clock.
	Now func() time.Time
	// Version is the program's, Command what the user asked for, as it is
	// shown to others who have to wait.
	Version, Command string
	// Crash is called at each named crash point; nil in production.
	Crash func(point string)

	oneOf      string         // the project, where it is one of several
	whole      *App           // of which this one does one project; nil: it does all that there is
	mounts     func() string  // where the next helper has its volumes, if not at mountRoot
	kdf        repository.KDF // cost of a new repository's key, if not as much as it should
	keys       repository.Keyring
	patience   time.Duration // of retention, if not retentionPatience
	redactOnce sync.Once
	redact     *Redactor
	limitsOnce sync.Once
	limits     *storage.Limits
}

// Progress is told how items come along. Its methods are called from several
// goroutines.
type Progress interface {
	// Begin announces an item; bytes is what it is expected to have, or 0.
	Begin(item string, bytes int64)
	// Advance says how far an item is: files and bytes so far.
	Advance(item string, files, bytes int64)
	// End says what became of it.
	End(item, state string)
}

type noProgress struct{}

func (noProgress) Begin(string, int64)          {}
func (noProgress) Advance(string, int64, int64) {}
func (noProgress) End(string, string)           {}

func (a *App) progress() Progress {
	if a.Progress == nil {
		return noProgress{}
	}
	return a.Progress
}

func (a *App) crash(point string) {
	if a.Crash != nil {
		a.Crash(point)
	}
}
