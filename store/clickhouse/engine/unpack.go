package engine

import (
	"archive/tar"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
)

// check compares the tarball with the checksum in this program.
func (f *fetcher) check(tarball string) error {
	if f.pkg.integrity == "" {
		f.say("this program has no checksum of its own for this platform; npm compared the package with the registry's")
		return nil
	}
	file, err := os.Open(tarball)
	if err != nil {
		return fmt.Errorf("cannot open the package: %w", err)
	}
	defer file.Close()
	hash := sha512.New()
	if _, err := io.Copy(hash, file); err != nil {
		return fmt.Errorf("cannot read the package: %w", err)
	}
	got := "sha512-" + base64.StdEncoding.EncodeToString(hash.Sum(nil))
	if got != f.pkg.integrity {
		return fmt.Errorf("the package is not the expected one and was removed: its checksum is %s instead of %s; try again, and if it stays so do not trust the registry that the npm client is set to", got, f.pkg.integrity)
	}
	return nil
}

// unpack writes one file of a gzipped tarball to a path and syncs it.
func unpack(ctx context.Context, tarball, name, to string) error {
	file, err := os.Open(tarball)
	if err != nil {
		return fmt.Errorf("cannot open the package: %w", err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return fmt.Errorf("cannot unpack the package: %w", err)
	}
	for entries := tar.NewReader(unzipped); ; {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("cannot unpack the package: it has no %s", name)
		}
		if err != nil {
			return fmt.Errorf("cannot unpack the package: %w", err)
		}
		if header.Name == name {
			return writeFile(ctx, to, entries)
		}
	}
}

func writeFile(ctx context.Context, path string, from io.Reader) (err error) {
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return explainDisk(fmt.Errorf("cannot unpack the package: %w", err))
	}
	defer func() {
		if e := out.Close(); err == nil {
			err = e
		}
	}()
	if _, err := io.Copy(out, contextReader{ctx, from}); err != nil {
		return explainDisk(fmt.Errorf("cannot unpack the package: %w", err))
	}
	if err := out.Sync(); err != nil {
		return explainDisk(fmt.Errorf("cannot write the unpacked library to the disk: %w", err))
	}
	return nil
}

// contextReader is a reader that ends when its context does.
type contextReader struct {
	ctx  context.Context
	from io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.from.Read(p)
}
