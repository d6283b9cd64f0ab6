package corpus

import (
	"encoding/binary"
	"math"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
)

// Request is what one commit of a test appended.
type Request struct {
	Series []Series
	index  map[string]int
}

// Series is one series of a request.
type Series struct {
	Labels labels.Labels
	Points []Point
}

// Point is a float sample, or a histogram where Histogram is set. A StartMs of 0 is none.
type Point struct {
	TimeMs, StartMs int64
	Value           float64
	Histogram       *histogram.FloatHistogram
}

// Append adds a point to a series.
func (r *Request) Append(ls labels.Labels, p Point) {
	if r.index == nil {
		r.index = map[string]int{}
	}
	key := string(ls.Bytes(nil))
	i, ok := r.index[key]
	if !ok {
		i = len(r.Series)
		r.index[key] = i
		r.Series = append(r.Series, Series{Labels: ls})
	}
	r.Series[i].Points = append(r.Series[i].Points, p)
}

// Batch is the request as a receiver would decode it.
func (r *Request) Batch(tenant string) *store.Batch {
	b := &store.Batch{}
	for _, s := range r.Series {
		key := store.KeyOf(tenant, s.Labels)
		listed := store.Series{Tenant: tenant, Key: key, Labels: s.Labels, MinMs: math.MaxInt64, MaxMs: math.MinInt64}
		decimals, startMs := uint8(0), int64(0)
		for _, p := range s.Points {
			listed.MinMs, listed.MaxMs = min(listed.MinMs, p.TimeMs), max(listed.MaxMs, p.TimeMs)
			if p.StartMs != startMs {
				startMs = p.StartMs
				b.Starts = append(b.Starts, store.Start{Key: key, TimeMs: p.TimeMs, StartMs: startMs})
			}
			if h := p.Histogram; h != nil {
				b.Histograms = append(b.Histograms, store.Histogram{
					Key: key, TimeMs: p.TimeMs, Count: h.Count, Sum: h.Sum, Blob: store.AppendFloatHistogram(nil, h),
				})
				continue
			}
			var d store.Decimal
			d, decimals = store.DecimalOf(p.Value, decimals)
			b.Samples.Append(key, p.TimeMs, d)
		}
		b.Series = append(b.Series, listed)
	}
	return b
}

// Marshal is the request in protobuf, as Remote Write 2.0 sends it but without compression. It is written by
// hand because the generated encoders leave out what compares equal to zero, and so the sign of -0.
func (r *Request) Marshal() []byte {
	refs := map[string]uint64{"": 0}
	symbols := []string{""}
	var body []byte
	for _, s := range r.Series {
		var series, list []byte
		s.Labels.Range(func(l labels.Label) {
			for _, text := range []string{l.Name, l.Value} {
				ref, ok := refs[text]
				if !ok {
					ref = uint64(len(symbols))
					refs[text] = ref
					symbols = append(symbols, text)
				}
				list = binary.AppendUvarint(list, ref)
			}
		})
		series = appendBytes(series, 1, list)
		for _, p := range s.Points {
			series = appendPoint(series, p)
		}
		body = appendBytes(body, 5, series)
	}
	var out []byte
	for _, s := range symbols {
		out = appendBytes(out, 4, []byte(s))
	}
	return append(out, body...)
}

func appendPoint(dst []byte, p Point) []byte {
	if p.Histogram != nil {
		h := store.AppendFloatHistogram(nil, p.Histogram)
		h = appendVarint(h, 15, p.TimeMs)
		if p.StartMs != 0 {
			h = appendVarint(h, 17, p.StartMs)
		}
		return appendBytes(dst, 3, h)
	}
	sample := binary.LittleEndian.AppendUint64([]byte{1<<3 | 1}, math.Float64bits(p.Value))
	sample = appendVarint(sample, 2, p.TimeMs)
	if p.StartMs != 0 {
		sample = appendVarint(sample, 3, p.StartMs)
	}
	return appendBytes(dst, 2, sample)
}

func appendBytes(dst []byte, field uint64, b []byte) []byte {
	dst = binary.AppendUvarint(dst, field<<3|2)
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

func appendVarint(dst []byte, field uint64, v int64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, field<<3), uint64(v))
}
