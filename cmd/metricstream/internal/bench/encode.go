package bench

import (
	"encoding/binary"
	"math"
)

// Protocol1 and Protocol2 are the remote-write versions that the generator speaks.
const (
	Protocol1 = "1.0"
	Protocol2 = "2.0"
)

// encoder appends samples to a request body. One belongs to one shard: its memory is used again for the next
// request.
type encoder interface {
	// reset begins a request.
	reset()
	// add appends one series with one sample.
	add(f *feed, timeMs int64, v float64)
	// request returns the compressed request, valid until reset, and its size before compression.
	request() (compressed []byte, rawBytes int)
}

func newEncoder(protocol string, symbols []string) encoder {
	if protocol == Protocol2 {
		return &encoder2{symbols: symbols, refs: make([]ref, len(symbols))}
	}
	return &encoder1{}
}

// encoder1 writes prometheus.WriteRequest.
type encoder1 struct {
	buf []byte
	squeeze
}

func (e *encoder1) reset() {
	e.buf = e.buf[:0]
	e.squeeze.reset()
}

func (e *encoder1) add(f *feed, timeMs int64, v float64) {
	size := sampleSize(timeMs, v)
	if len(e.buf)+len(f.labelBytes)+size+8 > squeezeBlock {
		e.flush()
	}
	e.buf = binary.AppendUvarint(append(e.buf, 0x0a), uint64(len(f.labelBytes)+2+size))
	e.buf = append(e.buf, f.labelBytes...)
	e.buf = appendSample(e.buf, size, timeMs, v)
}

func (e *encoder1) flush() {
	e.squeeze.add(e.buf)
	e.buf = e.buf[:0]
}

func (e *encoder1) request() ([]byte, int) {
	e.flush()
	return e.finish(), e.raw
}

// appendSample appends field 2 (samples) of a TimeSeries; it is the same in both versions. A zero value is left
// out, as Prometheus' own encoder does.
func appendSample(dst []byte, size int, timeMs int64, v float64) []byte {
	dst = append(dst, 0x12, byte(size))
	if v != 0 {
		dst = binary.LittleEndian.AppendUint64(append(dst, 0x09), math.Float64bits(v))
	}
	return binary.AppendUvarint(append(dst, 0x10), uint64(timeMs))
}

func sampleSize(timeMs int64, v float64) int {
	size := 1 + uvarintLen(uint64(timeMs))
	if v != 0 {
		size += 9
	}
	return size
}

// appendMetadata1 appends field 3 (metadata) of a prometheus.WriteRequest.
func appendMetadata1(dst []byte, m familyMeta) []byte {
	inner := binary.AppendUvarint([]byte{0x08}, uint64(m.typ))
	inner = appendString(append(inner, 0x12), m.name)
	inner = appendString(append(inner, 0x22), m.help)
	if m.unit != "" {
		inner = appendString(append(inner, 0x2a), m.unit)
	}
	return append(binary.AppendUvarint(append(dst, 0x1a), uint64(len(inner))), inner...)
}

// encoder2 writes io.prometheus.write.v2.Request. The symbol table is the request's own, as a sender's is.
type encoder2 struct {
	symbols []string // of the fleet
	refs    []ref    // by index into symbols
	number  uint32   // of the request; a ref of another one is void
	used    uint64   // symbols in this request's table

	table, rows, inner []byte
	squeeze
}

type ref struct {
	request uint32
	ref     uint32
}

func (e *encoder2) reset() {
	e.number++
	e.table, e.rows = append(e.table[:0], 0x22, 0), e.rows[:0] // symbols[0] is ""
	e.used = 1
	e.refs[0] = ref{request: e.number}
}

// lookup returns the request's reference for a symbol of the fleet.
func (e *encoder2) lookup(symbol uint32) uint64 {
	if r := e.refs[symbol]; r.request == e.number {
		return uint64(r.ref)
	}
	return e.intern(symbol)
}

func (e *encoder2) intern(symbol uint32) uint64 {
	r := e.used
	e.used++
	e.refs[symbol] = ref{request: e.number, ref: uint32(r)}
	e.table = appendString(append(e.table, 0x22), e.symbols[symbol])
	return r
}

func (e *encoder2) add(f *feed, timeMs int64, v float64) {
	in := e.inner[:0]
	for _, symbol := range f.symbols {
		in = appendRef(in, e.lookup(symbol))
	}
	refs := len(in)
	in = append(in, 0x08, byte(f.typ))
	if f.help != 0 {
		in = appendRef(append(in, 0x18), e.lookup(f.help))
	}
	if f.unit != 0 {
		in = appendRef(append(in, 0x20), e.lookup(f.unit))
	}
	e.inner = in
	meta := len(in) - refs
	size := sampleSize(timeMs, v)

	// All the parts are shorter than 128 bytes: a label set has at most 14 labels of two references.
	e.rows = binary.AppendUvarint(append(e.rows, 0x2a), uint64(2+refs+2+size+2+meta))
	e.rows = append(append(e.rows, 0x0a, byte(refs)), in[:refs]...)
	e.rows = appendSample(e.rows, size, timeMs, v)
	e.rows = append(append(e.rows, 0x2a, byte(meta)), in[refs:]...)
}

func appendRef(dst []byte, r uint64) []byte {
	if r < 0x80 {
		return append(dst, byte(r))
	}
	return binary.AppendUvarint(dst, r)
}

func (e *encoder2) request() ([]byte, int) {
	e.squeeze.reset()
	e.squeeze.add(e.table)
	e.squeeze.add(e.rows)
	return e.finish(), e.raw
}
