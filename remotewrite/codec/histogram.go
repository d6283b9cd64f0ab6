package codec

import (
	"fmt"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/histogram"
)

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

// histogram decodes a Histogram message.
func (r *Request) histogram(t *target, msg []byte, v Version, seriesStartMs int64) error {
	if err := r.count(); err != nil {
		return err
	}
	p := &r.parts
	p.reset(r.decoder.limits.Buckets)
	if err := p.parse(msg, v); err != nil {
		return err
	}
	if t.series == nil {
		t.lost++
		return nil
	}
	from := len(r.blobs)
	count, err := r.appendHistogram(p)
	if err != nil {
		r.blobs = r.blobs[:from]
		r.Rejected.add(BadHistogram, 1, func() string {
			return fmt.Sprintf("series %s at %d: %v", showSeries(t.series.labels), p.timeMs, err)
		})
		return nil
	}
	i := r.open(t, p.timeMs)
	if i < 0 {
		r.blobs = r.blobs[:from]
		return nil
	}
	r.Batch.Histograms = append(r.Batch.Histograms, store.Histogram{
		Key: t.series.key, TimeMs: p.timeMs, Count: count, Sum: p.sum, Blob: r.blobs[from:len(r.blobs):len(r.blobs)],
	})
	startMs := p.startMs
	if startMs == 0 {
		startMs = seriesStartMs
	}
	r.addStart(i, p.timeMs, startMs)
	r.Accepted.Histograms++
	return nil
}

// appendHistogram validates the histogram, appends its canonical encoding to r.blobs and returns its count.
func (r *Request) appendHistogram(p *histogramParts) (float64, error) {
	if p.tooMany {
		return 0, fmt.Errorf("the histogram has more than %d spans, buckets or bounds", p.limit)
	}
	hint := histogram.UnknownCounterReset
	if p.hint <= uint64(histogram.GaugeType) {
		hint = histogram.CounterResetHint(p.hint)
	}
	if p.isFloat {
		h := &r.floats
		*h = histogram.FloatHistogram{
			CounterResetHint: hint, Schema: p.schema, ZeroThreshold: p.zeroThreshold, Count: p.countFloat, Sum: p.sum,
			PositiveSpans: p.posSpans, NegativeSpans: p.negSpans, PositiveBuckets: p.posCounts, NegativeBuckets: p.negCounts,
			CustomValues: orNil(p.custom),
		}
		if p.zeroIsFloat {
			h.ZeroCount = p.zero
		}
		if tooFine(h.Schema) {
			if err := h.ReduceResolution(histogram.ExponentialSchemaMax); err != nil {
				return 0, err
			}
		}
		if err := h.Validate(); err != nil {
			return 0, err
		}
		r.blobs = store.AppendFloatHistogram(r.blobs, h)
		return h.Count, nil
	}
	h := &r.ints
	*h = histogram.Histogram{
		CounterResetHint: hint, Schema: p.schema, ZeroThreshold: p.zeroThreshold, Count: p.countInt, Sum: p.sum,
		PositiveSpans: p.posSpans, NegativeSpans: p.negSpans, PositiveBuckets: p.posDeltas, NegativeBuckets: p.negDeltas,
		CustomValues: orNil(p.custom),
	}
	if !p.zeroIsFloat {
		h.ZeroCount = p.zeroInt
	}
	if tooFine(h.Schema) {
		if err := h.ReduceResolution(histogram.ExponentialSchemaMax); err != nil {
			return 0, err
		}
	}
	if err := h.Validate(); err != nil {
		return 0, err
	}
	r.blobs = store.AppendHistogram(r.blobs, h)
	return float64(h.Count), nil
}

// tooFine reports whether a schema is one of those that are reduced to the finest that is stored.
func tooFine(schema int32) bool {
	return histogram.IsExponentialSchemaReserved(schema) && schema > histogram.ExponentialSchemaMax
}

// orNil returns nil for no values: the validation of exponential schemas asks for nil.
func orNil(vs []float64) []float64 {
	if len(vs) == 0 {
		return nil
	}
	return vs
}

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
