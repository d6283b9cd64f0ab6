package codec

import (
	"encoding/binary"
	"math"
)

// The Sample message, of which both versions have the same fields, 3 excepted.
const (
	sampleValue = 1
	sampleTime  = 2
	sampleStart = 3 // 2.0 only

	plainSampleBytes = 16 // value and time
	startedBytes     = 23 // value, time and start
)

// sample decodes a Sample message. A start timestamp of its own counts before that of its series.
func (r *Request) sample(t *target, msg []byte, v Version, seriesStartMs int64) error {
	if err := r.count(); err != nil {
		return err
	}
	s, ok := plainSample(msg, v)
	if !ok {
		var err error
		if s, err = anySample(msg, v); err != nil {
			return err
		}
	}
	if s.startMs == 0 {
		s.startMs = seriesStartMs
	}
	r.addFloat(t, s.timeMs, s.value, s.startMs)
	return nil
}

type sample struct {
	value           float64
	timeMs, startMs int64
}

func anySample(msg []byte, v Version) (s sample, _ error) {
	in := reader{buf: msg}
	for {
		field, wire, ok := in.next()
		if !ok {
			return s, in.err
		}
		switch {
		case field == sampleValue:
			s.value = in.doubleField(wire)
		case field == sampleTime:
			s.timeMs = int64(in.varintField(wire))
		case field == sampleStart && v == V2:
			s.startMs = int64(in.varintField(wire))
		default:
			in.skip(wire)
		}
	}
}

// plainSample decodes a Sample message as nearly all are: a value, a time of six bytes, which is any from 2004 to
// 2109, in 2.0 perhaps a start of six bytes, and nothing else.
func plainSample(msg []byte, v Version) (s sample, ok bool) {
	if len(msg) != plainSampleBytes && (len(msg) != startedBytes || v != V2) {
		return s, false
	}
	if msg[0] != sampleValue<<3|wireFixed64 || msg[9] != sampleTime<<3|wireVarint {
		return s, false
	}
	s.value = math.Float64frombits(binary.LittleEndian.Uint64(msg[1:]))
	s.timeMs, ok = sixBytes(msg[8:])
	if len(msg) == startedBytes && ok {
		s.startMs, ok = sixBytes(msg[15:])
		ok = ok && msg[16] == sampleStart<<3|wireVarint
	}
	return s, ok
}

// sixBytes decodes the varint of six bytes behind the first two of b.
func sixBytes(b []byte) (int64, bool) {
	x := binary.LittleEndian.Uint64(b) >> 16
	if x&0x808080808080 != 0x008080808080 {
		return 0, false
	}
	return int64(x&0x7f | x>>1&(0x7f<<7) | x>>2&(0x7f<<14) | x>>3&(0x7f<<21) | x>>4&(0x7f<<28) | x>>5&(0x7f<<35)), true
}
