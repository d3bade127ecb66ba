package volume

import (
	"bytes"
	"encoding/binary"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dirent is one name of a directory. The name is a part of the buffer that the
// kernel filled, where a zero byte follows it.
type dirent struct {
	name []byte
	typ  Type // 0: the filesystem does not say
}

// nameZ is the name with its zero byte.
func (d dirent) nameZ() []byte { return d.name[: len(d.name)+1 : len(d.name)+1] }

// text is the name as a string that shares its memory.
func (d dirent) text() string { return unsafe.String(unsafe.SliceData(d.name), len(d.name)) }

const (
	firstListing = 8 << 10
	maxListing   = 256 << 10
	direntHead   = 19 // inode, offset, record length, type
)

// list gives the names of a directory, ascending by raw bytes, without "." and
// "..". All names of a directory are held at a time: they cannot be sorted
// otherwise. What was read before an error is returned with it.
func list(fd int) ([]dirent, error) {
	var out []dirent
	var fail error
	var buf []byte
	size := firstListing
	for {
		if len(buf) < 512 {
			buf = make([]byte, size)
			size = min(size*2, maxListing)
		}
		n, err := ignoringEINTR(func() (int, error) { return unix.Getdents(fd, buf) })
		if err == unix.EINVAL && len(buf) < maxListing {
			buf, size = nil, maxListing // a record larger than what was left
			continue
		}
		if err != nil {
			fail = err
			break
		}
		if n == 0 {
			break
		}
		out = appendDirents(out, buf[:n:n])
		buf = buf[n:]
	}
	slices.SortFunc(out, func(a, b dirent) int { return bytes.Compare(a.name, b.name) })
	out = slices.CompactFunc(out, func(a, b dirent) bool { return bytes.Equal(a.name, b.name) })
	return out, fail
}

func appendDirents(out []dirent, buf []byte) []dirent {
	for len(buf) > direntHead {
		length := int(binary.NativeEndian.Uint16(buf[16:]))
		if length <= direntHead || length > len(buf) {
			return out
		}
		rec := buf[:length:length]
		buf = buf[length:]
		end := bytes.IndexByte(rec[direntHead:], 0)
		if end <= 0 {
			continue
		}
		name := rec[direntHead : direntHead+end : length]
		if name[0] == '.' && (len(name) == 1 || len(name) == 2 && name[1] == '.') {
			continue
		}
		out = append(out, dirent{name: name, typ: direntType(rec[18])})
	}
	return out
}

func direntType(t byte) Type {
	switch t {
	case unix.DT_REG:
		return File
	case unix.DT_DIR:
		return Dir
	case unix.DT_LNK:
		return Symlink
	case unix.DT_CHR:
		return CharDevice
	case unix.DT_BLK:
		return BlockDevice
	case unix.DT_FIFO:
		return FIFO
	case unix.DT_SOCK:
		return Socket
	}
	return 0
}
