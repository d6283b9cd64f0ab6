package adapter_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/memory"
)

// spanMs is the time that the random data covers, from 0 on.
const spanMs = 40 * 60 * 1000

// stores takes the same samples into Prometheus' own database and into the reference store.
type stores struct {
	t      testing.TB
	rng    *rand.Rand
	prom   storage.Storage
	app    storage.AppenderV2
	memory *memory.Store
	batch  store.Batch
}

// randomStores fills both with metrics of all kinds.
func randomStores(t testing.TB, rng *rand.Rand) *stores {
	s := &stores{t: t, rng: rng, prom: promqltest.NewBuiltinTestStorage(t), memory: memory.New()}
	s.app = s.prom.AppenderV2(context.Background())
	for _, metric := range []struct {
		name string
		fill func(labels.Labels, int64)
	}{
		// In the order of labels: some results depend on which series is the first, in Prometheus the oldest.
		{"counter_total", s.counter}, {"custom", s.custom}, {"gauge", s.gauge}, {"gauge_hist", s.gaugeHistograms}, {"hist", s.histograms}, {"mixed", s.mixed},
	} {
		for i := range 1 + rng.IntN(3) {
			for _, job := range []string{"a", "b"} {
				metric.fill(labels.FromStrings("__name__", metric.name, "instance", fmt.Sprint(i), "job", job), []int64{15_000, 30_000, 60_000}[rng.IntN(3)])
			}
		}
	}
	if err := s.app.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := s.memory.Write(context.Background(), &s.batch); err != nil {
		t.Fatal(err)
	}
	return s
}

// each calls f for the times of a series: on the beat or with some jitter, with holes. A hole may begin with a marker.
func (s *stores) each(stepMs int64, f func(timeMs int64, stale bool)) {
	begin, jitterMs := int64(0), int64(1)
	if s.rng.IntN(2) == 0 {
		begin, jitterMs = s.rng.Int64N(stepMs), 3
	}
	for at := begin; at < spanMs; at += stepMs {
		if s.rng.IntN(25) == 0 {
			if s.rng.IntN(2) == 0 {
				f(at, true)
			}
			at += stepMs * s.rng.Int64N(14)
			continue
		}
		f(at+s.rng.Int64N(jitterMs), false)
	}
}

func (s *stores) add(ls labels.Labels, timeMs, startMs int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram) {
	if _, err := s.app.Append(0, ls, startMs, timeMs, v, h, fh, storage.AppendV2Options{}); err != nil {
		s.t.Fatalf("Prometheus refuses %s at %d: %v", ls, timeMs, err)
	}
	key := store.KeyOf(store.DefaultTenant, ls)
	s.batch.Series = append(s.batch.Series, store.Series{Tenant: store.DefaultTenant, Key: key, Labels: ls, MinMs: timeMs, MaxMs: timeMs})
	s.batch.Starts = append(s.batch.Starts, store.Start{Key: key, TimeMs: timeMs, StartMs: startMs})
	switch {
	case h != nil:
		s.batch.Histograms = append(s.batch.Histograms, store.Histogram{Key: key, TimeMs: timeMs, Count: float64(h.Count), Sum: h.Sum, Blob: store.AppendHistogram(nil, h)})
	case fh != nil:
		s.batch.Histograms = append(s.batch.Histograms, store.Histogram{Key: key, TimeMs: timeMs, Count: fh.Count, Sum: fh.Sum, Blob: store.AppendFloatHistogram(nil, fh)})
	default:
		d, _ := store.DecimalOf(v, 0)
		s.batch.Samples.Append(key, timeMs, d)
	}
}

var stale = math.Float64frombits(value.StaleNaN)

// counter has resets, and start timestamps in every second series.
func (s *stores) counter(ls labels.Labels, stepMs int64) {
	v, started := 0.0, int64(0)
	withStarts := s.rng.IntN(2) == 0
	s.each(stepMs, func(at int64, isStale bool) {
		if isStale {
			s.add(ls, at, 0, stale, nil, nil)
			return
		}
		if s.rng.IntN(20) == 0 {
			v = float64(s.rng.IntN(3))
			if withStarts {
				started = max(1, at-s.rng.Int64N(stepMs))
			}
		}
		v += float64(s.rng.IntN(50)) / 4
		s.add(ls, at, started, v, nil, nil)
	})
}

func (s *stores) gauge(ls labels.Labels, stepMs int64) {
	odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 0, 1e300, 1e-300}
	s.each(stepMs, func(at int64, isStale bool) {
		v := s.rng.NormFloat64() * 10
		switch {
		case isStale:
			v = stale
		case s.rng.IntN(30) == 0:
			v = odd[s.rng.IntN(len(odd))]
		}
		s.add(ls, at, 0, v, nil, nil)
	})
}

// observe returns an integer histogram with observations added; now and then it begins again.
func (s *stores) observe(h *histogram.Histogram) *histogram.Histogram {
	if h == nil || s.rng.IntN(20) == 0 {
		h = &histogram.Histogram{
			Schema: 0, ZeroThreshold: 0.001,
			PositiveSpans: []histogram.Span{{Offset: int32(s.rng.IntN(3)), Length: 2}, {Offset: 1, Length: 2}}, PositiveBuckets: make([]int64, 4),
			NegativeSpans: []histogram.Span{{Offset: 1, Length: 1}}, NegativeBuckets: make([]int64, 1),
		}
	}
	h = h.Copy()
	h.CounterResetHint = histogram.UnknownCounterReset
	counts, last := make([]int64, len(h.PositiveBuckets)), int64(0)
	for i, d := range h.PositiveBuckets {
		last += d
		more := s.rng.Int64N(5)
		counts[i] = last + more
		h.Count += uint64(more)
		h.Sum += float64(more) * float64(i+1)
	}
	last = 0
	for i, c := range counts {
		h.PositiveBuckets[i] = c - last
		last = c
	}
	h.NegativeBuckets[0]++
	h.ZeroCount++
	h.Count += 2
	h.Sum -= 1.5
	return h
}

func staleHistogram() *histogram.Histogram { return &histogram.Histogram{Sum: stale} }

func (s *stores) histograms(ls labels.Labels, stepMs int64) {
	var h *histogram.Histogram
	floats := s.rng.IntN(2) == 0
	s.each(stepMs, func(at int64, isStale bool) {
		h = s.observe(h)
		switch {
		case isStale && floats:
			s.add(ls, at, 0, 0, nil, &histogram.FloatHistogram{Sum: stale})
		case isStale:
			s.add(ls, at, 0, 0, staleHistogram(), nil)
		case floats:
			s.add(ls, at, 0, 0, nil, h.ToFloat(nil))
		default:
			s.add(ls, at, 0, 0, h, nil)
		}
	})
}

func (s *stores) gaugeHistograms(ls labels.Labels, stepMs int64) {
	s.each(stepMs, func(at int64, isStale bool) {
		h := s.observe(nil)
		h.CounterResetHint = histogram.GaugeType
		if isStale {
			h = staleHistogram()
		}
		s.add(ls, at, 0, 0, h, nil)
	})
}

// mixed changes between floats and histograms.
func (s *stores) mixed(ls labels.Labels, stepMs int64) {
	floats := false
	var h *histogram.Histogram
	s.each(stepMs, func(at int64, isStale bool) {
		h = s.observe(h)
		if s.rng.IntN(10) == 0 {
			floats = !floats
		}
		switch {
		case floats && isStale:
			s.add(ls, at, 0, stale, nil, nil)
		case floats:
			s.add(ls, at, 0, s.rng.Float64(), nil, nil)
		case isStale:
			s.add(ls, at, 0, 0, staleHistogram(), nil)
		default:
			s.add(ls, at, 0, 0, h, nil)
		}
	})
}

// custom has custom buckets, whose bounds change now and then.
func (s *stores) custom(ls labels.Labels, stepMs int64) {
	n, bounds := int64(0), []float64{0.5, 1, 2.5}
	s.each(stepMs, func(at int64, isStale bool) {
		if s.rng.IntN(30) == 0 {
			bounds = []float64{0.5, 1 + s.rng.Float64(), 2.5}
		}
		n += s.rng.Int64N(4)
		if s.rng.IntN(20) == 0 {
			n = 0
		}
		h := &histogram.Histogram{
			Schema: histogram.CustomBucketsSchema, Count: uint64(4 * n), Sum: float64(n) * 1.25,
			PositiveSpans: []histogram.Span{{Length: 4}}, PositiveBuckets: []int64{n, 0, 0, 0}, CustomValues: bounds,
		}
		if isStale {
			h = staleHistogram()
		}
		s.add(ls, at, 0, 0, h, nil)
	})
}
