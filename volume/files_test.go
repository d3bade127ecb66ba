package volume

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func (f FoundFile) brief() string {
	switch {
	case f.Why != "":
		return "why: " + f.Why
	case f.Absent:
		return "absent"
	case f.Link != "":
		return "link: " + f.Link
	}
	return string(f.Content)
}

func TestFilesAreReadAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	write("compose.yaml", "services: {}\n")
	write("empty", "")
	write("large", "")
	write("secret", "outside of what was asked for")
	errs := errors.Join(
		os.Truncate(filepath.Join(dir, "large"), MaxFile+1),
		os.Mkdir(filepath.Join(dir, "dir"), 0o755),
		os.Symlink("/etc/shadow", filepath.Join(dir, "link")),
		unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600),
	)
	if errs != nil {
		t.Fatal(errs)
	}
	want := map[string]string{
		"compose.yaml": "services: {}\n", "empty": "", "large": "why: has 16777217 bytes", "dir": "why: is no regular file",
		"link": "link: /etc/shadow", "fifo": "why: is no regular file", "absent": "absent",
		"..": "why: is no name", "../secret": "why: is no name", "dir/x": "why: is no name", "": "why: is no name",
	}
	var names []string
	for n := range want {
		names = append(names, n)
	}
	peer := connect(t, 1)
	for range 2 { // the connection is as good as before
		i := 0
		err := peer.Files(t.Context(), dir, names, 0, func(f FoundFile) error {
			if f.Name != names[i] || !strings.HasPrefix(f.brief(), want[f.Name]) || want[f.Name] == "" && len(f.Content) > 0 {
				t.Errorf("%q: %s", f.Name, f.brief())
			}
			if f.Name == "compose.yaml" && (f.Mode != 0o640 || f.UID != uint32(os.Getuid()) || f.ModTime.IsZero()) {
				t.Errorf("%+v", f)
			}
			i++
			return nil
		})
		if err != nil || i != len(names) {
			t.Fatalf("%d files, %v", i, err)
		}
	}
	stop := errors.New("enough")
	if err := peer.Files(t.Context(), dir, names, 0, func(FoundFile) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}

// What the other end says is not believed: neither another file nor one that is
// larger than it may be.
func TestFilesOfABadHelperAreRefused(t *testing.T) {
	for name, answer := range map[string]string{
		"another file": `{"name":"b","size":1}`, "too large": `{"name":"a","size":16777217}`, "negative": `{"name":"a","size":-1}`, "no answer": `x`,
	} {
		raw := sent(t, func(s *stream) {
			if err := errors.Join(s.writeMessage([]byte(answer)), s.CloseWrite()); err != nil {
				t.Fatal(err)
			}
		})
		s, _ := streamOf(strings.NewReader(string(raw)))
		if _, err := receiveFile(s, "a"); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
