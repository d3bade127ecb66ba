package dump

// Lookup finds an engine by the name that the label gives.
func Lookup(name string) (Engine, bool) {
	switch name {
	case Postgres{}.Name():
		return Postgres{}, true
	case MariaDB{}.Name():
		return MariaDB{}, true
	case MariaDB{MySQL: true}.Name():
		return MariaDB{MySQL: true}, true
	case Redis{}.Name():
		return Redis{}, true
	}
	return nil, false
}

// Names lists the engines that are built, in the order of the alphabet.
func Names() []string {
	return []string{MariaDB{}.Name(), MariaDB{MySQL: true}.Name(), Postgres{}.Name(), Redis{}.Name()}
}
