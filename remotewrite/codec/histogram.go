package codec

import (
	"fmt"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/histogram"
)

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
		r.Rejected.add(BadHistogram, 1, func() (string, string) {
			series := r.showSeries(t.series.labels)
			return series, fmt.Sprintf("series %s at %d: %v", series, p.timeMs, err)
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
	r.Batch.Series[i].Has |= store.HasHistograms
	r.addStart(i, p.timeMs, startMs)
	r.Accepted.Histograms++
	return nil
}

// appendHistogram validates the histogram, appends its canonical encoding to r.blobs and returns its count.
func (r *Request) appendHistogram(p *histogramParts) (float64, error) {
	if p.tooMany {
		return 0, fmt.Errorf("the histogram has more than %d spans, buckets or bounds", p.limit)
	}
	if p.isFloat {
		h := &r.floats
		p.toFloat(h)
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
	p.toInt(h)
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

func (p *histogramParts) toFloat(h *histogram.FloatHistogram) {
	*h = histogram.FloatHistogram{
		CounterResetHint: p.resetHint(), Schema: p.schema, ZeroThreshold: p.zeroThreshold, Count: p.countFloat, Sum: p.sum,
		PositiveSpans: p.posSpans, NegativeSpans: p.negSpans, PositiveBuckets: p.posCounts, NegativeBuckets: p.negCounts,
		CustomValues: orNil(p.custom),
	}
	if p.zeroIsFloat {
		h.ZeroCount = p.zero
	}
}

func (p *histogramParts) toInt(h *histogram.Histogram) {
	*h = histogram.Histogram{
		CounterResetHint: p.resetHint(), Schema: p.schema, ZeroThreshold: p.zeroThreshold, Count: p.countInt, Sum: p.sum,
		PositiveSpans: p.posSpans, NegativeSpans: p.negSpans, PositiveBuckets: p.posDeltas, NegativeBuckets: p.negDeltas,
		CustomValues: orNil(p.custom),
	}
	if !p.zeroIsFloat {
		h.ZeroCount = p.zeroInt
	}
}

// resetHint returns the hint; one that does not exist says nothing.
func (p *histogramParts) resetHint() histogram.CounterResetHint {
	if p.hint > uint64(histogram.GaugeType) {
		return histogram.UnknownCounterReset
	}
	return histogram.CounterResetHint(p.hint)
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
