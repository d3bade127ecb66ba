// Package state is what the sidecar keeps on disk between and during runs, in
// the named volume at /var/lib/ripplebak: the host's run lock, the journal,
// the record of past runs, and the folders of cache and spool.
//
// Invariants:
//
//   - Whatever must be undone or finished if we die is in the journal, on disk
//     and synced, before its first step is taken.
//   - A journal is changed and removed only by who holds the run lock.
//   - The run lock is a flock: it is gone with the process that held it,
//     however that process ended, and across the containers that share the
//     volume.
//   - Cache and spool may be deleted at any time between runs.
package state
