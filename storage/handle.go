package storage

import (
	"encoding/hex"
	"fmt"
	"time"
)

// Kind is the kind of a repository file; it decides where the file lies.
type Kind uint8

// The kinds of files that a repository has.
const (
	ConfigFile   Kind = iota + 1 // the one file "config"
	KeyFile                      // keys/NAME
	LockFile                     // locks/NAME
	SnapshotFile                 // snapshots/NAME
	IndexFile                    // index/NAME
	PackFile                     // data/NA/NAME
)

// Kinds returns all kinds, for those who walk a whole repository.
func Kinds() []Kind {
	return []Kind{ConfigFile, KeyFile, LockFile, SnapshotFile, IndexFile, PackFile}
}

// String names the kind as messages do.
func (k Kind) String() string {
	switch k {
	case ConfigFile:
		return "config"
	case KeyFile:
		return "key"
	case LockFile:
		return "lock"
	case SnapshotFile:
		return "snapshot"
	case IndexFile:
		return "index"
	case PackFile:
		return "pack"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Valid says whether k is one of the kinds above.
func (k Kind) Valid() bool { return k >= ConfigFile && k <= PackFile }

// Dir returns the folder of the kind, without slashes at its ends. For
// ConfigFile, which lies at the root, it is empty.
func (k Kind) Dir() string {
	switch k {
	case KeyFile:
		return "keys"
	case LockFile:
		return "locks"
	case SnapshotFile:
		return "snapshots"
	case IndexFile:
		return "index"
	case PackFile:
		return "data"
	}
	return ""
}

// nameLen is the length of a file's name: a SHA-256 in hex.
const nameLen = 64

// Handle names one repository file.
type Handle struct {
	Kind Kind
	Name string // 64 lower-case hex digits; empty for ConfigFile
}

// Valid returns an error wrapping [ErrInvalid] unless the kind is known and
// the name is one that such a file can have. No path can be smuggled in.
func (h Handle) Valid() error {
	if !h.Kind.Valid() {
		return fmt.Errorf("%w: %s", ErrInvalid, h.Kind)
	}
	if h.Kind == ConfigFile {
		if h.Name != "" {
			return fmt.Errorf("%w: config has no name", ErrInvalid)
		}
		return nil
	}
	if !ValidName(h.Name) {
		return fmt.Errorf("%w: %s name %.80q is not 64 lower-case hex digits", ErrInvalid, h.Kind, h.Name)
	}
	return nil
}

// ValidName says whether name is 64 lower-case hex digits.
func ValidName(name string) bool {
	if len(name) != nameLen {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Path returns the place of the file below the repository's root, in restic's
// default layout, with slashes.
func (h Handle) Path() string {
	switch h.Kind {
	case ConfigFile:
		return "config"
	case PackFile:
		if len(h.Name) < 2 {
			return "data/" + h.Name
		}
		return "data/" + h.Name[:2] + "/" + h.Name
	}
	return h.Kind.Dir() + "/" + h.Name
}

// String names the file in messages: the kind and the first digits.
func (h Handle) String() string {
	if h.Kind == ConfigFile {
		return "config"
	}
	name := h.Name
	if len(name) > 12 {
		name = name[:12]
	}
	return h.Kind.String() + " " + name
}

// HandleAt is the reverse of Path. It is false for every path that is not
// exactly the place of a repository file.
func HandleAt(path string) (Handle, bool) {
	if path == "config" {
		return Handle{Kind: ConfigFile}, true
	}
	if len(path) < nameLen {
		return Handle{}, false
	}
	name := path[len(path)-nameLen:]
	for k := KeyFile; k <= PackFile; k++ {
		h := Handle{Kind: k, Name: name}
		if h.Path() == path && ValidName(name) {
			return h, true
		}
	}
	return Handle{}, false
}

// id packs a valid name into 32 bytes.
func id(name string) (out [nameLen / 2]byte) {
	// The name was validated: decoding cannot fail.
	_, _ = hex.Decode(out[:], []byte(name))
	return out
}

// Info is what a listing says about a file.
type Info struct {
	Name string // as in Handle
	Size int64  // bytes
	// Modified is when it was stored, by the storage's clock, where a listing
	// says so; else zero.
	Modified time.Time
}
