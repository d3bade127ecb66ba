package archive

import (
	"encoding/binary"
	"testing"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

func TestTheCutFollowsTheContent(t *testing.T) {
	at := func(offset int, magic string) []byte {
		head := make([]byte, headSize)
		copy(head[offset:], magic)
		return head
	}
	heap := make([]byte, headSize)
	for i, v := range map[int]uint16{12: 100, 14: 200, 16: 8192, 18: 8192 | 4} {
		binary.LittleEndian.PutUint16(heap[i:], v)
	}
	space := make([]byte, headSize)
	binary.BigEndian.PutUint16(space[24:], 8)
	copy(space[34:], "\x00\x00\x00\x05\x00\x00\x00\x05")
	paged := &repository.Node{Type: repository.NodeFile, Inode: 7, Size: 300 << 20, Content: make([]repository.ID, 4800)}
	whole := &repository.Node{Type: repository.NodeFile, Inode: 7, Size: 300 << 20, Content: make([]repository.ID, 300)}
	other := &repository.Node{Type: repository.NodeFile, Inode: 8, Size: 300 << 20}
	for name, c := range map[string]struct {
		size   int64
		head   []byte
		before *repository.Node
		want   repository.Cut
	}{
		"text":                   {5 << 20, at(0, "hello"), nil, repository.CutFile},
		"SQLite":                 {5 << 20, at(0, "SQLite format 3\x00"), nil, repository.CutPages},
		"a small SQLite":         {100 << 10, at(0, "SQLite format 3\x00"), nil, repository.CutFile},
		"qcow2":                  {5 << 20, at(0, "QFI\xfb"), nil, repository.CutPages},
		"LMDB":                   {5 << 20, at(16, "\xde\xc0\xef\xbe"), nil, repository.CutPages},
		"PostgreSQL":             {8 << 20, heap, nil, repository.CutPages},
		"PostgreSQL, odd size":   {8<<20 + 1, heap, nil, repository.CutFile},
		"InnoDB":                 {8 << 20, space, nil, repository.CutPages},
		"disk":                   {64 << 20, at(510, "\x55\xaa"), nil, repository.CutPages},
		"zeros":                  {64 << 20, make([]byte, headSize), nil, repository.CutFile},
		"a short head":           {5 << 20, []byte("S"), nil, repository.CutFile},
		"no head":                {5 << 20, nil, nil, repository.CutFile},
		"large, new":             {300 << 20, at(0, "x"), nil, repository.CutFile},
		"large, in place":        {300 << 20, at(0, "x"), whole, repository.CutPages},
		"large, another file":    {300 << 20, at(0, "x"), other, repository.CutFile},
		"large, grown":           {301 << 20, at(0, "x"), whole, repository.CutFile},
		"large, grown and paged": {301 << 20, at(0, "x"), paged, repository.CutPages},
		"in place, not large":    {200 << 20, at(0, "x"), &repository.Node{Type: repository.NodeFile, Inode: 7, Size: 200 << 20}, repository.CutFile},
	} {
		if got := chooseCut(&volume.Entry{Size: c.size, Inode: 7}, c.head, c.before); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
