package sidecar

import (
	"io"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/ripplebak/ripplebak/sidecar/settings"
)

// App is the sidecar: settings and what it reports to. Its methods are the
// commands. They may not run at the same time as each other.
type App struct {
	Settings *settings.Settings
	Log      zerolog.Logger
	// Progress is told how items come along. Nil: nobody.
	Progress Progress
	// Now is the clock.
	Now func() time.Time
	// Version is the program's, Command what the user asked for, as it is
	// shown to others who have to wait.
	Version, Command string
	// Crash is called at each named crash point; nil in production.
	Crash func(point string)

	redactOnce sync.Once
	redact     *Redactor
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

// Redactor replaces secrets in whatever leaves the program.
type Redactor struct {
	mu      sync.RWMutex
	secrets []string
}

// minSecret keeps short values, such as "1", from blotting out every text.
const minSecret = 6

// NewRedactor returns a redactor of the given values.
func NewRedactor(secrets []string) *Redactor {
	r := &Redactor{}
	r.Add(secrets...)
	return r
}

// Add adds values.
func (r *Redactor) Add(secrets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range secrets {
		if s = strings.TrimSpace(s); len(s) >= minSecret {
			r.secrets = append(r.secrets, s)
		}
	}
}

// Redact returns the text without secrets.
func (r *Redactor) Redact(text string) string {
	if r == nil {
		return text
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, s := range r.secrets {
		text = strings.ReplaceAll(text, s, "***")
	}
	return text
}

// Writer returns a writer that redacts each write. A secret that is split over
// two writes is not found; writers of lines give whole lines.
func (r *Redactor) Writer(w io.Writer) io.Writer { return &redactingWriter{r, w} }

type redactingWriter struct {
	r *Redactor
	w io.Writer
}

func (w *redactingWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.w, w.r.Redact(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Redactor returns the app's redactor.
func (a *App) Redactor() *Redactor {
	a.redactOnce.Do(func() { a.redact = NewRedactor(a.Settings.Secrets()) })
	return a.redact
}
