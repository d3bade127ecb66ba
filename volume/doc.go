// Package volume turns a directory tree into a stream and back.
//
// It has two ends. The helper's end runs inside a throwaway container that
// has the volume mounted and nothing else: it walks the tree, reads what
// changed and sends it, or receives what is to be restored. The sidecar's end
// asks for it and takes the stream, and lets its end through only when the
// proof that nothing is missing was seen. Between them is one Unix socket in
// a directory that both mount.
//
// The layers, from the bottom up:
//
//   - stream (conn.go): one job on a connection; two directions of frames,
//     each ended by an end frame, so that a connection that breaks is never
//     taken for the end of the data.
//   - Listener, Pending, Peer, ServeHelper: who may connect, and which job
//     runs on which connection.
//   - the walk: a tree read in a fixed order (pre-order, names ascending by raw
//     bytes), merged with what the parent snapshot holds, so that for an
//     unchanged file only its name travels.
//   - the wire form of a walk: PAX tar with content in segments whose size is
//     known before they are sent and an end record with the count and the hash
//     of all that came before.
//   - Walk, Spool: the sidecar's reader, and the bounded, sealed buffer that
//     lets a stopped service start before its data has been stored.
//
// The package knows nothing of Docker and nothing of the repository.
package volume
