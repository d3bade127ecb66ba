package local

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/ripplebak/ripplebak/storage"
)

// named adds to an error of the operating system what storage's callers
// switch on.
func named(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return fmt.Errorf("%w: %w", storage.ErrNoSpace, err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: %w", storage.ErrDenied, err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %w", storage.ErrNotExist, err)
	}
	return err
}
