package sidecar

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// exportFile is a file that gets its name only when it is whole and on the
// disk.
type exportFile struct {
	*os.File
	name string
}

// createExport begins a file. One that is there already is not replaced.
func createExport(name string) (*exportFile, error) {
	if _, err := os.Lstat(name); err == nil {
		return nil, existsAlready(name)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*.part")
	if err != nil {
		return nil, err
	}
	return &exportFile{File: f, name: name}, nil
}

func existsAlready(name string) error {
	return fmt.Errorf("%s: %w: remove it, or choose another name", name, fs.ErrExist)
}

// abandon removes what there is.
func (f *exportFile) abandon() error {
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// commit gives the file its name.
func (f *exportFile) commit() error {
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.abandon())
	}
	if err := f.Close(); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := renameNew(f.Name(), f.name); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncFolder(filepath.Dir(f.name))
}

// renameNew renames a file to a name that nothing has. Where the filesystem
// cannot do both at once, it looks first.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		return existsAlready(to)
	case !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOSYS) && !errors.Is(err, syscall.ENOTSUP):
		return fmt.Errorf("rename %s to %s: %w", from, to, err)
	}
	if _, err := os.Lstat(to); err == nil {
		return existsAlready(to)
	}
	return os.Rename(from, to)
}

func syncFolder(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close() // only synced
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	return nil
}
