package embedded

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// file is what the log needs of a segment's file.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error

	// sync makes what was written durable.
	sync() error
}

// diskFile is a file on the disk.
type diskFile struct{ *os.File }

// makeDir creates a folder and those above it that are missing, and makes their names durable.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o750); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// syncDir makes names that were created in, or removed from, the folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
