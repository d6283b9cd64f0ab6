//go:build !failpoints

// Package failpoint owns the places where tests end a process: each is a line of code that names a moment at which
// a crash must lose nothing. They exist only in programs built with `-tags failpoints`; in every other program the
// calls are empty and the compiler leaves nothing of them. test/chaos drives them.
package failpoint

// Hit does nothing in this build.
func Hit(name string) {}

// Do does nothing in this build.
func Do(name string, first func()) {}
