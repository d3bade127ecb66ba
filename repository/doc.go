// Package repository reads and writes repositories in restic's format: version
// 2 is written, versions 1 and 2 are read. Stock restic can check, list and
// restore what this package writes, and the reverse.
//
// A [Repository] is opened for reading with [Open]. It knows every blob by its
// index ([Repository.LoadIndex]) and loads blobs, trees and snapshots; nothing
// that it returns was not authenticated and compared with the ID that it was
// asked for by.
//
// A [Writer] adds to a repository. Content goes through a fixed pipeline: the
// caller cuts a file into chunks ([FileWriter]), workers hash them, drop those
// that are known, compress, compare and seal the rest straight into packs, and
// uploaders store whole packs. Every stage holds a fixed number of buffers, so
// memory does not grow with the data, and a storage that stalls holds the
// caller back. Packs come first, then the index files that name them, then the
// snapshot, by one PUT: before that nothing of the run is visible.
//
// Nothing here can delete a file of the repository other than a lock.
package repository
