package volume

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const jobFiles = "files"

// MaxFile is the largest file that Files reads, in bytes. maxFiles is how many
// one job reads.
const (
	MaxFile  = 16 << 20
	maxFiles = 1024
)

// FoundFile is what became of a name in a directory.
type FoundFile struct {
	Name string `json:"name"`
	// Why says why there is no content; empty: it is there, all of it.
	Why string `json:"why,omitempty"`
	// Absent says that there is nothing of that name.
	Absent bool `json:"absent,omitempty"`
	// Link is the target of a symlink, which is not followed.
	Link string `json:"link,omitempty"`

	Size    int64  `json:"size"`
	Mode    uint32 `json:"mode"` // permissions, with setuid, setgid and sticky
	UID     uint32 `json:"uid"`
	GID     uint32 `json:"gid"`
	ModTime Time   `json:"mtime"`

	Content []byte `json:"-"`
}

type filesHeader struct {
	Job   string   `json:"job"`
	Root  string   `json:"root"`
	Names []string `json:"names"`
}

// Files reads regular files that lie in the directory that the helper has at
// root, in the order of their names, and nothing else: no directory below it is
// entered, and no link is followed. take is given one after the other; its error
// ends the job. A helper that says nothing for the time of stall has failed
// (ErrSilent); 0: it is waited for for ever.
func (p *Peer) Files(ctx context.Context, root string, names []string, stall time.Duration, take func(FoundFile) error) error {
	if len(names) > maxFiles {
		return fmt.Errorf("read files: %d at once are too many", len(names))
	}
	c, err := p.start(ctx, filesHeader{Job: jobFiles, Root: root, Names: names})
	if err != nil {
		return err
	}
	defer c.done()
	if err := c.conn.patient(stall); err != nil {
		return fmt.Errorf("read files: %w", err)
	}
	if err := c.CloseWrite(); err != nil {
		return fmt.Errorf("read files: %w", c.explain(err))
	}
	for _, name := range names {
		f, err := receiveFile(c.stream, name)
		if err == nil {
			err = take(f)
		}
		if err != nil {
			return fmt.Errorf("read files: %w", c.explain(err))
		}
	}
	if _, err := c.readMessage(0); !errors.Is(err, io.EOF) {
		return fmt.Errorf("read files: %w", c.explain(errors.Join(err, errFilesEnd)))
	}
	return nil
}

var errFilesEnd = fmt.Errorf("%w: the files do not end where they should", ErrProtocol)

func receiveFile(s *stream, name string) (FoundFile, error) {
	var f FoundFile
	head, err := s.readMessage(maxFrame)
	if err != nil {
		return f, cut(err)
	}
	if err := json.Unmarshal(head, &f); err != nil {
		return f, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	switch {
	case f.Name != name, f.Size < 0, f.Size > MaxFile:
		return f, fmt.Errorf("%w: another file than was asked for", ErrProtocol)
	case f.Why != "" || f.Link != "" || f.Absent:
		return f, nil
	}
	f.Content = make([]byte, f.Size)
	if _, err := io.ReadFull(s, f.Content); err != nil {
		return f, cut(err)
	}
	return f, nil
}

// serveFiles is the helper's end of Peer.Files.
func serveFiles(ctx context.Context, header json.RawMessage, s *stream) error {
	var h filesHeader
	if err := json.Unmarshal(header, &h); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	if len(h.Names) > maxFiles {
		return errors.New("too many files are asked for")
	}
	r, err := openRoot(h.Root)
	if err != nil {
		return err
	}
	defer r.close()
	for _, name := range h.Names {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		f := r.readWhole(name)
		if err := writeAnswer(s, f); err != nil {
			return err
		}
		if _, err := s.Write(f.Content); err != nil {
			return err
		}
		if err := s.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// readWhole reads one file, and again if it changes meanwhile.
func (r *root) readWhole(name string) FoundFile {
	f := FoundFile{Name: name}
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		f.Why = "is no name of a file"
		return f
	}
	for range tries {
		same := r.tryWhole(&f)
		if same || f.Why != "" {
			return f
		}
	}
	f.Why, f.Content, f.Size = "changes while it is read", nil, 0
	return f
}

func (r *root) tryWhole(f *FoundFile) (same bool) {
	fd, err := r.openFile(r.fd, f.Name)
	switch {
	case errors.Is(err, unix.ENOENT):
		f.Absent = true
		return true
	case errors.Is(err, unix.ELOOP):
		f.Link, err = r.linkTarget(f.Name)
		if err == nil {
			return true
		}
		fallthrough
	case err != nil:
		f.Why = "cannot be read: " + errnoText(err)
		return false
	}
	defer unix.Close(fd)
	var before, after meta
	if err := statFD(fd, &before); err != nil {
		f.Why = "cannot be read: " + errnoText(err)
		return false
	}
	switch {
	case before.typ != File:
		f.Why = "is no regular file"
		return false
	case before.size > MaxFile:
		f.Why = fmt.Sprintf("has %d bytes, and at most %d are saved", before.size, MaxFile)
		return false
	}
	f.Size, f.Mode, f.UID, f.GID, f.ModTime = before.size, before.mode, before.uid, before.gid, before.mtime
	f.Content = make([]byte, before.size)
	n, err := readAt(fd, f.Content, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		f.Why, f.Content, f.Size = "cannot be read: "+errnoText(err), nil, 0
		return false
	}
	return statFD(fd, &after) == nil && int64(n) == before.size && before.sameContent(&after)
}

// linkTarget reads a symlink.
func (r *root) linkTarget(name string) (string, error) {
	target := make([]byte, maxTarget+1)
	n, err := ignoringEINTR(func() (int, error) { return unix.Readlinkat(r.fd, name, target) })
	if err != nil {
		return "", err
	}
	if n == 0 || n > maxTarget {
		return "", errors.New("its link target is empty or too long")
	}
	return string(target[:n]), nil
}
