package archive

import (
	"bytes"
	"os"
	"slices"
	"time"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

// typeOf gives a node's type as walks name it, 0 for one that no walk gives.
func typeOf(n *repository.Node) volume.Type {
	switch n.Type {
	case repository.NodeFile:
		return volume.File
	case repository.NodeDir:
		return volume.Dir
	case repository.NodeSymlink:
		return volume.Symlink
	case repository.NodeDevice:
		return volume.BlockDevice
	case repository.NodeCharDevice:
		return volume.CharDevice
	case repository.NodeFIFO:
		return volume.FIFO
	case repository.NodeSocket:
		return volume.Socket
	}
	return 0
}

// kindOf gives a type's name in the format and its bits in Go's FileMode.
func kindOf(t volume.Type) (string, os.FileMode) {
	switch t {
	case volume.Dir:
		return repository.NodeDir, os.ModeDir
	case volume.Symlink:
		return repository.NodeSymlink, os.ModeSymlink
	case volume.BlockDevice:
		return repository.NodeDevice, os.ModeDevice
	case volume.CharDevice:
		return repository.NodeCharDevice, os.ModeDevice | os.ModeCharDevice
	case volume.FIFO:
		return repository.NodeFIFO, os.ModeNamedPipe
	case volume.Socket:
		return repository.NodeSocket, os.ModeSocket
	}
	return repository.NodeFile, 0
}

// goMode turns the kernel's permission bits into Go's.
func goMode(mode uint32) os.FileMode {
	m := os.FileMode(mode & 0o777)
	if mode&0o4000 != 0 {
		m |= os.ModeSetuid
	}
	if mode&0o2000 != 0 {
		m |= os.ModeSetgid
	}
	if mode&0o1000 != 0 {
		m |= os.ModeSticky
	}
	return m
}

// nodeOf makes the node of an entry, without content or subtree. exact is false
// when its times cannot be recorded as they are.
//
// The access time is recorded as the modification time: reading a file moves it
// where it is kept at all, and a tree that holds it would be stored anew by each
// run. Owners are numbers: their names belong to another /etc/passwd than ours.
func nodeOf(e *volume.Entry, device uint64) (n *repository.Node, exact bool) {
	kind, bits := kindOf(e.Type)
	mtime, ok1 := recordable(e.ModTime)
	ctime, ok2 := recordable(e.ChangeTime)
	n = &repository.Node{
		Name: e.Name(), Type: kind, Mode: goMode(e.Mode) | bits,
		ModTime: mtime, AccessTime: mtime, ChangeTime: ctime,
		UID: e.UID, GID: e.GID, Inode: e.Inode, DeviceID: device, Links: e.Links,
		LinkTarget: e.LinkTarget, Device: e.Rdev,
	}
	for _, x := range e.Xattrs {
		n.ExtendedAttributes = append(n.ExtendedAttributes, repository.ExtendedAttribute{Name: x.Name, Value: x.Value})
	}
	return n, ok1 && ok2
}

// The format's times are of the years 0 to 9999.
var (
	firstTime = volume.TimeOf(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC))
	endOfTime = volume.TimeOf(time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC))
)

// recordable gives the nearest time that the format can record.
func recordable(t volume.Time) (at time.Time, exact bool) {
	if t.Before(firstTime) {
		return firstTime.Time(), false
	}
	if endOfTime.Before(t) {
		return endOfTime.Time(), false
	}
	return t.Time(), true
}

// same says whether two nodes record the same.
func same(a, b *repository.Node) bool {
	return a.Name == b.Name && a.Type == b.Type && a.Mode == b.Mode &&
		a.ModTime.Equal(b.ModTime) && a.AccessTime.Equal(b.AccessTime) && a.ChangeTime.Equal(b.ChangeTime) &&
		a.UID == b.UID && a.GID == b.GID && a.User == b.User && a.Group == b.Group &&
		a.Inode == b.Inode && a.DeviceID == b.DeviceID && a.Size == b.Size && a.Links == b.Links &&
		a.LinkTarget == b.LinkTarget && a.Device == b.Device && a.Error == b.Error &&
		bytes.Equal(a.Unknown, b.Unknown) && slices.Equal(a.Content, b.Content) && sameTree(a.Subtree, b.Subtree) && sameAttributes(a, b)
}

func sameAttributes(a, b *repository.Node) bool {
	return slices.EqualFunc(a.ExtendedAttributes, b.ExtendedAttributes, func(x, y repository.ExtendedAttribute) bool {
		return x.Name == y.Name && bytes.Equal(x.Value, y.Value)
	})
}

func sameTree(a, b *repository.ID) bool {
	return a == b || a != nil && b != nil && *a == *b
}
