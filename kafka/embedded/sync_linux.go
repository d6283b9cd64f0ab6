package embedded

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData makes what was written to the file durable.
func syncData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
