package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

const libraryFile = "libchdb.so"

// Fetch returns the path of the engine's library in the cache folder, and gets it there first where it is
// missing: the npm client downloads the package, which runs nothing of it, its checksum is compared with the one
// in this program, and the library is unpacked. Progress is written in lines that a person can follow; nil
// is none. Any number of processes may fetch into one folder at once: one does, the others wait.
func Fetch(ctx context.Context, cacheDir string, progress io.Writer) (string, error) {
	p, err := platformPackage()
	if err != nil {
		return "", err
	}
	f := fetcher{pkg: p, npm: "npm", dir: filepath.Join(cacheDir, "clickhouse-engine"), progress: progress}
	if progress == nil {
		f.progress = io.Discard
	}
	return f.fetch(ctx)
}

// fetcher gets one package into one folder.
type fetcher struct {
	pkg      pkg
	npm      string
	dir      string
	progress io.Writer
}

func (f *fetcher) fetch(ctx context.Context) (string, error) {
	library := filepath.Join(f.dir, Version+"-"+filepath.Base(f.pkg.name), libraryFile)
	if _, err := os.Stat(library); err == nil {
		return library, nil
	}
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return "", fmt.Errorf("cannot make the cache folder of the ClickHouse engine, set %s to one that can be written: %w", CacheEnv, err)
	}
	unlock, err := f.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(library); err == nil {
		return library, nil // another process was faster
	}
	if err := f.fetchLocked(ctx, library); err != nil {
		return "", fmt.Errorf("cannot fetch the ClickHouse engine (%s): %w", f.pkg.spec(), err)
	}
	return library, nil
}

// fetchLocked downloads, checks and unpacks in a folder of its own, and moves the library to its place last.
func (f *fetcher) fetchLocked(ctx context.Context, library string) error {
	f.removeLeftovers()
	work, err := os.MkdirTemp(f.dir, leftoverPrefix)
	if err != nil {
		return explainDisk(err)
	}
	defer os.RemoveAll(work)

	started := time.Now()
	f.say("fetching the ClickHouse engine, %s, once into %s", f.pkg.spec(), f.dir)
	tarball, err := f.download(ctx, work)
	if err != nil {
		return err
	}
	if err := f.check(tarball); err != nil {
		return err
	}
	f.say("unpacking")
	unpacked := filepath.Join(work, libraryFile)
	if err := unpack(ctx, tarball, "package/"+libraryFile, unpacked); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(library), 0o755); err != nil {
		return explainDisk(err)
	}
	if err := os.Rename(unpacked, library); err != nil {
		return explainDisk(err)
	}
	f.say("the ClickHouse engine is ready after %.0f s", time.Since(started).Seconds())
	return nil
}

const leftoverPrefix = "fetching-"

// removeLeftovers removes what a fetch that was killed left behind; the lock says that none is going on.
func (f *fetcher) removeLeftovers() {
	old, _ := filepath.Glob(filepath.Join(f.dir, leftoverPrefix+"*"))
	for _, dir := range old {
		_ = os.RemoveAll(dir)
	}
}

// lock waits until no other process fetches into the folder.
func (f *fetcher) lock(ctx context.Context) (unlock func(), err error) {
	for waited := false; ; waited = true {
		file, err := tryLock(filepath.Join(f.dir, "fetch.lock"))
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, errLocked) {
			return nil, err
		}
		if !waited {
			f.say("waiting for another process that fetches the ClickHouse engine")
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("cannot fetch the ClickHouse engine, another process is at it: %w", context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (f *fetcher) say(format string, args ...any) {
	fmt.Fprintf(f.progress, format+"\n", args...)
}
