package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/ripplebak/ripplebak/storage"
)

func (b *backend) List(ctx context.Context, k storage.Kind, fn func(storage.Info) error) error {
	root, _, err := b.open()
	if err != nil {
		return fmt.Errorf("list %s: %w", k, err)
	}
	if k == storage.ConfigFile {
		info, err := b.Stat(ctx, storage.Handle{Kind: k})
		if errors.Is(err, storage.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return fn(info)
	}
	if k != storage.PackFile {
		return listDir(ctx, root, k, k.Dir(), fn)
	}
	for i := range 256 {
		if err := listDir(ctx, root, k, fmt.Sprintf("data/%02x", i), fn); err != nil {
			return err
		}
	}
	return nil
}

// listDir lists one folder, in portions, so that a big one needs no memory.
func listDir(ctx context.Context, root *os.Root, k storage.Kind, dir string, fn func(storage.Info) error) (err error) {
	d, err := root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", dir, named(err))
	}
	defer func() {
		if cerr := d.Close(); err == nil {
			err = cerr
		}
	}()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries, rerr := d.ReadDir(1024)
		for _, e := range entries {
			if err := listEntry(root, k, dir, e, fn); err != nil {
				return err
			}
		}
		if len(entries) == 0 {
			if rerr != nil && !errors.Is(rerr, io.EOF) {
				return fmt.Errorf("list %s: %w", dir, named(rerr))
			}
			return nil
		}
	}
}

// listEntry yields one directory entry if it is a repository file in its
// place. A file that vanished since, such as a lock, is passed over.
func listEntry(root *os.Root, k storage.Kind, dir string, e fs.DirEntry, fn func(storage.Info) error) error {
	h := storage.Handle{Kind: k, Name: e.Name()}
	if h.Valid() != nil || path.Dir(h.Path()) != dir {
		return nil
	}
	fi, err := root.Stat(h.Path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", dir, named(err))
	}
	if !fi.Mode().IsRegular() {
		return nil
	}
	return fn(storage.Info{Name: h.Name, Size: fi.Size(), Modified: fi.ModTime()})
}
