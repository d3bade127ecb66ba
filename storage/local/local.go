package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/ripplebak/ripplebak/storage"
)

// Options are for tests and unusual places; the zero value is right.
type Options struct {
	// Now tells the time, for the age of forgotten temporary files.
	Now func() time.Time
}

// Open returns the store in a directory, which need not exist yet: Probe says
// [storage.ErrNoBucket] then, and Provision makes it.
func Open(path string, opt Options) (storage.Store, error) {
	if path == "" {
		return nil, fmt.Errorf("%w: empty path of the repository", storage.ErrInvalid)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("repository %s: %w", path, err)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return storage.New(&backend{path: abs, now: opt.Now, buffers: make(chan []byte, 1)}), nil
}

type backend struct {
	path    string
	now     func() time.Time
	buffers chan []byte // of large files, to be used again

	mu   sync.Mutex // guards the two below
	root *os.Root   // opened with the first call that finds the directory
	mode modes
}

// modes are the permissions of what we make: the owner's alone, except where
// the repository's config is readable by its group.
type modes struct{ file, dir fs.FileMode }

func (b *backend) Location() string { return b.path }

// open returns the opened directory. It never makes one.
func (b *backend) open() (*os.Root, modes, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.root != nil {
		return b.root, b.mode, nil
	}
	root, err := os.OpenRoot(b.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, modes{}, fmt.Errorf("directory %s: %w (%w)", b.path, storage.ErrNotExist, storage.ErrNoBucket)
	}
	if err != nil {
		return nil, modes{}, fmt.Errorf("directory %w", named(err))
	}
	b.root, b.mode = root, modes{file: 0o400, dir: 0o700}
	if fi, err := root.Stat("config"); err == nil && fi.Mode()&0o040 != 0 {
		b.mode = modes{file: 0o440, dir: 0o770}
	}
	return b.root, b.mode, nil
}

func (b *backend) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.root == nil {
		return nil
	}
	err := b.root.Close()
	b.root = nil
	return err
}

func (b *backend) Load(ctx context.Context, h storage.Handle, offset, length int64) (io.ReadCloser, int64, error) {
	f, size, err := b.file(ctx, h)
	if err != nil {
		return nil, 0, fmt.Errorf("load %s: %w", h, err)
	}
	if offset > size {
		return nil, 0, storage.CloseAfter(f, storage.Truncated(h, offset, length, size-offset))
	}
	n := size - offset
	if length > 0 && length < n {
		n = length
	}
	return section{Reader: io.NewSectionReader(f, offset, n), ctx: ctx, f: f}, n, nil
}

// file opens a regular file. Without O_NONBLOCK a FIFO under that name would
// hold us for good.
func (b *backend) file(ctx context.Context, h storage.Handle) (*os.File, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	root, _, err := b.open()
	if err != nil {
		return nil, 0, err
	}
	f, err := root.OpenFile(h.Path(), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, named(err)
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, 0, storage.CloseAfter(f, named(err))
	}
	if !fi.Mode().IsRegular() {
		return nil, 0, storage.CloseAfter(f, fmt.Errorf("%s is no regular file", filepath.Join(b.path, h.Path())))
	}
	return f, fi.Size(), nil
}

// section is an open range of a file that ends with its context.
type section struct {
	io.Reader
	ctx context.Context
	f   *os.File
}

func (s section) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.Reader.Read(p)
}

func (s section) Close() error { return s.f.Close() }

func (b *backend) Stat(ctx context.Context, h storage.Handle) (storage.Info, error) {
	f, size, err := b.file(ctx, h)
	if err != nil {
		return storage.Info{}, fmt.Errorf("stat %s: %w", h, err)
	}
	if err := f.Close(); err != nil {
		return storage.Info{}, fmt.Errorf("stat %s: %w", h, err)
	}
	return storage.Info{Name: h.Name, Size: size}, nil
}

func (b *backend) Remove(ctx context.Context, h storage.Handle) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	root, _, err := b.open()
	if err != nil {
		return fmt.Errorf("remove %s: %w", h, err)
	}
	err = root.Remove(h.Path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", h, named(err))
	}
	if err := syncDir(root, filepath.Dir(h.Path())); err != nil {
		return fmt.Errorf("remove %s: %w", h, err)
	}
	return nil
}
