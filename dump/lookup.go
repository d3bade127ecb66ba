package dump

// What engines are beside an Engine. It is asked for when the program runs, and
// one that has lost a method would be taken for something else then.
var (
	_ FileEngine     = Etcd{}
	_ FileEngine     = Influx{}
	_ FileEngine     = Neo4j{}
	_ FileEngine     = Redis{}
	_ FileEngine     = Slapd{}
	_ VolumeEngine   = SQLite{}
	_ OfflineEngine  = Neo4j{}
	_ OfflineEngine  = Slapd{}
	_ InPlace        = Mongo{}
	_ InPlace        = ShellCommand{}
	_ RestoreChecker = ShellCommand{}
	_ Renamer        = Postgres{}
)

// Lookup finds an engine by the name that the label gives.
func Lookup(name string) (Engine, bool) {
	switch name {
	case Postgres{}.Name():
		return Postgres{}, true
	case MariaDB{}.Name():
		return MariaDB{}, true
	case MariaDB{MySQL: true}.Name():
		return MariaDB{MySQL: true}, true
	case Etcd{}.Name():
		return Etcd{}, true
	case Influx{}.Name():
		return Influx{}, true
	case Redis{}.Name():
		return Redis{}, true
	case Slapd{}.Name():
		return Slapd{}, true
	case SQLite{}.Name():
		return SQLite{}, true
	case Mongo{}.Name():
		return Mongo{}, true
	case Neo4j{}.Name():
		return Neo4j{}, true
	case ShellCommand{}.Name():
		return ShellCommand{}, true
	}
	return nil, false
}

// Names lists the engines that are built, in the order of the alphabet.
func Names() []string {
	return []string{ShellCommand{}.Name(), Etcd{}.Name(), Influx{}.Name(), MariaDB{}.Name(), MariaDB{MySQL: true}.Name(), Mongo{}.Name(), Neo4j{}.Name(), Postgres{}.Name(), Redis{}.Name(), Slapd{}.Name(), SQLite{}.Name()}
}
