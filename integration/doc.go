// Package integration tests the shipped image against a real Docker Engine,
// real databases, a real S3 server, and the real restic as the judge of what
// lies in the repository.
//
// scripts/integration.sh builds what the tests need and tells them by the
// variables INTEGRATION_...; "make integration RUN=REGEXP" runs some of them.
// Each test works on a Compose project of its own, with a name of its own, and
// takes it down again.
package integration
