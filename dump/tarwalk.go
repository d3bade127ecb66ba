package dump

import (
	"archive/tar"
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

const (
	tarBlock   = 512
	tarMaxHead = 64 << 10 // of what says one entry's name
)

// tarEntries gets the entries of a tar as they stream by.
type tarEntries interface {
	// entry begins one. An error ends the walk.
	entry(h *tar.Header) error
	// content is a part of the file that was begun last.
	content(p []byte) error
	// done follows the last part.
	done() error
}

// tarWalk reads a tar of files and directories as it is pushed to it. Unlike a
// tar.Reader it knows whether it came to the end: two blocks of zeros. Memory
// is bounded by tarMaxHead.
type tarWalk struct {
	to    tarEntries
	block []byte // the one that is not there in full
	head  []byte // blocks of an entry's head
	more  int64  // bytes that still belong to the head
	left  int64  // of the file's content
	pad   int64  // after it
	zeros int
	size  int64
	err   error
}

func newTarWalk(to tarEntries) *tarWalk { return &tarWalk{to: to} }

// ended says whether the end was there.
func (w *tarWalk) ended() bool { return w.zeros >= 2 }

// write takes the next bytes. Its error is of the archive, or of who gets it.
func (w *tarWalk) write(b []byte) error {
	w.size += int64(len(b))
	for len(b) > 0 && w.err == nil {
		switch {
		case w.left > 0:
			n := min(w.left, int64(len(b)))
			w.err = w.to.content(b[:n])
			w.left -= n
			b = b[n:]
			if w.left == 0 && w.err == nil {
				w.err = w.to.done()
			}
		case w.pad > 0:
			n := min(w.pad, int64(len(b)))
			w.pad -= n
			b = b[n:]
		default:
			n := min(tarBlock-len(w.block), len(b))
			w.block = append(w.block, b[:n]...)
			b = b[n:]
			if len(w.block) == tarBlock {
				w.err = w.take()
				w.block = w.block[:0]
			}
		}
	}
	return w.err
}

func badTar(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBadDump, fmt.Sprintf(format, args...))
}

// take judges a whole block.
func (w *tarWalk) take() error {
	zero := !bytes.ContainsFunc(w.block, func(r rune) bool { return r != 0 })
	switch {
	case w.more > 0:
		w.more -= tarBlock
		w.head = append(w.head, w.block...)
		return nil
	case w.zeros > 0 && !zero:
		return badTar("something follows the end of its tar")
	case zero && len(w.head) > 0:
		return badTar("an entry of its tar has half a head")
	case zero:
		w.zeros++
		return nil
	}
	if len(w.head)+tarBlock > tarMaxHead {
		return badTar("an entry of its tar has too long a head")
	}
	w.head = append(w.head, w.block...)
	switch w.block[156] {
	case tar.TypeXHeader, tar.TypeGNULongName, tar.TypeGNULongLink:
		return w.longer()
	case tar.TypeReg, 0, tar.TypeDir:
		return w.begin()
	}
	return badTar("its tar holds what is neither file nor directory")
}

// longer reads how long the part is that follows, of the head of an entry.
func (w *tarWalk) longer() error {
	text := strings.Trim(string(w.block[124:136]), " \x00")
	n, err := strconv.ParseInt(text, 8, 64)
	if err != nil || n < 0 || n > tarMaxHead-int64(len(w.head)) {
		return badTar("an entry of its tar has too long a head")
	}
	w.more = roundTar(n)
	return nil
}

// begin has archive/tar read the head, so that both understand it alike.
func (w *tarWalk) begin() error {
	h, err := tar.NewReader(bytes.NewReader(w.head)).Next()
	if err != nil {
		return badTar("an entry of its tar has no head: %v", err)
	}
	w.head = w.head[:0]
	if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir || h.Size < 0 || h.Typeflag == tar.TypeDir && h.Size != 0 {
		return badTar("its tar holds what is neither file nor directory")
	}
	if err := w.to.entry(h); err != nil {
		return err
	}
	w.left, w.pad = h.Size, roundTar(h.Size)-h.Size
	if h.Size == 0 && h.Typeflag == tar.TypeReg {
		return w.to.done()
	}
	return nil
}

func roundTar(n int64) int64 { return (n + tarBlock - 1) / tarBlock * tarBlock }
