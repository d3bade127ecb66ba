package sidecar

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/volume"
)

// What a restore says of its proofs, and of what it did not touch.

// took puts into an item's report what became of a volume.
func took(out *RestoredItem, rep *volume.RestoreReport) {
	out.Bytes, out.Fetched = rep.BytesFetched+rep.BytesReused, rep.BytesFetched
	out.Files = rep.Created + rep.Replaced + rep.MetadataOnly
	out.Removed, out.Unchanged = rep.Removed, rep.Unchanged
	out.Compared, out.Intact = rep.Compared, rep.Intact
	out.Verified = append(out.Verified, fmt.Sprintf("%d bytes from the repository, each blob authenticated", rep.BytesFetched))
	if rep.Compared > 0 {
		out.Verified = append(out.Verified, fmt.Sprintf("%d files in place compared by content", rep.Compared))
	}
	if rep.Intact > 0 {
		out.Verified = append(out.Verified, fmt.Sprintf("%d files not read, for size, times and inode are as recorded; --verify-all reads them", rep.Intact))
	}
	out.LeftAlone = append(out.LeftAlone, byReason(rep.Skipped, rep.SkippedCount)...)
	out.LeftAlone = append(out.LeftAlone, byReason(rep.Left, rep.LeftCount)...)
	out.Notes = append(out.Notes, rep.Warnings...)
}

// namedPaths is how many paths of one reason are named.
const namedPaths = 3

// byReason says what was left, a line for each reason. The list may be the first
// of so many only.
func byReason(list []volume.Skip, count int64) []string {
	var reasons []string
	paths := map[string][]string{}
	for _, s := range list {
		if paths[s.Reason] == nil {
			reasons = append(reasons, s.Reason)
		}
		paths[s.Reason] = append(paths[s.Reason], s.Path)
	}
	var out []string
	for _, why := range reasons {
		its := paths[why]
		text := "/" + strings.Join(its[:min(len(its), namedPaths)], ", /")
		if len(its) > namedPaths {
			text += fmt.Sprintf(" and %d more", len(its)-namedPaths)
		}
		out = append(out, text+": "+why)
	}
	if more := count - int64(len(list)); more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return out
}

// provenDump puts into an item's report how its dump was proven, and what the
// engine counts in it.
func (r *restore) provenDump(key string, out *RestoredItem) {
	proof := r.proofs[key]
	if proof == nil {
		return
	}
	out.Verified = append(out.Verified, "the dump was read and proven before anything was touched: "+r.app.Redactor().Redact(proof.Summary()))
	if c, ok := proof.(dump.Counter); ok {
		out.Counts = c.Counts()
	}
}

// finishReport adds what is known at the end only.
func (r *restore) finishReport() {
	for _, it := range r.plan.Items {
		if it.Kind == manifest.Dump && it.Name == "" && !r.opt.Globals {
			r.report.LeftAlone = append(r.report.LeftAlone, it.Key+": roles that exist keep their passwords and attributes, without --globals")
		}
	}
	for _, s := range r.notStarted() {
		r.report.LeftAlone = append(r.report.LeftAlone, fmt.Sprintf("service %q was not started: it did not run before", s))
	}
	for _, s := range servicesOf(r.journal.Quiesced) {
		r.report.LeftAlone = append(r.report.LeftAlone, fmt.Sprintf("service %q was stopped and does not run again yet", s))
	}
	changed := slices.ContainsFunc(r.report.Items, func(i RestoredItem) bool { return i.Restored || r.unsettled[i.Key] != "" })
	if r.report.Safety != "" && r.noted && changed && (!r.opt.Rollback || r.complete()) {
		r.report.Undo = r.app.ownCommand(r.host, "restore --rollback")
	}
}

// complete says whether all items of the plan were restored.
func (r *restore) complete() bool {
	return !slices.ContainsFunc(r.plan.Items, func(it plan.RestoreItem) bool {
		return !slices.ContainsFunc(r.report.Items, func(done RestoredItem) bool { return done.Key == it.Key && done.Restored })
	})
}

// notStarted are the services that no container of ran before.
func (r *restore) notStarted() []string {
	var out []string
	for _, s := range r.found.project.Services {
		up := slices.ContainsFunc(s.Containers, func(c compose.Container) bool { return c.State == compose.StateRunning })
		if len(s.Containers) > 0 && !up && !r.isOwn(s) {
			out = append(out, s.Name)
		}
	}
	return out
}

func (r *restore) isOwn(s compose.Service) bool {
	return r.host.self != nil && s.Name == r.host.ownService() && r.host.self.Project() == r.host.project
}

// ownCommand is a command of ours as it is run here.
func (a *App) ownCommand(h *host, args string) string {
	if a.oneOf != "" {
		args += " --project " + a.oneOf
	}
	if service := h.ownService(); service != "" {
		return "docker compose run --rm " + service + " " + args
	}
	return "ripplebak " + args
}
