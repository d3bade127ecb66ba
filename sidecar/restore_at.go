package sidecar

import (
	"errors"
	"fmt"
	"time"

	"github.com/ripplebak/ripplebak/repository"
)

// errFuture refuses a time that has not come: it is a slip of the pen, and what
// was made before it is what is there now.
var errFuture = errors.New("lies in the future")

// madeBefore are the snapshots that were made at a time or before it. A
// snapshot's time is when its run began, to the second, as it is listed.
func (a *App) madeBefore(list []*snapshot, project string, at time.Time) ([]*snapshot, error) {
	if at.IsZero() || len(list) == 0 {
		return list, nil
	}
	zone := a.Settings.Location
	if now := a.Now(); at.After(now) {
		return nil, fmt.Errorf("%s %w: now it is %s", at.In(zone).Format(time.RFC3339), errFuture, now.In(zone).Format(time.RFC3339))
	}
	for i, s := range list {
		if !s.Time.Truncate(time.Second).After(at) {
			return list[i:], nil
		}
	}
	first := list[len(list)-1]
	return nil, fmt.Errorf("%w: project %q has none that was made before %s; the first is %s of %s",
		repository.ErrNoSnapshot, project, at.In(zone).Format(time.RFC3339), first.ID.Short(), first.Time.In(zone).Format(time.RFC3339))
}
