// Package docker is what ripplebak asks of the Docker Engine: to list and
// inspect containers and volumes, to run commands in containers with their
// streams, to stop and start services, and to run the throwaway containers
// that read and write volumes.
//
// It adapts the Engine's own client and hides its types. Two things it does
// itself, because the client's way loses errors: it upgrades the connection of
// an exec with a time limit and reads what a proxy answers instead, and it
// takes the multiplexed stream apart, so that a frame cut in half is an error
// and not the end.
//
// Calls that may be repeated are repeated, with growing pauses, while the
// Engine restarts. The streams of commands never are.
package docker
