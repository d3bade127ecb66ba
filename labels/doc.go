// Package labels is the grammar of the ripplebak.* labels: a map of strings
// goes in, a typed specification of what to save comes out, or a list of
// problems that each name the service, the label, what is wrong with it and
// the nearest thing that would be right.
//
// The package is pure. It knows nothing of containers, of Compose or of
// repositories, it reads no clock and no file, and it runs nothing. What a
// label may say is bounded here: its length, its characters, the names it may
// choose among. A value that passes never needs to be checked again for
// control characters, for a leading dash or for a connection string.
package labels
