package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// orphanTimeout is how long a start waits for the engine of a killed predecessor to shut down.
const orphanTimeout = time.Minute

var errLocked = errors.New("locked")

// locks keep a second engine out of a folder. The owner's is held by the process that supervises, the
// engine's also by the host, which inherits it: when the owner was killed, its engine may still be closing.
type locks struct {
	owner, engine *os.File
}

func (l *locks) release() {
	l.engine.Close()
	l.owner.Close()
}

func lockDir(ctx context.Context, dir string) (*locks, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the ClickHouse engine's folder: %w", err)
	}
	owner, err := tryLock(filepath.Join(dir, "owner.lock"))
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("cannot start a ClickHouse engine in %s: another process has one running there; stop it or choose another folder", dir)
	}
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(orphanTimeout)
	for {
		engine, err := tryLock(filepath.Join(dir, "engine.lock"))
		if err == nil {
			return &locks{owner: owner, engine: engine}, nil
		}
		if !errors.Is(err, errLocked) {
			owner.Close()
			return nil, err
		}
		if time.Now().After(deadline) {
			owner.Close()
			return nil, fmt.Errorf("cannot start a ClickHouse engine in %s: the engine of an earlier process has not ended there for %s; end it", dir, orphanTimeout)
		}
		select {
		case <-ctx.Done():
			owner.Close()
			return nil, fmt.Errorf("cannot start a ClickHouse engine in %s: an earlier one is still closing there: %w", dir, context.Cause(ctx))
		case <-time.After(pollInterval):
		}
	}
}

// tryLock returns the locked file, errLocked when somebody else has it. Closing the file, or the end of all
// processes that inherited it, frees the lock.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open a lock file: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errLocked
	}
	return nil, fmt.Errorf("cannot lock %s: %w", path, err)
}
