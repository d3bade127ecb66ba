// Package dockertest is a strict fake of the Docker Engine for tests: an HTTP
// server on a Unix socket that holds containers, volumes and images in memory,
// answers exactly the calls that package docker makes, and fails the test on
// any other.
//
// Commands are Go functions. Faults are armed with Engine.Fail: a call that is
// refused, dropped or never answered, a stream that is cut, loses its tail or
// is not upgraded. A fault that was armed and never hit fails its test.
//
// The fake understands the two shell scripts that package docker wraps around
// commands, and runs no shell.
package dockertest
