package sidecar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/volume"
)

// undumpedTime bounds how long a plan waits for what it only mentions.
const undumpedTime = 10 * time.Second

// undumped looks for databases of SQLite that would be copied as files while
// they are written to, and says so. That it could not look is said too: it is
// no reason not to show the plan.
func (a *App) undumped(ctx context.Context, h *host, p *plan.Plan) (warnings []string) {
	items := p.Undumped()
	if len(items) == 0 || !h.hasSocket() || len(p.Problems) > 0 {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, undumpedTime, fmt.Errorf("it took more than %s", undumpedTime))
	defer cancel()
	warnings, err := a.searchUndumped(ctx, h, items)
	if err != nil {
		warnings = append(warnings, fmt.Sprintf("databases of SQLite were not looked for in every volume: %v", err))
	}
	return warnings
}

func (a *App) searchUndumped(ctx context.Context, h *host, items []plan.Item) (warnings []string, err error) {
	var names []string
	for _, it := range items {
		names = append(names, it.Volume.Docker)
	}
	l, err := volume.Listen(a.Settings.RunDir)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	c, err := a.startHelper(ctx, h, l, newRunID(), names, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close(ctx)) }()
	for i, it := range items {
		found, err := c.peer.FindDatabases(ctx, c.mountPoint(i), []string{""}, it.Volume.Exclude)
		if err != nil {
			return warnings, fmt.Errorf("%s: %w", it.Key, err)
		}
		var paths []string
		for _, f := range found.Files {
			paths = append(paths, f.Path)
		}
		if len(paths) > 0 {
			a.Redactor().Public(paths...)
			warnings = append(warnings, plan.UndumpedWarning(it, paths))
		}
	}
	return warnings, nil
}
