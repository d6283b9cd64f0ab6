package testenv

import "syscall"

// deathSignal makes a child end with this process, however this process ends.
func deathSignal() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
