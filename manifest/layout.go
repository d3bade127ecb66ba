package manifest

import "github.com/ripplebak/ripplebak/dump"

// The folders below the project's directory in a snapshot.
const (
	DumpsDir   = "dumps"
	VolumesDir = "volumes"
	BindsDir   = "binds"
	ConfigDir  = "config"
)

// Escape makes any name usable as one name of a file, as the names of dumps
// are made too.
func Escape(name string) string { return dump.EscapeName(name) }

// Unescape reverses Escape. What Escape cannot have written stays as it is.
func Unescape(name string) string {
	plain, err := dump.UnescapeName(name)
	if err != nil {
		return name
	}
	return plain
}

// Path is where an item lies below the project's directory, as names of
// directories. A dump's path is its service's folder; its files are in
// DumpInfo.
func (i Item) Path() []string {
	switch i.Kind {
	case Dump:
		return []string{DumpsDir, Escape(i.Service)}
	case Volume:
		return []string{VolumesDir, Escape(i.Name)}
	case Bind:
		return []string{BindsDir, Escape(i.Service), Escape(i.Name)}
	default:
		return []string{ConfigDir}
	}
}
