package sidecar

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// recovery is what a manifest says of how to get at the snapshot again.
func (r *run) recovery() *manifest.Recovery {
	out := &manifest.Recovery{Repository: r.vault.store.Reader().Location()}
	for _, c := range r.app.Settings.Credentials() {
		out.Credentials = append(out.Credentials, manifest.Credential{Name: c.Name, File: c.File})
	}
	if self := r.host.self; self != nil {
		out.Sidecar = r.host.ownService()
		out.Folder = self.Labels[compose.LabelWorkingDir]
		if files := self.Labels[compose.LabelConfigs]; files != "" {
			out.Files = strings.Split(files, ",")
		}
	}
	if r.host.state == nil {
		return out
	}
	if h, err := r.host.state.History(); err == nil && len(h.Restores) > 0 { // one that cannot be read is said elsewhere
		out.Restores = map[string]manifest.Measured{}
		for key, m := range h.Restores {
			out.Restores[key] = manifest.Measured{Seconds: m.Seconds, Bytes: m.Bytes}
		}
	}
	return out
}

// remember keeps how long items took to restore, for the next runbook. What
// cannot be kept is worth a warning only.
func (r *restore) remember() {
	took := map[string]state.Measured{}
	for _, it := range r.report.Items {
		if i, ok := r.plan.Item(it.Key); ok && it.Restored && len(i.Paths) == 0 && it.Bytes > 0 {
			took[it.Key] = state.Measured{Seconds: it.Seconds, Bytes: it.Bytes}
		}
	}
	if len(took) == 0 || r.host.state == nil {
		return
	}
	err := r.app.updateHistory(r.host.state, func(h *state.History) {
		if h.Restores == nil {
			h.Restores = map[string]state.Measured{}
		}
		maps.Copy(h.Restores, took)
	})
	if err != nil {
		r.app.Log.Warn().Msg(r.app.Redactor().Redact("how long the restore took cannot be kept: " + err.Error()))
	}
}

// addMeasured adds what restores since the snapshot have measured here.
func (a *App) addMeasured(m *manifest.Manifest, project string) {
	dir := a.at()
	if a.Settings.Several() {
		dir = dir.Of(project)
	}
	h, err := dir.History()
	if err != nil || h.LastRestore == nil || h.LastRestore.Project != project || m.Recovery == nil {
		return // the manifest's own are as good
	}
	if m.Recovery.Restores == nil {
		m.Recovery.Restores = map[string]manifest.Measured{}
	}
	for key, took := range h.Restores {
		m.Recovery.Restores[key] = manifest.Measured{Seconds: took.Seconds, Bytes: took.Bytes}
	}
}

// RunbookReport is a recovery document.
type RunbookReport struct {
	Snapshot string    `json:"snapshot"`
	Time     time.Time `json:"time"`
	Project  string    `json:"project"`
	Markdown string    `json:"markdown"`
}

// Runbook writes how to recover the project, going by a snapshot's manifest. For
// "latest" its commands take the newest of each item, else that snapshot. It
// needs no Docker.
func (a *App) Runbook(ctx context.Context, prefix string) (report *RunbookReport, err error) {
	ctx, v, err := a.look(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = v.ended(ctx, err) }()
	found, err := a.findSnapshot(ctx, v.repo, prefix)
	if err != nil {
		return nil, err
	}
	project := projectOf(&found.Snapshot, "")
	m, err := loadManifest(ctx, v.repo, &found.Snapshot, project)
	if errors.Is(err, errNoManifest) {
		return nil, fmt.Errorf("snapshot %s was not made by ripplebak: %w", found.ID.Short(), err)
	}
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", found.ID.Short(), err)
	}
	a.addMeasured(m, project)
	named := ""
	if prefix != "latest" {
		named = found.ID.Short()
	}
	return &RunbookReport{
		Snapshot: found.ID.String(), Time: found.Time, Project: project,
		Markdown: a.Redactor().Redact(string(m.Runbook(named))),
	}, nil
}
