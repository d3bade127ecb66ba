// Package rest keeps a repository behind a server that speaks restic's REST
// protocol, version 1 or 2: restic's own rest-server, "rclone serve restic", and
// others. The protocol is described in restic's documentation
// (https://restic.readthedocs.io/en/stable/REST_backend.html).
//
// A file is stored by one POST whose size is known before it starts. The answer
// to it proves nothing, so what was stored is looked at afterwards: its size
// always, its content where it is small or the turn has come. Nothing here is
// tried twice: that is for [storage.Retry].
package rest
