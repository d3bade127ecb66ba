package dump

// Renamer is an engine that can restore a database beside the old one, under
// another name: it honours RestoreRequest.NewName, and touches nothing that has
// another name. An engine that is none must not be asked for it.
type Renamer interface {
	// CheckNewName says whether a server can take a database of that name.
	CheckNewName(name string, target Facts) error
}

// AsRenamer gives an engine as one that can rename.
func AsRenamer(e Engine) (Renamer, bool) {
	r, ok := e.(Renamer)
	return r, ok
}
