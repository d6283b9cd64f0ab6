package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const lockName = "LOCK"

const (
	sharedLock = unix.LOCK_SH
	ownLock    = unix.LOCK_EX
)

// ErrLocked is in the chain of the error about a folder that another process has open.
var ErrLocked = errors.New("another process has it open")

// lockDir takes the folder for this process. The lock ends with the file, or with the process.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("cannot lock log folder: %w", err)
	}
	if err := flock(f, dir, ownLock); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := f.Truncate(0); err == nil {
		_, _ = fmt.Fprintf(f, "%d\n", os.Getpid()) // only for the message of flock
	}
	return f, nil
}

func flock(f *os.File, dir string, how int) error {
	err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		owner, _ := os.ReadFile(f.Name())
		return fmt.Errorf("cannot open log folder %s: %w (the last that did was process %s)", dir, ErrLocked, strings.TrimSpace(string(owner)))
	}
	if err != nil {
		return fmt.Errorf("cannot lock log folder %s: %w", dir, err)
	}
	return nil
}
