package dump

import "errors"

// InPlace is an Engine whose restore changes the old data where it lies, so
// that one which fails, or is interrupted, leaves what nobody can tell: it has
// to be run again. Of Engine's methods Recover and Leftovers are not used then.
type InPlace interface {
	Engine

	// InPlace says, for the plan of a restore, what command changes the data,
	// and what becomes of the old data if it fails. req is what the labels of
	// today say, dumped is of the server that was dumped.
	InPlace(item string, req Request, dumped Facts) (command, note string)
}

// RestoreChecker is an Engine that can say by the labels alone, with nobody
// asked, that a dump cannot come back.
type RestoreChecker interface {
	CheckRestore(Request) error
}

// errInPlace says that an InPlace was asked what an interrupted restore left.
var errInPlace = errors.New("nobody can tell what its interrupted restore left: it has to be run again")
