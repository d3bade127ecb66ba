package volume

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const jobPlace = "place"

// NewFile is a regular file that is to be in a directory.
type NewFile struct {
	// Path lies below the directory; folders on the way are made.
	Path    string `json:"path"`
	Size    int64  `json:"size"`
	Mode    uint32 `json:"mode"` // permissions
	UID     uint32 `json:"uid"`
	GID     uint32 `json:"gid"`
	ModTime Time   `json:"mtime"`

	Content []byte `json:"-"`
}

// PlacedFile is what became of it.
type PlacedFile struct {
	Path string `json:"path"`
	// Same says that it was there already, with this content: it was left alone.
	Same bool `json:"same,omitempty"`
	// Why says what is in the way; then nothing was written.
	Why string `json:"why,omitempty"`
}

// PlaceRequest says where files go.
type PlaceRequest struct {
	// Root is a directory that is there, Dir the one below it that the files go
	// into, which is made if it is not there; "." for the root itself.
	Root, Dir string
	// Owner is who owned most of the files where they come from: to whom the
	// nearest directory belongs that is there, these files belong too.
	Owner uint32
	// Write writes them; else it is only looked what would become of them.
	Write bool
}

type placeHeader struct {
	Job   string `json:"job"`
	Root  string `json:"root"`
	Dir   string `json:"dir"`
	Owner uint32 `json:"owner"`
	Write bool   `json:"write"`
	Files int    `json:"files"`
}

// PlaceFiles writes files that are not there. What is there is never written
// over: a file with the same content is left as it is, and anything else is in
// the way, which the answer for that file says. Nothing outside of the directory
// is touched, whatever the paths are and whatever links lie there.
func (p *Peer) PlaceFiles(ctx context.Context, req PlaceRequest, files []NewFile) ([]PlacedFile, error) {
	if len(files) > maxFiles {
		return nil, fmt.Errorf("write files: %d at once are too many", len(files))
	}
	c, err := p.start(ctx, placeHeader{Job: jobPlace, Root: req.Root, Dir: req.Dir, Owner: req.Owner, Write: req.Write, Files: len(files)})
	if err != nil {
		return nil, err
	}
	defer c.done()
	var out []PlacedFile
	for _, f := range files {
		placed, err := c.place(f)
		if err != nil {
			return nil, fmt.Errorf("write files: %w", c.explain(err))
		}
		out = append(out, placed)
	}
	if err := c.CloseWrite(); err != nil {
		return nil, fmt.Errorf("write files: %w", c.explain(err))
	}
	if _, err := c.readMessage(0); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("write files: %w", c.explain(errors.Join(err, errFilesEnd)))
	}
	return out, nil
}

func (c *call) place(f NewFile) (placed PlacedFile, err error) {
	f.Size = int64(len(f.Content))
	if err := writeAnswer(c.stream, f); err != nil {
		return placed, err
	}
	if _, err := c.Write(f.Content); err != nil {
		return placed, err
	}
	if err := c.Flush(); err != nil {
		return placed, err
	}
	text, err := c.readMessage(maxFrame)
	if err != nil {
		return placed, cut(err)
	}
	if err := json.Unmarshal(text, &placed); err != nil || placed.Path != f.Path {
		return placed, fmt.Errorf("%w: an answer for another file", ErrProtocol)
	}
	return placed, nil
}

// servePlace is the helper's end of Peer.PlaceFiles.
func servePlace(ctx context.Context, header json.RawMessage, s *stream) error {
	var h placeHeader
	if err := json.Unmarshal(header, &h); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	if h.Files < 0 || h.Files > maxFiles {
		return errors.New("too many files are to be written")
	}
	p, err := openPlacer(h)
	if err != nil {
		return err
	}
	defer p.close()
	for range h.Files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		f, err := receiveNew(s)
		if err != nil {
			return err
		}
		if err := writeAnswer(s, p.place(f)); err != nil {
			return err
		}
		if err := s.Flush(); err != nil {
			return err
		}
	}
	if _, err := s.readMessage(0); !errors.Is(err, io.EOF) {
		return errors.Join(err, errFilesEnd)
	}
	return nil
}

func receiveNew(s *stream) (f NewFile, err error) {
	head, err := s.readMessage(maxFrame)
	if err != nil {
		return f, cut(err)
	}
	if err := json.Unmarshal(head, &f); err != nil {
		return f, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if f.Size < 0 || f.Size > MaxFile {
		return f, fmt.Errorf("%w: a file of %d bytes", ErrProtocol, f.Size)
	}
	f.Content = make([]byte, f.Size)
	if _, err := io.ReadFull(s, f.Content); err != nil {
		return f, cut(err)
	}
	return f, nil
}

// placer writes files into a directory. dir is nil where that is not there, and
// nothing is to be written.
type placer struct {
	dir      *os.Root
	uid, gid int // of the nearest directory that was there
	owner    uint32
	write    bool
}

func openPlacer(h placeHeader) (*placer, error) {
	root, err := os.OpenRoot(h.Root)
	if err != nil {
		return nil, fmt.Errorf("open the directory: %w", err)
	}
	defer root.Close() // only a handle
	p := &placer{owner: h.Owner, write: h.Write}
	at := "."
	if err := p.takeOwner(root, at); err != nil {
		return nil, err
	}
	if !filepath.IsLocal(h.Dir) {
		return nil, fmt.Errorf("%q is no directory below another", h.Dir)
	}
	for _, name := range strings.Split(path.Clean(h.Dir), "/") {
		at = path.Join(at, name)
		err := p.takeOwner(root, at)
		if errors.Is(err, fs.ErrNotExist) {
			if !h.Write {
				return p, nil
			}
			err = p.makeDir(root, at)
		}
		if err != nil {
			return nil, err
		}
	}
	p.dir, err = root.OpenRoot(at)
	return p, err
}

func (p *placer) close() {
	if p.dir != nil {
		p.dir.Close() // only a handle
	}
}

// takeOwner takes the owner of a directory for that of what is made in it.
func (p *placer) takeOwner(root *os.Root, at string) error {
	info, err := root.Stat(at)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() {
		return fmt.Errorf("%s is no directory", at)
	}
	p.uid, p.gid = int(st.Uid), int(st.Gid)
	return nil
}

// makeDir makes a directory that belongs to whom the one above it does.
func (p *placer) makeDir(root *os.Root, at string) error {
	err := root.Mkdir(at, 0o755)
	if err == nil {
		err = root.Lchown(at, p.uid, p.gid)
	}
	return err
}

// place writes a file that is not there, or says what would become of it.
func (p *placer) place(f NewFile) PlacedFile {
	out := PlacedFile{Path: f.Path}
	if !filepath.IsLocal(f.Path) || path.Clean(f.Path) != f.Path || f.Path == "." || strings.ContainsRune(f.Path, 0) {
		out.Why = "is no path below the directory"
		return out
	}
	if p.dir == nil {
		return out
	}
	there, same, err := p.look(f)
	switch {
	case err != nil:
		out.Why = errnoText(err)
	case there && same:
		out.Same = true
	case there:
		out.Why = "has another content there"
	case p.write:
		if err := p.create(f); err != nil {
			out.Why = errnoText(err)
		}
	}
	return out
}

// look compares the file with what is there under its name.
func (p *placer) look(f NewFile) (there, same bool, err error) {
	for above := path.Dir(f.Path); above != "."; above = path.Dir(above) {
		info, err := p.dir.Stat(above)
		if err == nil && !info.IsDir() {
			return true, false, fmt.Errorf("%s is no directory", above)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
			return true, false, err
		}
	}
	info, err := p.dir.Lstat(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, false, nil
	case err != nil:
		return true, false, err
	case !info.Mode().IsRegular():
		return true, false, errors.New("is no regular file there")
	case info.Size() != int64(len(f.Content)):
		return true, false, nil
	}
	content, err := p.dir.ReadFile(f.Path)
	return true, bytes.Equal(content, f.Content), err
}

// create writes a new file beside its place and gives it its name once it is
// whole. What a kill has left of an earlier try is taken away.
func (p *placer) create(f NewFile) (err error) {
	if err := p.makeAbove(path.Dir(f.Path)); err != nil {
		return err
	}
	part := path.Join(path.Dir(f.Path), ".ripplebak-new")
	if err := p.dir.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := p.dir.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.dir.Remove(part))
		}
	}()
	if err = errors.Join(p.fill(file, f), file.Close()); err != nil {
		return err
	}
	mtime := time.Unix(f.ModTime.Sec, int64(f.ModTime.Nsec))
	if err = p.dir.Chtimes(part, mtime, mtime); err != nil {
		return err
	}
	if _, err = p.dir.Lstat(f.Path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(errors.New("was made there meanwhile"), err)
	}
	return p.dir.Rename(part, f.Path)
}

func (p *placer) fill(file *os.File, f NewFile) error {
	if _, err := file.Write(f.Content); err != nil {
		return err
	}
	uid, gid := int(f.UID), int(f.GID)
	if f.UID == p.owner {
		uid, gid = p.uid, p.gid
	}
	if err := file.Chown(uid, gid); err != nil {
		return err
	}
	if err := file.Chmod(os.FileMode(f.Mode & 0o777)); err != nil {
		return err
	}
	return file.Sync()
}

// makeAbove makes the folders on the way to a file.
func (p *placer) makeAbove(dir string) error {
	if dir == "." {
		return nil
	}
	if err := p.makeAbove(path.Dir(dir)); err != nil {
		return err
	}
	err := p.makeDir(p.dir, dir)
	if errors.Is(err, fs.ErrExist) {
		return nil // openat says what it is, if it is no folder
	}
	return err
}
