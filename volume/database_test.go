package volume

import (
	"os"
	"path/filepath"
	"testing"
)

// A copy that would fill the disk is not begun: others write to that disk too.
func TestACopyThatHasNoRoomIsNotBegun(t *testing.T) {
	h := databaseHeader{Root: t.TempDir(), Path: "app.db", Scratch: t.TempDir()}
	free, err := SpaceAt(h.Scratch)
	if err != nil {
		t.Fatal(err)
	}
	if err := roomFor(4096, h); err != nil {
		t.Errorf("a page has no room: %v", err)
	}
	if err := roomFor(2*free.Bytes+1<<30, h); err == nil {
		t.Error("a database larger than the disk has room")
	}
	if err := os.WriteFile(filepath.Join(h.Root, "app.db-wal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(h.Root, "app.db-wal"), 2*free.Bytes+1<<30); err != nil {
		t.Skip(err)
	}
	if err := roomFor(4096, h); err == nil {
		t.Error("what is in the log needs no room")
	}
}
