// Package dump knows how databases are dumped, proven and restored.
//
// It is pure: an engine builds the commands that somebody else runs inside
// the database's own container, and judges the bytes that come back. Nothing
// here runs a command, opens a file or knows of Docker.
//
// The commands resolve the database user and password inside the container,
// from its own environment, so that no secret is ever part of an argument
// list, a plan or a message.
package dump
