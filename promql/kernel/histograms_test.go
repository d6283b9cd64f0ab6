package kernel_test

import (
	"math/rand/v2"
	"testing"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/kernel"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
)

// randomHistograms are a counter with resets, of a resolution that falls now and then; or gauges.
func randomHistograms(rng *rand.Rand) *store.SeriesData {
	d := &store.SeriesData{Labels: labels.FromStrings("__name__", "m_total")}
	gauge := rng.IntN(3) == 0
	var h *histogram.FloatHistogram
	for ms := int64(1 + rng.IntN(minuteMs)); ms < 5*hourMs; ms += int64(1 + rng.IntN(90_000)) {
		if rng.IntN(60) == 0 {
			ms += int64(rng.IntN(hourMs))
		}
		if h == nil || rng.IntN(30) == 0 {
			h = &histogram.FloatHistogram{
				Schema: int32(rng.IntN(3)), ZeroThreshold: 0.001, PositiveSpans: []histogram.Span{{Offset: int32(rng.IntN(2)), Length: 3}},
				PositiveBuckets: make([]float64, 3),
			}
		}
		h = h.Copy()
		for i := range h.PositiveBuckets {
			n := float64(rng.IntN(4))
			h.PositiveBuckets[i] += n
			h.Count += n
			h.Sum += n * float64(i)
		}
		if gauge {
			h.CounterResetHint = histogram.GaugeType
		}
		d.Histograms = append(d.Histograms, store.HistogramPoint{TimeMs: ms, Float: h})
	}
	return d
}

// FuzzHistograms holds every function against the engine.
func FuzzHistograms(f *testing.F) {
	for seed := range uint64(10) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 4))
		engine := promql.NewEngine(promql.DefaultConfig(), nil, nil)
		d := randomHistograms(rng)
		m := write(t, d)
		for range 3 {
			tier, w := randomWindows(rng)
			for _, name := range names {
				f, _ := kernel.Of(name)
				var s rollup.Series
				new(rollup.Folder).Fold(&s, d, tier, f.Columns)
				g, _, ok := f.Histograms(s.Histograms, w)
				if !ok {
					t.Errorf("%s: the rows cannot tell", name)
					continue
				}
				want, histograms := engineValues(t, engine, m, name, w)
				for i := range want {
					if !same(name, want[i], g.Values[i]) || !sameHistogram(histograms[i], g.Histograms[i]) {
						t.Errorf("%s[%d ms] at %d, tier %s: %v %v, the engine says %v %v", name, w.RangeMs, w.EndMs(i), tier,
							g.Values[i], g.Histograms[i], want[i], histograms[i])
					}
				}
			}
		}
	})
}

func sameHistogram(a, b *histogram.FloatHistogram) bool {
	if a == nil || b == nil {
		return a == b
	}
	a, b = a.Copy().Compact(0), b.Copy().Compact(0)
	near := func(x, y float64) bool { return same("sum_over_time", x, y) }
	if a.Schema != b.Schema || len(a.PositiveBuckets) != len(b.PositiveBuckets) || !near(a.Count, b.Count) || !near(a.Sum, b.Sum) || !near(a.ZeroCount, b.ZeroCount) {
		return false
	}
	for i := range a.PositiveBuckets {
		if !near(a.PositiveBuckets[i], b.PositiveBuckets[i]) {
			return false
		}
	}
	return true
}

func TestHistogramsNeedRaw(t *testing.T) {
	bounds := func(b float64) *histogram.FloatHistogram {
		return &histogram.FloatHistogram{
			Schema: histogram.CustomBucketsSchema, CustomValues: []float64{b}, Count: 1,
			PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []float64{1},
		}
	}
	d := &store.SeriesData{Histograms: []store.HistogramPoint{{TimeMs: 1, Float: bounds(1)}, {TimeMs: minuteMs + 1, Float: bounds(2)}}}
	f, _ := kernel.Of("rate")
	var s rollup.Series
	new(rollup.Folder).Fold(&s, d, rollup.Minute, f.Columns)
	w := kernel.Windows{FirstMs: 2 * minuteMs, Count: 1, RangeMs: 2 * minuteMs, BucketMs: minuteMs}
	if _, _, ok := f.Histograms(s.Histograms, w); ok {
		t.Error("bounds that differ are put together")
	}
	w.RangeMs = minuteMs
	if _, _, ok := f.Histograms(s.Histograms, w); !ok {
		t.Error("no window has bounds that differ")
	}
}
