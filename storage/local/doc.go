// Package local keeps a repository in a directory, in the layout that restic
// uses, so that stock restic opens it where it lies.
//
// A file is written below tmp/, synced, renamed to its name and its folder
// synced: what bears a name is whole and on disk. All paths are resolved below
// the opened directory by the kernel; a symbolic link that leads out of it is
// refused.
package local
