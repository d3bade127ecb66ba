package manifest

import (
	"fmt"
	"strconv"
	"strings"
)

// The folders below the project's directory in a snapshot.
const (
	DumpsDir   = "dumps"
	VolumesDir = "volumes"
	BindsDir   = "binds"
	ConfigDir  = "config"
)

// Escape makes any name usable as one name of a file: the slash, control
// bytes and the percent sign are percent-escaped, and so are the names "."
// and "..". Other bytes stay, so that ordinary names stay readable.
func Escape(name string) string {
	if name == "." || name == ".." {
		return strings.ReplaceAll(name, ".", "%2E")
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c == '/' || c == '%' || c < 0x20 || c == 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
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

// Unescape reverses Escape. What Escape cannot have written stays as it is.
func Unescape(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] == '%' && i+2 < len(name) {
			if v, err := strconv.ParseUint(name[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(v))
				i += 2
				continue
			}
		}
		b.WriteByte(name[i])
	}
	return b.String()
}
