// Package sqlite copies and checks database files of SQLite.
//
// It runs in a helper, in a process of its own that is the owner of the file
// and nobody else: what it reads is hostile. Nothing else of the program opens
// a database.
package sqlite
