package volume

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A disk that fails in the middle of a file ends that file, and not the stream.
func TestF15_AReadErrorInsideAFileLeavesTheStreamWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, make([]byte, 3<<20))
	f, err := os.OpenFile(path, os.O_WRONLY, 0) // reading from it fails
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out bytes.Buffer
	s := newSender(&out)
	e := newEmitter(&walker{root: &root{}}, s)
	start := func(kind EventKind, n Entry) {
		s.recs.entry(kind, &n)
		e.res.count(kind, &n)
	}
	start(EnterDir, Entry{Type: Dir})
	start(FileStart, Entry{Path: "a", Type: File})
	s.recs.enc.uint(0)
	s.recs.entry(streamStart, &Entry{Path: "f", Type: File, Size: 3 << 20})
	e.res.count(FileStart, &Entry{Type: File})
	if err := s.flush(nil); err != nil {
		t.Fatal(err)
	}
	end, readErr, err := e.segments(int(f.Fd()), meta{typ: File, size: 3 << 20, blocks: 1 << 20})
	if err != nil || !errors.Is(readErr, unix.EBADF) || end != 0 {
		t.Fatalf("came to %d with %v and %v", end, readErr, err)
	}
	s.recs.streamEnd()
	e.note(Warning{Kind: WarnUnreadable, Path: "f", Text: "read: " + errnoText(readErr)})
	s.recs.leave()
	if err := s.flush(nil); err != nil {
		t.Fatal(err)
	}
	if err := s.end(e.res); err != nil {
		t.Fatal(err)
	}
	got, err := receive(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if got.result.Unreadable != 1 || len(got.warnings) != 1 || !strings.Contains(got.warnings[0].Text, "bad file descriptor") {
		t.Errorf("%+v, %v", got.result, got.warnings)
	}
}
