package tiered_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/memory"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
)

const (
	minuteMs = 60_000
	hourMs   = 60 * minuteMs

	// The random data lies in (baseMs, baseMs+spanMs].
	baseMs = 480_000 * hourMs
	spanMs = 8 * hourMs
)

var stale = math.Float64frombits(value.StaleNaN)

// data makes random series of all kinds.
type data struct {
	rng   *rand.Rand
	batch store.Batch
}

// randomStore returns a store with metrics of all kinds, some series of each.
func randomStore(t testing.TB, rng *rand.Rand) *memory.Store {
	s := memory.New()
	if err := s.Write(context.Background(), randomBatch(rng)); err != nil {
		t.Fatal(err)
	}
	return s
}

// randomBatch is what is in a random store.
func randomBatch(rng *rand.Rand) *store.Batch {
	d := &data{rng: rng}
	for _, metric := range []struct {
		name string
		fill func(*series)
	}{
		{"counter_total", d.counter}, {"gauge", d.gauge}, {"odd", d.odd}, {"hist", d.histograms},
		{"gauge_hist", d.gaugeHistograms}, {"mixed", d.mixed}, {"custom", d.custom}, {"sparse_total", d.sparse},
	} {
		for i := range 3 {
			metric.fill(d.series(metric.name, i))
		}
	}
	return &d.batch
}

// series is a series that is being made.
type series struct {
	*data
	key    store.Key
	stepMs int64
	start  int64
}

func (d *data) series(name string, i int) *series {
	ls := labels.FromStrings("__name__", name, "instance", fmt.Sprint(i), "job", []string{"a", "b"}[i%2])
	key := store.KeyOf(store.DefaultTenant, ls)
	d.batch.Series = append(d.batch.Series, store.Series{
		Tenant: store.DefaultTenant, Key: key, Labels: ls, MinMs: baseMs, MaxMs: baseMs + spanMs, Has: store.HasHistograms | store.HasStarts,
	})
	return &series{data: d, key: key, stepMs: []int64{15_000, 30_000, 60_000}[d.rng.IntN(3)]}
}

// each calls f for the times of the series: on the beat, so that some lie on the edges of buckets, or with jitter;
// with holes, which may begin with a stale marker.
func (s *series) each(f func(timeMs int64, isStale bool)) {
	offset, jitter := s.stepMs, int64(1)
	if s.rng.IntN(2) == 0 {
		offset, jitter = 1+s.rng.Int64N(s.stepMs), 7
	}
	for at := int64(baseMs) + offset; at+jitter <= baseMs+spanMs; at += s.stepMs {
		if s.rng.IntN(60) == 0 {
			if s.rng.IntN(2) == 0 {
				f(at, true)
			}
			at += s.stepMs * s.rng.Int64N(1+[]int64{3, 20, 300}[s.rng.IntN(3)])
			continue
		}
		f(at+s.rng.Int64N(jitter), false)
	}
}

func (s *series) sample(at int64, v float64) {
	d, _ := store.DecimalOf(v, 0)
	s.batch.Samples.Append(s.key, at, d)
}

func (s *series) startAt(at, startMs int64) {
	if startMs != s.start {
		s.start = startMs
		s.batch.Starts = append(s.batch.Starts, store.Start{Key: s.key, TimeMs: at, StartMs: startMs})
	}
}

func (d *data) counter(s *series) {
	v, startMs := float64(d.rng.IntN(1000)), int64(0)
	withStarts := d.rng.IntN(2) == 0
	s.each(func(at int64, isStale bool) {
		if isStale {
			s.sample(at, stale)
			return
		}
		if d.rng.IntN(100) == 0 {
			v = float64(d.rng.IntN(20))
			if withStarts {
				startMs = at - d.rng.Int64N(3*s.stepMs)
				if d.rng.IntN(3) == 0 {
					v += 1e5 // only the start tells of the reset
				}
			}
		}
		v += float64(d.rng.IntN(50)) / 4
		s.startAt(at, startMs)
		s.sample(at, v)
	})
}

func (d *data) gauge(s *series) {
	v := 0.0
	s.each(func(at int64, isStale bool) {
		if d.rng.IntN(3) > 0 {
			v = d.rng.NormFloat64()*10 + 50
		}
		if isStale {
			s.sample(at, stale)
			return
		}
		s.sample(at, v)
	})
}

// odd is of values that are easily got wrong, next to each other.
func (d *data) odd(s *series) {
	odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 0, 1e300, -1.7e308, 1e-300, 1, 2}
	s.each(func(at int64, isStale bool) {
		switch {
		case isStale:
			s.sample(at, stale)
		case d.rng.IntN(200) < 5:
			s.sample(at, odd[d.rng.IntN(len(odd))])
		case d.rng.IntN(100) < 50:
			s.sample(at, math.Copysign(0, -1))
		default:
			s.sample(at, float64(d.rng.IntN(3)))
		}
	})
}

// sparse has some samples in an hour, so that many windows have one or none.
func (d *data) sparse(s *series) {
	v := 0.0
	for at := int64(baseMs); at < baseMs+spanMs; at += 1 + d.rng.Int64N(40*minuteMs) {
		v += float64(d.rng.IntN(9))
		if d.rng.IntN(10) == 0 {
			v = 0
		}
		s.sample(at-at%[]int64{1, minuteMs}[d.rng.IntN(2)], v)
	}
}

func (s *series) histogram(at int64, h *histogram.Histogram, float bool) {
	point := store.Histogram{Key: s.key, TimeMs: at, Count: float64(h.Count), Sum: h.Sum}
	if float {
		f := h.ToFloat(nil)
		point.Count, point.Blob = f.Count, store.AppendFloatHistogram(nil, f)
	} else {
		point.Blob = store.AppendHistogram(nil, h)
	}
	s.batch.Histograms = append(s.batch.Histograms, point)
}

// observe returns a histogram with observations added; now and then it begins again, or changes its resolution.
func (d *data) observe(h *histogram.Histogram) *histogram.Histogram {
	if h == nil || d.rng.IntN(100) == 0 {
		h = &histogram.Histogram{
			Schema: int32(d.rng.IntN(2)), ZeroThreshold: 0.001,
			PositiveSpans: []histogram.Span{{Offset: int32(d.rng.IntN(3)), Length: 2}, {Offset: 1, Length: 2}}, PositiveBuckets: make([]int64, 4),
			NegativeSpans: []histogram.Span{{Offset: 1, Length: 1}}, NegativeBuckets: make([]int64, 1),
		}
	}
	h = h.Copy()
	if h.Schema == 1 && d.rng.IntN(100) == 0 {
		h.Schema = 0 // the same buckets with other bounds: no reset by what the resolution alone says
	}
	counts, last := make([]int64, len(h.PositiveBuckets)), int64(0)
	for i, delta := range h.PositiveBuckets {
		last += delta
		more := d.rng.Int64N(5)
		counts[i] = last + more
		h.Count += uint64(more)
		h.Sum += float64(more) * float64(i+1)
	}
	last = 0
	for i, c := range counts {
		h.PositiveBuckets[i], last = c-last, c
	}
	h.NegativeBuckets[0]++
	h.ZeroCount++
	h.Count += 2
	h.Sum -= 1.5
	return h
}

func staleHistogram() *histogram.Histogram { return &histogram.Histogram{Sum: stale} }

func (d *data) histograms(s *series) {
	var h *histogram.Histogram
	float, startMs := d.rng.IntN(2) == 0, int64(0)
	withStarts := d.rng.IntN(2) == 0
	s.each(func(at int64, isStale bool) {
		if isStale {
			s.histogram(at, staleHistogram(), float)
			return
		}
		if withStarts && d.rng.IntN(100) == 0 {
			startMs = at - d.rng.Int64N(s.stepMs)
		}
		s.startAt(at, startMs)
		h = d.observe(h)
		s.histogram(at, h, float)
	})
}

func (d *data) gaugeHistograms(s *series) {
	s.each(func(at int64, isStale bool) {
		h := d.observe(nil)
		h.CounterResetHint = histogram.GaugeType
		if isStale {
			h = staleHistogram()
		}
		s.histogram(at, h, false)
	})
}

// mixed changes between floats and histograms.
func (d *data) mixed(s *series) {
	floats := false
	var h *histogram.Histogram
	s.each(func(at int64, isStale bool) {
		h = d.observe(h)
		if d.rng.IntN(40) == 0 {
			floats = !floats
		}
		switch {
		case floats && isStale:
			s.sample(at, stale)
		case floats:
			s.sample(at, float64(d.rng.IntN(100)))
		case isStale:
			s.histogram(at, staleHistogram(), false)
		default:
			s.histogram(at, h, false)
		}
	})
}

// custom has custom buckets, whose bounds change now and then.
func (d *data) custom(s *series) {
	n, bounds := int64(0), []float64{0.5, 1, 2.5}
	s.each(func(at int64, isStale bool) {
		if d.rng.IntN(300) == 0 {
			bounds = []float64{0.5, 1 + d.rng.Float64(), 2.5}
		}
		n += d.rng.Int64N(4)
		if d.rng.IntN(100) == 0 {
			n = 0
		}
		h := &histogram.Histogram{
			Schema: histogram.CustomBucketsSchema, Count: uint64(4 * n), Sum: float64(n) * 1.25,
			PositiveSpans: []histogram.Span{{Length: 4}}, PositiveBuckets: []int64{n, 0, 0, 0}, CustomValues: bounds,
		}
		if isStale {
			h = staleHistogram()
		}
		s.histogram(at, h, false)
	})
}
