package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/ripplebak/ripplebak/storage"
)

// forgotten is the age after which a temporary file has no writer any more.
const forgotten = 24 * time.Hour

// Provision makes the directory and its folders, and removes temporary files
// that killed processes left more than a day ago.
func (b *backend) Provision(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.MkdirAll(b.path, 0o700); err != nil {
		return fmt.Errorf("make repository: %w", named(err))
	}
	root, mode, err := b.open()
	if err != nil {
		return fmt.Errorf("make repository: %w", err)
	}
	dirs := []string{tmpDir}
	for _, k := range storage.Kinds() {
		if k.Dir() != "" {
			dirs = append(dirs, k.Dir())
		}
	}
	for i := range 256 {
		dirs = append(dirs, fmt.Sprintf("data/%02x", i))
	}
	for _, dir := range dirs {
		if err := provisionDir(root, dir, mode); err != nil {
			return fmt.Errorf("make %s: %w", dir, named(err))
		}
	}
	if err := syncDir(root, "data"); err != nil {
		return fmt.Errorf("make repository: %w", err)
	}
	if err := syncDir(root, "."); err != nil {
		return fmt.Errorf("make repository: %w", err)
	}
	return b.sweep(root)
}

// provisionDir makes one folder; the caller syncs once for all.
func provisionDir(root *os.Root, dir string, mode modes) error {
	err := root.Mkdir(dir, mode.dir)
	if errors.Is(err, fs.ErrExist) {
		fi, err := root.Stat(dir)
		if err == nil && !fi.IsDir() {
			err = errors.New("it exists and is no directory")
		}
		return err
	}
	return err
}

func (b *backend) sweep(root *os.Root) error {
	entries, err := fs.ReadDir(root.FS(), tmpDir)
	if err != nil {
		return fmt.Errorf("list %s: %w", tmpDir, named(err))
	}
	for _, e := range entries {
		fi, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("list %s: %w", tmpDir, named(err))
		}
		if !fi.Mode().IsRegular() || b.now().Sub(fi.ModTime()) < forgotten {
			continue
		}
		if err := root.Remove(tmpDir + "/" + e.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove forgotten temporary file: %w", named(err))
		}
	}
	return nil
}

// Probe says whether the directory is there and can be listed. Whether it can
// be written is not tried: a read-only repository is fine for a restore.
func (b *backend) Probe(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	fi, err := os.Stat(b.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("repository directory %s: %w; check the path and the mount", b.path, storage.ErrNoBucket)
	case err != nil:
		return fmt.Errorf("repository directory %s: %w", b.path, named(err))
	case !fi.IsDir():
		return fmt.Errorf("repository %s is no directory", b.path)
	}
	root, _, err := b.open()
	if err != nil {
		return err
	}
	d, err := root.Open(".")
	if err != nil {
		return fmt.Errorf("repository directory %s: %w", b.path, named(err))
	}
	return d.Close()
}
