// Package sidecar is the orchestrator: it discovers the project, has a plan
// made, carries it out, and brings things back. It is the only package that
// knows Docker, volumes, dumps and the repository at once.
//
// What holds, whatever happens:
//
//   - A snapshot is written only when everything that it counts as good has
//     been proven.
//   - A service is stopped only after its name is in the journal, and is
//     brought back before anything that can wait.
//   - A restore overwrites nothing before everything that it needs was found,
//     read and authenticated.
//   - Nothing here can delete from a repository: no storage.Remover is ever
//     held.
package sidecar
