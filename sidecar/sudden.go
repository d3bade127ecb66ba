package sidecar

import (
	"time"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/retention"
)

// marksOf is how much there was of an item in the last runs in which it was
// good, the newest first.
func (p *parents) marksOf(key string) []manifest.Mark {
	if p == nil {
		return nil
	}
	return p.marks[key]
}

// marksWith are the marks of an item together with those that its manifest
// brought along, so that one manifest tells of several runs.
func marksWith(it manifest.Item, at time.Time) []manifest.Mark {
	marks := append([]manifest.Mark{{Time: at, Bytes: it.Bytes, Files: it.Files}}, it.Recent...)
	return marks[:min(len(marks), retention.MarksCompared)]
}

// suddenly says whether an item differs so much from what it was that
// something is likely to be wrong. What was so when somebody last looked, by
// running forget, is not compared with what was before.
func (a *App) suddenly(before []manifest.Mark, it manifest.Item) (string, bool) {
	var reviewed time.Time
	if h, err := a.at().History(); err == nil {
		reviewed = h.Reviewed
	}
	var marks []retention.Mark
	for _, m := range before {
		if !m.Time.Before(reviewed) {
			marks = append(marks, retention.Mark{Bytes: m.Bytes, Files: m.Files})
		}
	}
	return retention.Changed(marks, retention.Mark{Bytes: it.Bytes, Files: it.Files}, a.Settings.ShrinkLimit)
}
