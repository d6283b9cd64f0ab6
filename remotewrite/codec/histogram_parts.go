package codec

import "github.com/prometheus/prometheus/model/histogram"

// The Histogram message, of which both versions have the same fields, 17 excepted.
const (
	histCountInt      = 1
	histCountFloat    = 2
	histSum           = 3
	histSchema        = 4
	histZeroThreshold = 5
	histZeroInt       = 6
	histZeroFloat     = 7
	histNegSpans      = 8
	histNegDeltas     = 9
	histNegCounts     = 10
	histPosSpans      = 11
	histPosDeltas     = 12
	histPosCounts     = 13
	histResetHint     = 14
	histTime          = 15
	histCustomValues  = 16
	histStart         = 17 // 2.0 only

	spanOffset = 1
	spanLength = 2
)

// histogramParts are the fields of a Histogram message. The slices are used again and again.
type histogramParts struct {
	isFloat, zeroIsFloat bool
	countInt, zeroInt    uint64
	countFloat, zero     float64
	sum, zeroThreshold   float64
	schema               int32
	hint                 uint64
	timeMs, startMs      int64

	negSpans, posSpans           []histogram.Span
	negDeltas, posDeltas         []int64
	negCounts, posCounts, custom []float64

	limit   int
	tooMany bool
}

func (p *histogramParts) reset(limit int) {
	*p = histogramParts{
		negSpans: p.negSpans[:0], posSpans: p.posSpans[:0],
		negDeltas: p.negDeltas[:0], posDeltas: p.posDeltas[:0],
		negCounts: p.negCounts[:0], posCounts: p.posCounts[:0], custom: p.custom[:0],
		limit: limit,
	}
}

// parse reads a Histogram message.
func (p *histogramParts) parse(msg []byte, v Version) error {
	in := reader{buf: msg}
	for {
		field, wire, ok := in.next()
		if !ok {
			return in.err
		}
		switch {
		case field == histCountInt:
			p.countInt, p.isFloat = in.varintField(wire), false
		case field == histCountFloat:
			p.countFloat, p.isFloat = in.doubleField(wire), true
		case field == histSum:
			p.sum = in.doubleField(wire)
		case field == histSchema:
			p.schema = unzigzag32(in.varintField(wire))
		case field == histZeroThreshold:
			p.zeroThreshold = in.doubleField(wire)
		case field == histZeroInt:
			p.zeroInt, p.zeroIsFloat = in.varintField(wire), false
		case field == histZeroFloat:
			p.zero, p.zeroIsFloat = in.doubleField(wire), true
		case field == histResetHint:
			p.hint = in.varintField(wire)
		case field == histTime:
			p.timeMs = int64(in.varintField(wire))
		case field == histStart && v == V2:
			p.startMs = int64(in.varintField(wire))
		case field >= histNegSpans && field <= histPosCounts || field == histCustomValues:
			p.parseBuckets(&in, field, wire)
		default:
			in.skip(wire)
		}
	}
}

func (p *histogramParts) parseBuckets(in *reader, field int32, wire int) {
	switch field {
	case histNegSpans:
		p.negSpans = p.appendSpan(p.negSpans, in, wire)
	case histPosSpans:
		p.posSpans = p.appendSpan(p.posSpans, in, wire)
	case histNegDeltas:
		p.negDeltas = p.appendDeltas(p.negDeltas, in, wire)
	case histPosDeltas:
		p.posDeltas = p.appendDeltas(p.posDeltas, in, wire)
	case histNegCounts:
		p.negCounts = p.appendDoubles(p.negCounts, in, wire)
	case histPosCounts:
		p.posCounts = p.appendDoubles(p.posCounts, in, wire)
	case histCustomValues:
		p.custom = p.appendDoubles(p.custom, in, wire)
	}
}

func (p *histogramParts) appendSpan(dst []histogram.Span, in *reader, wire int) []histogram.Span {
	var s histogram.Span
	msg := reader{buf: in.messageField(wire)}
	for {
		field, wire, ok := msg.next()
		if !ok {
			break
		}
		switch field {
		case spanOffset:
			s.Offset = unzigzag32(msg.varintField(wire))
		case spanLength:
			s.Length = uint32(msg.varintField(wire))
		default:
			msg.skip(wire)
		}
	}
	in.fail(msg.err)
	if len(dst) >= p.limit {
		p.tooMany = true
		return dst
	}
	return append(dst, s)
}

func (p *histogramParts) appendDeltas(dst []int64, in *reader, wire int) []int64 {
	in.varintList(wire, func(v uint64) {
		if len(dst) >= p.limit {
			p.tooMany = true
			return
		}
		dst = append(dst, unzigzag(v))
	})
	return dst
}

func (p *histogramParts) appendDoubles(dst []float64, in *reader, wire int) []float64 {
	in.doubleList(wire, func(v float64) {
		if len(dst) >= p.limit {
			p.tooMany = true
			return
		}
		dst = append(dst, v)
	})
	return dst
}
