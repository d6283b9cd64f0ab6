// Package record owns the bytes of a record in the log: one columnar block that carries part of a
// [store.Batch], all of it for one partition. README.md is the specification of the format. What a record
// means (which label sets travel, who reads it) is left to package kafka; the package does no I/O.
package record

import (
	"errors"
	"fmt"
)

// The first byte of a record is its version. Version 2 is version 1 with a retention class, and is written only where
// there is one.
const (
	version      = 1
	versionClass = 2
)

// ErrCorrupt is in the chain of every error about bytes that are no record of a known version.
var ErrCorrupt = errors.New("corrupt record")

// VersionError says that a record was written by a newer program: it is intact, but only that program can
// read it.
type VersionError struct{ Version byte }

// Error names the version.
func (e *VersionError) Error() string {
	return fmt.Sprintf("record has format version %d, this program reads versions up to %d: it was written by a newer version of the program", e.Version, versionClass)
}

// Class returns the retention class of a record. What is not a record has 0; Decode tells why.
func Class(data []byte) uint8 {
	if len(data) < 2 || data[0] != versionClass {
		return 0
	}
	return data[1]
}

// Modes of the two columns that are most often constant.
const (
	columnEqual = 0 // one value stands for the whole column
	columnPlain = 1 // a value for each row
)

// keyBytes is the size of an encoded store.Key.
const keyBytes = 12

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrCorrupt}, args...)...)
}
