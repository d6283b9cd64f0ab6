package store

import (
	"encoding/binary"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// Native histograms are stored as the protobuf message io.prometheus.write.v2.Histogram without its timestamp:
// the one form that holds integer, float and custom-bucket histograms without loss. The encoders here are our
// own because the generated ones leave out a field that compares equal to zero, and so the sign of -0.

const (
	fieldCountInt      = 1
	fieldCountFloat    = 2
	fieldSum           = 3
	fieldSchema        = 4
	fieldZeroThreshold = 5
	fieldZeroInt       = 6
	fieldZeroFloat     = 7
	fieldNegSpans      = 8
	fieldNegDeltas     = 9
	fieldNegCounts     = 10
	fieldPosSpans      = 11
	fieldPosDeltas     = 12
	fieldPosCounts     = 13
	fieldResetHint     = 14
	fieldCustomValues  = 16
)

const (
	wireVarint = 0
	wireFixed  = 1
	wireBytes  = 2
)

// AppendHistogram appends the encoding of an integer histogram.
func AppendHistogram(dst []byte, h *histogram.Histogram) []byte {
	dst = appendUint(dst, fieldCountInt, h.Count)
	dst = appendDouble(dst, fieldSum, h.Sum)
	dst = appendUint(dst, fieldSchema, zigzag(int64(h.Schema)))
	dst = appendDouble(dst, fieldZeroThreshold, h.ZeroThreshold)
	dst = appendUint(dst, fieldZeroInt, h.ZeroCount)
	dst = appendSpans(dst, fieldNegSpans, h.NegativeSpans)
	dst = appendDeltas(dst, fieldNegDeltas, h.NegativeBuckets)
	dst = appendSpans(dst, fieldPosSpans, h.PositiveSpans)
	dst = appendDeltas(dst, fieldPosDeltas, h.PositiveBuckets)
	dst = appendUint(dst, fieldResetHint, uint64(h.CounterResetHint))
	return appendDoubles(dst, fieldCustomValues, h.CustomValues)
}

// AppendFloatHistogram appends the encoding of a float histogram.
func AppendFloatHistogram(dst []byte, h *histogram.FloatHistogram) []byte {
	dst = appendDouble(dst, fieldCountFloat, h.Count)
	dst = appendDouble(dst, fieldSum, h.Sum)
	dst = appendUint(dst, fieldSchema, zigzag(int64(h.Schema)))
	dst = appendDouble(dst, fieldZeroThreshold, h.ZeroThreshold)
	dst = appendDouble(dst, fieldZeroFloat, h.ZeroCount)
	dst = appendSpans(dst, fieldNegSpans, h.NegativeSpans)
	dst = appendDoubles(dst, fieldNegCounts, h.NegativeBuckets)
	dst = appendSpans(dst, fieldPosSpans, h.PositiveSpans)
	dst = appendDoubles(dst, fieldPosCounts, h.PositiveBuckets)
	dst = appendUint(dst, fieldResetHint, uint64(h.CounterResetHint))
	return appendDoubles(dst, fieldCustomValues, h.CustomValues)
}

// DecodeHistogram reads an encoding; of the two results the one that was encoded is set. It keeps nothing of
// the blob.
func DecodeHistogram(blob []byte) (*histogram.Histogram, *histogram.FloatHistogram, error) {
	var m writev2.Histogram
	if err := m.Unmarshal(blob); err != nil {
		return nil, nil, Invalidf("cannot decode stored histogram of %d bytes: %w", len(blob), err)
	}
	if m.IsFloatHistogram() {
		return nil, m.ToFloatHistogram(), nil
	}
	return m.ToIntHistogram(), nil, nil
}

func appendTag(dst []byte, field, wire uint64) []byte {
	return binary.AppendUvarint(dst, field<<3|wire)
}

func appendUint(dst []byte, field, v uint64) []byte {
	return binary.AppendUvarint(appendTag(dst, field, wireVarint), v)
}

func appendDouble(dst []byte, field uint64, v float64) []byte {
	return binary.LittleEndian.AppendUint64(appendTag(dst, field, wireFixed), math.Float64bits(v))
}

func appendDoubles(dst []byte, field uint64, vs []float64) []byte {
	if len(vs) == 0 {
		return dst
	}
	dst = binary.AppendUvarint(appendTag(dst, field, wireBytes), uint64(8*len(vs)))
	for _, v := range vs {
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
	}
	return dst
}

func appendDeltas(dst []byte, field uint64, vs []int64) []byte {
	if len(vs) == 0 {
		return dst
	}
	size := 0
	for _, v := range vs {
		size += uvarintLen(zigzag(v))
	}
	dst = binary.AppendUvarint(appendTag(dst, field, wireBytes), uint64(size))
	for _, v := range vs {
		dst = binary.AppendUvarint(dst, zigzag(v))
	}
	return dst
}

func appendSpans(dst []byte, field uint64, spans []histogram.Span) []byte {
	for _, s := range spans {
		offset, length := zigzag(int64(s.Offset)), uint64(s.Length)
		dst = binary.AppendUvarint(appendTag(dst, field, wireBytes), uint64(2+uvarintLen(offset)+uvarintLen(length)))
		dst = appendUint(dst, 1, offset)
		dst = appendUint(dst, 2, length)
	}
	return dst
}

func zigzag(v int64) uint64 { return uint64(v)<<1 ^ uint64(v>>63) }

func uvarintLen(v uint64) int {
	n := 1
	for v >= 0x80 {
		v >>= 7
		n++
	}
	return n
}
