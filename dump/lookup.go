package dump

// Lookup finds an engine by the name that the label gives.
func Lookup(name string) (Engine, bool) {
	switch name {
	case Postgres{}.Name():
		return Postgres{}, true
	}
	return nil, false
}

// Names lists the engines that are built, in the order of the alphabet.
func Names() []string { return []string{Postgres{}.Name()} }
