package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Dir is the state directory.
type Dir struct {
	path    string
	project string // whose runs History has; empty: those of the only one
}

// Of is the same directory for who works for one of several projects.
func (d *Dir) Of(project string) *Dir { return &Dir{path: d.path, project: project} }

// Open opens the state directory and makes its folders. A directory that
// cannot be written is an error.
func Open(path string) (*Dir, error) {
	d := &Dir{path: path}
	for _, sub := range []string{"journal", "cache", "spool"} {
		if err := os.MkdirAll(filepath.Join(path, sub), 0o700); err != nil {
			return nil, fmt.Errorf("open state directory: %w", err)
		}
	}
	return d, nil
}

// At names a state directory for those who only read it. Nothing is made.
func At(path string) *Dir { return &Dir{path: path} }

// Path returns the directory's own path.
func (d *Dir) Path() string { return d.path }

// CacheDir is where the repository's local cache lies.
func (d *Dir) CacheDir() string { return filepath.Join(d.path, "cache") }

// SpoolDir is where the spools of second walks lie while a run lasts.
func (d *Dir) SpoolDir() string { return filepath.Join(d.path, "spool") }

// ClearSpool removes what a killed run left in the spool folder. The caller
// holds the run lock.
func (d *Dir) ClearSpool() error {
	entries, err := os.ReadDir(d.SpoolDir())
	if err != nil {
		return fmt.Errorf("clear spool: %w", err)
	}
	var errs []error
	for _, e := range entries {
		errs = append(errs, os.RemoveAll(filepath.Join(d.SpoolDir(), e.Name())))
	}
	return errors.Join(errs...)
}

// writeFile replaces a file by a value as JSON, so that after a crash either the old or the new
// content is there, whole.
func (d *Dir) writeFile(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return d.replaceFile(name, append(b, '\n'))
}

func (d *Dir) replaceFile(name string, content []byte) error {
	path := filepath.Join(d.path, name)
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone after the rename; an error then means nothing
	_, err = tmp.Write(content)
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// readFile reads what writeFile wrote. An absent file is reported by false.
func (d *Dir) readFile(name string, v any) (bool, error) {
	b, err := os.ReadFile(filepath.Join(d.path, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	return true, nil
}

func (d *Dir) removeFile(name string) error {
	path := filepath.Join(d.path, name)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
