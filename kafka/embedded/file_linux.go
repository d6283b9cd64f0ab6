package embedded

import "golang.org/x/sys/unix"

func (f diskFile) sync() error { return unix.Fdatasync(int(f.Fd())) }
