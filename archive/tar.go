package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

// TarOptions say what an archive holds.
type TarOptions struct {
	// WithoutRoot leaves the directory itself out, and keeps what is in it.
	WithoutRoot bool
	// Advance is told how far it is: entries and bytes of content so far. Nil:
	// nobody.
	Advance func(entries, bytes int64)
}

// TarReport says what an archive holds.
type TarReport struct {
	Entries int64 // of any type
	Bytes   int64 // of content; holes and further names of a file count nothing
	Skipped []volume.Skip
}

// WriteTar writes what a directory node holds as a PAX archive, its names
// relative to the node, which itself is "./". Everything that a snapshot keeps
// is in it: owners as numbers, times to the nanosecond, hard links, devices,
// extended attributes as SCHILY.xattr, ACLs as SCHILY.acl too, and holes in the
// sparse format 1.0 of GNU tar. Sockets, which tar has no type for, are left
// out and reported.
//
// The end of the archive is written when all of it has been, and only then: an
// archive that has an end is whole.
func WriteTar(ctx context.Context, repo *repository.Repository, node *repository.Node, w io.Writer, opt TarOptions) (*TarReport, error) {
	src, err := newSource(repo, node)
	if err != nil {
		return nil, err
	}
	x := &tarExport{src: src, opt: opt, out: newTarWriter(w)}
	err = x.run(ctx)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = x.out.close()
	}
	x.report.Skipped = append(x.report.Skipped, src.skipped...)
	return &x.report, err
}

// tarExport moves entries in batches: one is written while the next is loaded,
// and the names after that are gathered.
type tarExport struct {
	src    *source
	opt    TarOptions
	out    *tarWriter
	report TarReport
}

const (
	// tarBatchBytes is how much content is loaded at once, in bytes, and
	// tarBatchParts of how many files.
	tarBatchBytes = 16 << 20
	tarBatchParts = 4096
)

// tarBatch is the content of some files, or a part of one's.
type tarBatch struct {
	parts []tarPart
	bytes int64
	data  map[repository.ID][]byte
}

// tarPart is a file with the first of its content, or more of that.
type tarPart struct {
	header *tarHeader // nil for more of the file before
	pieces []tarPiece
}

func (x *tarExport) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	named, loaded := make(chan *tarBatch), make(chan *tarBatch)
	g.Go(func() error {
		defer close(named)
		return x.gather(ctx, named)
	})
	g.Go(func() error {
		defer close(loaded)
		for b := range named {
			if err := x.load(ctx, b); err != nil {
				return err
			}
			if err := pass(ctx, loaded, b); err != nil {
				return err
			}
		}
		return nil
	})
	g.Go(func() error {
		for b := range loaded {
			if err := x.write(b); err != nil {
				return err
			}
		}
		return nil
	})
	return g.Wait()
}

func pass(ctx context.Context, to chan<- *tarBatch, b *tarBatch) error {
	select {
	case to <- b:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// gather makes batches of the entries in the order of the walk.
func (x *tarExport) gather(ctx context.Context, to chan<- *tarBatch) error {
	b := &tarBatch{}
	err := x.src.Entries(ctx, func(e volume.Entry, blobs []volume.Blob) error {
		if e.Path == "" && x.opt.WithoutRoot {
			return nil
		}
		if e.Type == volume.Socket {
			x.report.Skipped = append(x.report.Skipped, volume.Skip{Path: e.Path, Reason: "a socket, which tar cannot hold"})
			return nil
		}
		h, err := newTarHeader(&e, blobs)
		if err != nil {
			return err
		}
		part := tarPart{header: h}
		for _, p := range h.pieces {
			if b.bytes += p.length; b.bytes > tarBatchBytes && b.bytes > p.length {
				b.parts = append(b.parts, part)
				if err := pass(ctx, to, b); err != nil {
					return err
				}
				b, part = &tarBatch{bytes: p.length}, tarPart{}
			}
			part.pieces = append(part.pieces, p)
		}
		h.pieces = nil
		if b.parts = append(b.parts, part); len(b.parts) < tarBatchParts {
			return nil
		}
		full := b
		b = &tarBatch{}
		return pass(ctx, to, full)
	})
	if err != nil {
		return err
	}
	return pass(ctx, to, b)
}

// load fetches a batch's content, each blob once.
func (x *tarExport) load(ctx context.Context, b *tarBatch) error {
	b.data = map[repository.ID][]byte{}
	var handles []repository.BlobHandle
	for _, p := range b.parts {
		for _, c := range p.pieces {
			if _, ok := b.data[c.id]; !ok && !c.zeros {
				b.data[c.id] = nil
				handles = append(handles, repository.BlobHandle{Type: repository.DataBlob, ID: c.id})
			}
		}
	}
	if len(handles) == 0 {
		return nil
	}
	var mu sync.Mutex
	return x.src.repo.LoadBlobs(ctx, handles, func(h repository.BlobHandle, data []byte) error {
		own := append([]byte(nil), data...)
		mu.Lock()
		defer mu.Unlock()
		b.data[h.ID] = own
		return nil
	})
}

func (x *tarExport) write(b *tarBatch) error {
	for _, p := range b.parts {
		if p.header != nil {
			if err := x.out.begin(p.header); err != nil {
				return err
			}
			x.report.Entries++
		}
		for _, c := range p.pieces {
			data := b.data[c.id]
			if c.zeros {
				data = make([]byte, c.length)
			}
			if err := x.out.write(data); err != nil {
				return err
			}
			x.report.Bytes += int64(len(data))
		}
	}
	if x.opt.Advance != nil {
		x.opt.Advance(x.report.Entries, x.report.Bytes)
	}
	return nil
}

// newTarHeader makes the header of an entry whose content are the blobs.
func newTarHeader(e *volume.Entry, blobs []volume.Blob) (*tarHeader, error) {
	h := &tarHeader{Header: tar.Header{
		Format: tar.FormatPAX, Name: tarName(e), Mode: int64(e.Mode), Uid: int(e.UID), Gid: int(e.GID),
		ModTime: e.ModTime.Time(), PAXRecords: map[string]string{},
	}}
	if e.HardLinkOf != "" {
		h.Typeflag, h.Linkname = tar.TypeLink, e.HardLinkOf
		return h, nil
	}
	switch e.Type {
	case volume.File:
		h.Typeflag, h.Size = tar.TypeReg, e.Size
		if err := h.content(e, blobs); err != nil {
			return nil, err
		}
	case volume.Dir:
		h.Typeflag = tar.TypeDir
	case volume.Symlink:
		h.Typeflag, h.Linkname = tar.TypeSymlink, e.LinkTarget
	case volume.CharDevice, volume.BlockDevice:
		h.Typeflag = tar.TypeChar
		if e.Type == volume.BlockDevice {
			h.Typeflag = tar.TypeBlock
		}
		h.Devmajor, h.Devminor = int64(unix.Major(e.Rdev)), int64(unix.Minor(e.Rdev))
	case volume.FIFO:
		h.Typeflag = tar.TypeFifo
	default:
		return nil, fmt.Errorf("%q: a %s cannot be in a tar archive", e.Path, e.Type)
	}
	for _, a := range e.Xattrs {
		h.attribute(a)
	}
	return h, nil
}

// tarName is the name of an entry: that of a directory ends with a slash, and
// the root is "./".
func tarName(e *volume.Entry) string {
	switch {
	case e.Path == "":
		return "./"
	case e.Type == volume.Dir:
		return e.Path + "/"
	}
	return e.Path
}

// errContent means that a file's blobs are not as many bytes as it has.
var errContent = errors.New("its content is not as long as the file")

// content proves the size, and finds the holes.
func (h *tarHeader) content(e *volume.Entry, blobs []volume.Blob) error {
	var sum, holes int64
	for _, b := range blobs {
		sum += int64(b.Length)
		if b.Hole {
			holes += int64(b.Length)
		}
	}
	if sum != e.Size {
		return fmt.Errorf("%q: %w: %w (%d bytes of %d)", e.Path, repository.ErrDamaged, errContent, sum, e.Size)
	}
	if h.sparse = holes >= tarSparse; !h.sparse {
		h.pieces = piecesOf(blobs)
		return nil
	}
	h.extents = extentsOf(blobs, e.Size)
	h.pieces = sparsePieces(blobs, h.extents)
	return nil
}

// attribute records an extended attribute, as GNU tar and star do. An ACL is
// recorded a second time, as the text that they look for by --acls.
func (h *tarHeader) attribute(a volume.Xattr) {
	// Neither a name may have "=" in a PAX record, nor "%" for this.
	name := strings.NewReplacer("%", "%25", "=", "%3D").Replace(a.Name)
	h.PAXRecords["SCHILY.xattr."+name] = string(a.Value)
	for attr, record := range map[string]string{"system.posix_acl_access": "SCHILY.acl.access", "system.posix_acl_default": "SCHILY.acl.default"} {
		if a.Name == attr {
			if text, ok := aclText(a.Value); ok {
				h.PAXRecords[record] = text
			}
		}
	}
}
