package embedded

import (
	"errors"
	"io"
	"os"
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

// syncDir makes names that were created in, or removed from, the folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
