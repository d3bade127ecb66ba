// Package retention decides which snapshots of a project are kept.
//
// The words of a policy are restic's and mean what "restic forget" makes of
// them: one snapshot for each of so many hours, days, ISO weeks, months or
// years that have one, by the calendar of the snapshot's own zone; everything
// within a span of the newest; and the oldest while counts remain. "quarterly",
// by calendar quarters, is ours.
//
// What holds for every [Decision], whatever the policy says:
//
//   - An empty policy removes nothing.
//   - A snapshot is judged once for every item that is stored in it, among the
//     snapshots with that item and by the item's own policy, and stays when one
//     of these keeps it. So a backup of one service pushes out none of another.
//   - Incomplete snapshots never push out complete ones.
//   - A minimum of good snapshots stays, and of every item the newest good one.
//   - Snapshots whose time cannot be right stay, and count for nothing.
//   - Pinned ones stay.
//
// The package is pure: it knows neither the repository nor Docker, and the
// clock is handed in.
package retention
