package local

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"github.com/ripplebak/ripplebak/storage"
)

// tmpDir holds files that are being written. It is a folder of its own, so
// that what a killed process left is found without listing the repository.
const tmpDir = "tmp"

func (b *backend) Save(ctx context.Context, h storage.Handle, p storage.Payload) error {
	err := b.put(ctx, h, p, func(root *os.Root, tmp, to string) error { return root.Rename(tmp, to) })
	if err != nil {
		return fmt.Errorf("save %s: %w", h, err)
	}
	return nil
}

func (b *backend) Create(ctx context.Context, h storage.Handle, p storage.Payload) error {
	err := b.put(ctx, h, p, func(root *os.Root, tmp, to string) error { return b.link(root, tmp, to) })
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create %s: %w", h, storage.ErrExist)
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", h, err)
	}
	return nil
}

// put writes p below tmp/ and lets publish give it its name. Whatever fails,
// the temporary file goes.
func (b *backend) put(ctx context.Context, h storage.Handle, p storage.Payload, publish func(root *os.Root, tmp, to string) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	root, mode, err := b.open()
	if err != nil {
		return err
	}
	tmp, f, err := createTemp(root, mode)
	if err != nil {
		return named(err)
	}
	defer func() {
		if rerr := root.Remove(tmp); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) && err == nil {
			err = fmt.Errorf("remove temporary file: %w", named(rerr))
		}
	}()
	if err := b.fill(ctx, f, p, mode); err != nil {
		return err
	}
	to := h.Path()
	err = publish(root, tmp, to)
	if errors.Is(err, fs.ErrNotExist) && path.Dir(to) != "." {
		// A folder is missing, as in a repository that was copied without
		// its empty ones.
		if err := makeDir(root, path.Dir(to), mode); err != nil {
			return named(err)
		}
		err = publish(root, tmp, to)
	}
	if err != nil {
		return named(err)
	}
	return syncDir(root, path.Dir(to))
}

func createTemp(root *os.Root, mode modes) (string, *os.File, error) {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", nil, err
	}
	name := tmpDir + "/" + hex.EncodeToString(random[:])
	const flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	f, err := root.OpenFile(name, flags, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeDir(root, tmpDir, mode); err != nil {
			return "", nil, err
		}
		f, err = root.OpenFile(name, flags, 0o600)
	}
	return name, f, err
}

// fill writes the payload, proves it against its hash, and syncs and closes
// the file.
func (b *backend) fill(ctx context.Context, f *os.File, p storage.Payload, mode modes) (err error) {
	defer func() {
		if cerr := f.Close(); err == nil {
			err = named(cerr)
		}
	}()
	r, err := p.Open()
	if err != nil {
		return err
	}
	defer func() {
		if cerr := r.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("%w: %w", storage.ErrSource, cerr)
		}
	}()
	if err := b.copyAll(ctx, f, r, p); err != nil {
		return err
	}
	// Some network filesystems know no permissions; the file is as good.
	if err := f.Chmod(mode.file); err != nil && !unsupported(err) && !errors.Is(err, fs.ErrPermission) {
		return named(err)
	}
	return named(f.Sync())
}

// copyAll writes in pieces that are full but for the last, as direct writes
// must be.
func (b *backend) copyAll(ctx context.Context, f *os.File, r io.Reader, p storage.Payload) error {
	hash := sha256.New()
	out := newOutput(f, p.Size)
	buf := b.buffer(p.Size)
	defer b.giveBack(buf)
	for ended := false; !ended; {
		n, err := io.ReadFull(r, buf)
		hash.Write(buf[:n])
		if werr := out.write(buf[:n]); werr != nil {
			return named(werr)
		}
		switch {
		case err == io.EOF, err == io.ErrUnexpectedEOF: // ReadFull's own: r has shown its end
			ended = true
		case err != nil:
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if [sha256.Size]byte(hash.Sum(nil)) != p.SHA256 {
		return fmt.Errorf("%w: its content is not what its hash says", storage.ErrSource)
	}
	return nil
}

// buffer is one that a direct write takes, for a file of that size.
func (b *backend) buffer(size int64) []byte {
	if size < directFrom {
		return make([]byte, max(size, 512))
	}
	select {
	case buf := <-b.buffers:
		return buf
	default:
		return alignedBuffer(directBuffer)
	}
}

// giveBack keeps the buffers of large files for the next ones.
func (b *backend) giveBack(buf []byte) {
	if len(buf) != directBuffer {
		return
	}
	select {
	case b.buffers <- buf:
	default:
	}
}

// link gives the file its name only where that is free. Where the filesystem
// has no hard links, the name is claimed first and then replaced: between the
// two the file is empty, and a kill there leaves an empty one.
func (b *backend) link(root *os.Root, tmp, to string) error {
	err := root.Link(tmp, to)
	if err == nil || !unsupported(err) && !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EMLINK) {
		return err
	}
	f, err := root.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return root.Rename(tmp, to)
}

// unsupported is true where the filesystem lacks an operation.
func unsupported(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTTY)
}

// makeDir makes a folder of the repository, and its parent where it is data/.
func makeDir(root *os.Root, dir string, mode modes) error {
	if parent := path.Dir(dir); parent != "." {
		if err := makeDir(root, parent, mode); err != nil {
			return err
		}
	}
	err := root.Mkdir(dir, mode.dir)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncDir(root, path.Dir(dir))
}

// syncDir makes the names in a folder durable. Filesystems that cannot sync a
// folder (some network and FUSE ones) order names on their own.
func syncDir(root *os.Root, dir string) (err error) {
	d, err := root.Open(dir)
	if err != nil {
		return named(err)
	}
	defer func() {
		if cerr := d.Close(); err == nil {
			err = named(cerr)
		}
	}()
	if err := d.Sync(); err != nil && !unsupported(err) {
		return named(err)
	}
	return nil
}
