package sidecar

import (
	"fmt"
	"strings"

	"github.com/ripplebak/ripplebak/storage/location"
)

// sayUnlockedCopies warns where somebody may think that copies in S3 are locked
// as the repository is.
func (a *App) sayUnlockedCopies() {
	if a.Settings.S3Lock == "" {
		return
	}
	var names []string
	for _, c := range a.Settings.Copies {
		if loc, err := location.Parse(c.Repository); err == nil && loc.S3 != nil { // a bad one is said when it is opened
			names = append(names, c.Name)
		}
	}
	if len(names) > 0 {
		a.Log.Warn().Msg(fmt.Sprintf("RIPPLEBAK_S3_LOCK does not lock what is stored in copies (%s): give their buckets a default retention", strings.Join(names, ", ")))
	}
}
