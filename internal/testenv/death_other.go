//go:build !linux

package testenv

import "syscall"

// deathSignal makes a child end with this process where the system can; this one cannot.
func deathSignal() *syscall.SysProcAttr { return nil }
