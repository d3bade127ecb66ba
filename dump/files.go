package dump

import "errors"

// ErrLoading says that a server is still reading its data.
var ErrLoading = errors.New("the server is still loading its data")

// FileEngine is an Engine whose dump comes back as files: the server is
// stopped, the files take the place of its own, and it is started upon them.
// The old files stay aside until the server has come up with the new data. Of
// Engine's methods Restore, RestoreGlobals and Recover are not used then.
type FileEngine interface {
	Engine

	// Place says which files of the server a dump takes the place of. target is
	// nil where the server cannot be asked.
	Place(dumped Facts, target *Facts) (Placement, error)

	// Fits says whether the server can read a dump that was read back, to its
	// end, by a Proof of Judge.
	Fits(proof Proof, dumped Facts, target *Facts) error

	// Came says whether a server that was started upon the files has what the
	// proof has seen, or what was recorded of the one that was dumped, and what
	// there is to note about it. ErrLoading: not yet.
	Came(proof Proof, dumped, now Facts) (notes []string, err error)
}

// Placement says where a dump goes.
type Placement struct {
	// Volume is the key of the volume in which everything lies, where that is
	// known. Then no server has to come up with the dump.
	Volume string
	// Dir is the directory in which Files and Remove lie: inside the container,
	// or from the root of Volume.
	Dir string
	// Files are names in Dir, each of which becomes the dump.
	Files []string
	// Remove are names in Dir that would have the server load something else.
	Remove []string
	// Owner is to whom the files are to belong; nil: to whom what they replace
	// belongs, or their directory.
	Owner *Owner
	// Empty are directories inside the container of which all content goes
	// aside, to come back with the rest; for Load to fill.
	Empty []string
	// Load are commands that make the new data, one after the other, in a double
	// of the service's container while that is down. The first that fails ends
	// the restore, and the old comes back.
	Load []Step
}
