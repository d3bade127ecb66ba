// Package archive is the bridge between the stream of a volume and the trees of
// a repository.
//
// Save turns the events of a walk into trees, from the leaves up, and takes over
// from the parent snapshot what did not change: nodes of files whole, and the
// tree of a directory in which nothing did. Known tells the walk what the parent
// holds, and decides which of it may be trusted.
package archive
