package record

import (
	"encoding/binary"

	"github.com/metricstream/metricstream/store"
)

// reader takes a record apart. After the first fault it returns zeros and keeps err, so that its callers need
// to look only where they loop or allocate.
type reader struct {
	buf []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = corrupt(format, args...)
	}
	r.buf = nil
}

func (r *reader) byte() byte {
	if len(r.buf) == 0 {
		r.fail("it ends too early")
		return 0
	}
	b := r.buf[0]
	r.buf = r.buf[1:]
	return b
}

// bytes returns the next n bytes, which alias the record; nil if there are fewer.
func (r *reader) bytes(n int) []byte {
	if n < 0 || len(r.buf) < n {
		r.fail("it ends too early")
		return nil
	}
	b := r.buf[:n:n]
	r.buf = r.buf[n:]
	return b
}

func (r *reader) fixed64() uint64 {
	if len(r.buf) < 8 {
		r.fail("it ends too early")
		return 0
	}
	v := binary.LittleEndian.Uint64(r.buf)
	r.buf = r.buf[8:]
	return v
}

func (r *reader) uvarint() uint64 {
	if len(r.buf) > 0 && r.buf[0] < 0x80 {
		v := uint64(r.buf[0])
		r.buf = r.buf[1:]
		return v
	}
	v, n := binary.Uvarint(r.buf)
	if n <= 0 {
		r.fail("it ends in a number")
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

func (r *reader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// count reads a number of rows that take at least size bytes each, and refuses what cannot be there: memory
// may be reserved for what it returns.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.buf)/size) {
		r.fail("%d rows in %d bytes", n, len(r.buf))
		return 0
	}
	return int(n)
}

func (r *reader) key() store.Key {
	b := r.bytes(keyBytes)
	if b == nil {
		return store.Key{}
	}
	return store.Key{Metric: binary.LittleEndian.Uint32(b), ID: binary.LittleEndian.Uint64(b[4:])}
}
