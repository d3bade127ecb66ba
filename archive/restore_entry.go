package archive

import (
	"crypto/sha256"
	"os"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

// entryOf makes the entry of a node, the inverse of nodeOf.
func entryOf(n *repository.Node, path string) volume.Entry {
	e := volume.Entry{
		Path: path, Type: typeOf(n), Mode: unixMode(n.Mode), UID: n.UID, GID: n.GID,
		ModTime: volume.TimeOf(n.ModTime), AccessTime: volume.TimeOf(n.AccessTime), ChangeTime: volume.TimeOf(n.ChangeTime),
		Inode: n.Inode, Links: n.Links,
	}
	switch e.Type {
	case volume.File:
		e.Size = int64(n.Size)
	case volume.Symlink:
		e.LinkTarget = n.LinkTarget
	case volume.CharDevice, volume.BlockDevice:
		e.Rdev = n.Device
	}
	for _, x := range n.ExtendedAttributes {
		e.Xattrs = append(e.Xattrs, volume.Xattr{Name: x.Name, Value: x.Value})
	}
	return e
}

// unixMode turns Go's permission bits into the kernel's.
func unixMode(m os.FileMode) uint32 {
	mode := uint32(m.Perm())
	if m&os.ModeSetuid != 0 {
		mode |= 0o4000
	}
	if m&os.ModeSetgid != 0 {
		mode |= 0o2000
	}
	if m&os.ModeSticky != 0 {
		mode |= 0o1000
	}
	return mode
}

// zeroBlobs gives the IDs of blobs that are nothing but zeros and of a length
// that holes are recorded with: a run of zeros becomes blobs of 512 KiB, and
// pages are powers of two.
func zeroBlobs() map[repository.ID]bool {
	out := map[repository.ID]bool{}
	zeros := make([]byte, 512<<10)
	for n := len(zeros); n >= 4<<10; n /= 2 {
		out[sha256.Sum256(zeros[:n])] = true
	}
	return out
}
