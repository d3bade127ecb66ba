package repository

import (
	"os"
	"time"
)

// Types of nodes, restic's words.
const (
	NodeFile       = "file"
	NodeDir        = "dir"
	NodeSymlink    = "symlink"
	NodeDevice     = "dev"
	NodeCharDevice = "chardev"
	NodeFIFO       = "fifo"
	NodeSocket     = "socket"
	NodeIrregular  = "irregular"
)

// Node is an entry of a directory.
type Node struct {
	Name string // raw bytes; never empty, ".", "..", with "/" or NUL
	Type string // NodeFile, ...
	// Mode has Go's bits (os.ModeDir, os.ModeSetuid, ...), as the format asks.
	Mode                            os.FileMode
	ModTime, AccessTime, ChangeTime time.Time // kept to the nanosecond, years 0 to 9999
	UID, GID                        uint32
	User, Group                     string
	Inode, DeviceID                 uint64
	Size, Links                     uint64
	LinkTarget                      string // raw bytes
	ExtendedAttributes              []ExtendedAttribute
	Device                          uint64 // of device nodes, as Linux encodes st_rdev
	Content                         []ID   // of files
	Subtree                         *ID    // of directories
	Error                           string
	// Unknown holds members that this program does not know, as JSON
	// (`"key":value,...`), so that a node that is written again keeps them.
	Unknown []byte
}

// ExtendedAttribute is one xattr; both parts are raw bytes.
type ExtendedAttribute struct {
	Name  string
	Value []byte
}

// Tree is a directory: its nodes, strictly ascending by the bytes of their
// names.
type Tree struct {
	Nodes []*Node
}

// Find returns the node of that name, nil where there is none.
func (t *Tree) Find(name string) *Node {
	lo, hi := 0, len(t.Nodes)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		switch n := t.Nodes[mid]; {
		case n.Name == name:
			return n
		case n.Name < name:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return nil
}

// validName says whether a name can be an entry of a directory.
func validName(name string) bool {
	if name == "" || name == "." || name == ".." {
		return false
	}
	for i := 0; i < len(name); i++ {
		if name[i] == '/' || name[i] == 0 {
			return false
		}
	}
	return true
}
