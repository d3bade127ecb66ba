package archive

import (
	"testing"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

// A file of which only a part could be read is not in the tree.
func TestF15_AFileThatCouldNotBeReadToItsEndIsTakenBack(t *testing.T) {
	ok, bad := &repository.Node{Name: "ok", Type: repository.NodeFile}, &repository.Node{Name: "bad", Type: repository.NodeFile, Inode: 5}
	top := &dir{node: &repository.Node{Name: "sub"}}
	s := &saver{
		res:   &Result{Files: 2, New: 2},
		open:  []*dir{{node: &repository.Node{}}, top},
		links: map[uint64]*linked{5: {}},
	}
	top.nodes = []*repository.Node{ok, bad}
	top.files = []file{{node: ok}, {node: bad}}
	for _, path := range []string{"sub", "sub/other", "bad", "elsewhere/bad"} { // none of them is the file
		s.unreadable(volume.Warning{Path: path})
		if len(top.nodes) != 2 {
			t.Fatalf("%q took something back", path)
		}
	}
	s.unreadable(volume.Warning{Kind: volume.WarnUnreadable, Path: "sub/bad", Text: "EIO"})
	if len(top.nodes) != 1 || len(top.files) != 1 || s.res.Files != 1 || s.res.New != 1 || len(s.links) != 0 {
		t.Errorf("%+v, %+v", top, s.res)
	}
	if !s.res.Partial() || s.res.UnreadableCount != 5 || s.res.Unreadable[4].Text != "EIO" {
		t.Errorf("%+v", s.res)
	}
}
