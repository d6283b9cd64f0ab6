package codec

import (
	"encoding/binary"
	"math"

	"github.com/metricstream/metricstream/store"
)

// The protobuf wire format. Like the generated decoders, these accept unknown fields and groups, packed and
// unpacked lists, and let the last of several values win; they refuse a known field of the wrong wire type.

const (
	wireVarint     = 0
	wireFixed64    = 1
	wireBytes      = 2
	wireStartGroup = 3
	wireEndGroup   = 4
	wireFixed32    = 5
)

var (
	errTruncated = store.Invalidf("the protobuf message is truncated")
	errVarint    = store.Invalidf("the protobuf message has a varint of more than 64 bits")
	errTag       = store.Invalidf("the protobuf message has an illegal tag")
	errWireType  = store.Invalidf("the protobuf message has a known field of the wrong wire type")
)

// reader walks over the fields of one message. The first error ends the walk and stays.
type reader struct {
	buf []byte
	pos int
	err error
}

// next reads the tag of the next field; ok is false at the end of the message and after an error.
func (r *reader) next() (field int32, wire int, ok bool) {
	if r.err != nil || r.pos >= len(r.buf) {
		return 0, 0, false
	}
	tag := uint64(r.buf[r.pos])
	if tag < 0x80 {
		r.pos++
	} else {
		tag = r.varintSlow()
	}
	field, wire = int32(tag>>3), int(tag&7)
	if field <= 0 || wire == wireEndGroup {
		r.fail(errTag)
	}
	return field, wire, r.err == nil
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// varint reads a varint.
func (r *reader) varint() uint64 {
	if r.pos < len(r.buf) && r.buf[r.pos] < 0x80 {
		r.pos++
		return uint64(r.buf[r.pos-1])
	}
	return r.varintSlow()
}

func (r *reader) varintSlow() uint64 {
	var v uint64
	pos := r.pos
	for shift := uint(0); shift < 64; shift += 7 {
		if pos >= len(r.buf) {
			r.fail(errTruncated)
			return 0
		}
		b := r.buf[pos]
		pos++
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			r.pos = pos
			return v
		}
	}
	r.fail(errVarint)
	return 0
}

// bytes reads a length and that many bytes.
func (r *reader) bytes() []byte {
	n := r.varint()
	if n > uint64(len(r.buf)-r.pos) {
		r.fail(errTruncated)
		return nil
	}
	b := r.buf[r.pos : r.pos+int(n)]
	r.pos += int(n)
	return b
}

// fixed64 reads eight bytes.
func (r *reader) fixed64() uint64 {
	if len(r.buf)-r.pos < 8 {
		r.fail(errTruncated)
		return 0
	}
	v := binary.LittleEndian.Uint64(r.buf[r.pos:])
	r.pos += 8
	return v
}

// Each of the following reads a field of one type whose tag had this wire type.

func (r *reader) messageField(wire int) []byte {
	if wire != wireBytes {
		r.fail(errWireType)
		return nil
	}
	return r.bytes()
}

func (r *reader) varintField(wire int) uint64 {
	if wire != wireVarint {
		r.fail(errWireType)
		return 0
	}
	return r.varint()
}

func (r *reader) doubleField(wire int) float64 {
	if wire != wireFixed64 {
		r.fail(errWireType)
		return 0
	}
	return math.Float64frombits(r.fixed64())
}

// varintList reads a field of a list of varints, packed or not, and yields each.
func (r *reader) varintList(wire int, yield func(uint64)) {
	switch wire {
	case wireVarint:
		if v := r.varint(); r.err == nil {
			yield(v)
		}
	case wireBytes:
		list := reader{buf: r.bytes()}
		for list.err == nil && list.pos < len(list.buf) {
			if v := list.varint(); list.err == nil {
				yield(v)
			}
		}
		r.fail(list.err)
	default:
		r.fail(errWireType)
	}
}

// skip passes over a field that is not known.
func (r *reader) skip(wire int) {
	depth := 0
	for r.err == nil {
		switch wire {
		case wireVarint:
			r.varint()
		case wireFixed64:
			r.advance(8)
		case wireBytes:
			r.bytes()
		case wireStartGroup:
			depth++
		case wireEndGroup:
			depth--
		case wireFixed32:
			r.advance(4)
		default:
			r.fail(errTag)
		}
		if depth <= 0 {
			return
		}
		if r.pos >= len(r.buf) {
			r.fail(errTruncated)
			return
		}
		wire = int(r.varint() & 7)
	}
}

func (r *reader) advance(n int) {
	if len(r.buf)-r.pos < n {
		r.fail(errTruncated)
		return
	}
	r.pos += n
}

func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

// unzigzag32 is of a sint32, of which only the lower 32 bits count.
func unzigzag32(v uint64) int32 { return int32(uint32(v)>>1) ^ -int32(v&1) }

// doubleList reads a field of a list of doubles, packed or not, and yields each.
func (r *reader) doubleList(wire int, yield func(float64)) {
	switch wire {
	case wireFixed64:
		if v := r.doubleField(wire); r.err == nil {
			yield(v)
		}
	case wireBytes:
		list := reader{buf: r.bytes()}
		for list.err == nil && list.pos < len(list.buf) {
			if v := list.doubleField(wireFixed64); list.err == nil {
				yield(v)
			}
		}
		r.fail(list.err)
	default:
		r.fail(errWireType)
	}
}
