package sidecar

import (
	"net/url"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"
)

// Redactor replaces secrets in whatever leaves the program: those that it was
// told, in the forms in which messages write them, and what by its shape can
// only be one, such as the password in an address.
type Redactor struct {
	mu     sync.RWMutex
	own    map[string]bool // replaced always
	found  map[string]bool // replaced unless they are public names as well
	public map[string]bool
}

// minSecret keeps short values, such as "1", from blotting out every text.
const minSecret = 6

// NewRedactor returns a redactor of the given values.
func NewRedactor(secrets []string) *Redactor {
	r := &Redactor{own: map[string]bool{}, found: map[string]bool{}, public: map[string]bool{}}
	r.Add(secrets...)
	return r
}

// Add adds values that are replaced wherever they occur.
func (r *Redactor) Add(secrets ...string) { r.add(func() map[string]bool { return r.own }, secrets) }

// AddFound adds values that were found in the project's containers. One that
// is a public name as well, such as the password "postgres" of a database of
// that name, stays readable: replacing it would hide no secret, and make names
// unreadable.
func (r *Redactor) AddFound(secrets ...string) {
	r.add(func() map[string]bool { return r.found }, secrets)
}

// Public adds names that anybody may see.
func (r *Redactor) Public(names ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range names {
		r.public[n] = true
	}
}

func (r *Redactor) add(to func() map[string]bool, secrets []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range secrets {
		for _, form := range formsOf(strings.TrimSpace(s)) {
			if len(form) >= minSecret {
				to()[form] = true
			}
		}
	}
}

// formsOf are the ways in which a message may write a secret: as it is, quoted,
// inside an address, and line by line.
func formsOf(s string) []string {
	quoted := strconv.Quote(s)
	forms := []string{s, quoted[1 : len(quoted)-1], url.QueryEscape(s), url.PathEscape(s), strings.ReplaceAll(s, "'", `'\''`)}
	if strings.Contains(s, "\n") {
		for line := range strings.Lines(s) {
			forms = append(forms, strings.TrimSpace(line))
		}
	}
	return forms
}

// Redact returns the text without secrets.
func (r *Redactor) Redact(text string) string {
	if r == nil {
		return text
	}
	return redactShapes(r.redactKnown(text))
}

// span is a part of a text, from and up to a byte.
type span struct{ from, to int }

// redactKnown replaces every occurrence of every secret. Where two overlap both
// go, so that of neither a rest remains.
func (r *Redactor) redactKnown(text string) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var hits []span
	find := func(secret string) {
		for at := 0; ; {
			i := strings.Index(text[at:], secret)
			if i < 0 {
				return
			}
			hits = append(hits, span{at + i, at + i + len(secret)})
			at += i + 1
		}
	}
	for s := range r.own {
		find(s)
	}
	for s := range r.found {
		if !r.public[s] {
			find(s)
		}
	}
	if len(hits) == 0 {
		return text
	}
	sort.Slice(hits, func(a, b int) bool { return hits[a].from < hits[b].from })
	return withoutSpans(text, hits)
}

// withoutSpans replaces spans, which are in the order of their beginnings.
func withoutSpans(text string, hits []span) string {
	var b strings.Builder
	done, open := 0, hits[0]
	flush := func() {
		b.WriteString(text[done:open.from])
		b.WriteString("***")
		done = open.to
	}
	for _, h := range hits[1:] {
		if h.from < open.to {
			open.to = max(open.to, h.to)
			continue
		}
		flush()
		open = h
	}
	flush()
	b.WriteString(text[done:])
	return b.String()
}

// shapes are what a secret looks like that nobody told us of. The first group
// stays, what follows it goes. Values that are only references, such as
// $PASSWORD, are no secrets.
var shapes = []*regexp.Regexp{
	// the password in an address
	regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s/?#:@'"]*:)[^\s/?#@'"]+(?:@)`),
	// PGPASSWORD=..., --password=..., api_key=...
	regexp.MustCompile(`(?i)((?:password|passwd|passphrase|secret|token|api_?key|access_?key|credentials?)[A-Z0-9_]*=)(?:"[^"$]+"|'[^']+'|[^\s"'$;&|)]+)`),
	// --password ...
	regexp.MustCompile(`(?i)(--?(?:password|passwd|passphrase|token|secret)\s+)(?:"[^"$]+"|'[^']+'|[^\s$"'-]\S*)`),
	// curl -u user:..., --user user:...
	regexp.MustCompile(`((?:^|\s)(?:-u|--user)[ =]?[^\s:$"']+:)[^\s$"']+`),
	// Authorization: Bearer ...
	regexp.MustCompile(`(?i)(authorization:\s*(?:bearer|basic)\s+)[^\s$"']+`),
}

func redactShapes(text string) string {
	for i, shape := range shapes {
		with := "${1}***"
		if i == 0 {
			with += "@"
		}
		text = shape.ReplaceAllString(text, with)
	}
	return text
}

// Redactor returns the app's redactor.
func (a *App) Redactor() *Redactor {
	if a.whole != nil {
		return a.whole.Redactor()
	}
	a.redactOnce.Do(func() { a.redact = NewRedactor(a.Settings.Secrets()) })
	return a.redact
}
