package quota

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Journal is where it is written which series were seen in a slice of time. A slice's journal is a list of records: the
// length of the tenant's name as an unsigned varint, the name, the number of ids as an unsigned varint, and the ids as
// eight bytes each, the lowest first.
type Journal interface {
	// Exchange appends records to a slice and calls visit with those that it has not called it with before; its own may
	// be among them. The ids are only good during the call. It is called by one goroutine.
	Exchange(ctx context.Context, slice int64, records []byte, visit func(tenant string, ids []uint64)) (Outcome, error)
}

// Outcome is what an exchange with a journal has met. Lost is that what the slice had before is gone, Full that the records
// were not appended because the slice would become too long.
type Outcome struct{ Lost, Full bool }

const (
	// maxJournal is how many bytes a slice's journal may have.
	maxJournal = 256 << 20

	maxRecordIDs    = 8192
	maxRecordTenant = 1024
)

func appendRecord(dst []byte, tenant string, ids []uint64) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(tenant)))
	dst = append(dst, tenant...)
	dst = binary.AppendUvarint(dst, uint64(len(ids)))
	for _, id := range ids {
		dst = binary.LittleEndian.AppendUint64(dst, id)
	}
	return dst
}

var (
	errShort  = errors.New("the journal of series ends within a record")
	errDamage = errors.New("the journal of series is damaged")
)

// visitRecords calls visit with the records in b and returns how many bytes they have. An error says why there are not
// more.
func visitRecords(b []byte, visit func(tenant string, ids []uint64)) (n int, err error) {
	var ids []uint64
	for n < len(b) {
		name, rest, err := field(b[n:], maxRecordTenant, 1)
		if err != nil {
			return n, err
		}
		list, rest, err := field(rest, maxRecordIDs, 8)
		if err != nil {
			return n, err
		}
		ids = ids[:0]
		for ; len(list) > 0; list = list[8:] {
			ids = append(ids, binary.LittleEndian.Uint64(list))
		}
		visit(string(name), ids)
		n = len(b) - len(rest)
	}
	return n, nil
}

// field returns what a number of units in front of b says that follows, and the rest.
func field(b []byte, most, unit int) (value, rest []byte, _ error) {
	n, size := binary.Uvarint(b)
	switch {
	case size == 0:
		return nil, nil, errShort
	case size < 0 || n > uint64(most):
		return nil, nil, errDamage
	case len(b)-size < int(n)*unit:
		return nil, nil, errShort
	}
	end := size + int(n)*unit
	return b[size:end], b[end:], nil
}

// Files is the journal of a process that shares with nobody, one file for each slice. It is not synced: what a crash of
// the machine takes is learnt again.
type Files struct {
	dir  string
	most int64
	read map[int64]bool
}

// NewFiles returns a journal in a folder, which is made when there is something to write.
func NewFiles(dir string) *Files {
	return &Files{dir: dir, most: maxJournal, read: make(map[int64]bool)}
}

const filePrefix = "series-"

func (f *Files) path(slice int64) string {
	return filepath.Join(f.dir, filePrefix+strconv.FormatInt(slice, 10))
}

// Exchange implements [Journal].
func (f *Files) Exchange(_ context.Context, slice int64, records []byte, visit func(tenant string, ids []uint64)) (o Outcome, _ error) {
	if !f.read[slice] {
		if err := f.load(slice, visit); err != nil {
			return o, fmt.Errorf("cannot read the journal of series: %w", err)
		}
		f.read[slice] = true
	}
	if len(records) == 0 {
		return o, nil
	}
	full, err := f.append(slice, records)
	if err != nil {
		return o, fmt.Errorf("cannot write the journal of series: %w", err)
	}
	o.Full = full
	return o, nil
}

// load reads a file and cuts off what is not whole; files of slices long past are removed.
func (f *Files) load(slice int64, visit func(tenant string, ids []uint64)) error {
	f.removeBefore(slice - keptSlices)
	b, err := os.ReadFile(f.path(slice))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if n, err := visitRecords(b, visit); err != nil {
		return os.Truncate(f.path(slice), int64(n))
	}
	return nil
}

func (f *Files) append(slice int64, records []byte) (full bool, _ error) {
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return false, err
	}
	file, err := os.OpenFile(f.path(slice), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return false, err
	}
	if info, err := file.Stat(); err != nil || info.Size()+int64(len(records)) > f.most {
		return err == nil, errors.Join(err, file.Close())
	}
	_, err = file.Write(records)
	return false, errors.Join(err, file.Close())
}

func (f *Files) removeBefore(slice int64) {
	entries, _ := os.ReadDir(f.dir) // without the folder there is nothing to remove
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), filePrefix)
		if n, err := strconv.ParseInt(digits, 10, 64); ok && err == nil && n < slice {
			_ = os.Remove(filepath.Join(f.dir, e.Name())) // it is tried again with the next slice
		}
	}
	for n := range f.read {
		if n < slice {
			delete(f.read, n)
		}
	}
}
