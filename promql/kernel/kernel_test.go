package kernel_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/adapter"
	"github.com/metricstream/metricstream/promql/kernel"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/memory"
	"github.com/metricstream/metricstream/store/rollup"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	prom "github.com/prometheus/prometheus/promql"
)

const (
	minuteMs = 60_000
	hourMs   = 60 * minuteMs
)

var names = []string{
	"rate", "increase", "delta", "irate", "idelta", "resets", "changes", "count_over_time", "present_over_time",
	"first_over_time", "last_over_time", "ts_of_first_over_time", "ts_of_last_over_time", "min_over_time",
	"max_over_time", "sum_over_time", "avg_over_time", "stdvar_over_time", "stddev_over_time",
}

// exact are the functions whose values have to be equal bit by bit.
var exact = map[string]bool{
	"resets": true, "changes": true, "count_over_time": true, "present_over_time": true, "first_over_time": true,
	"last_over_time": true, "ts_of_first_over_time": true, "ts_of_last_over_time": true, "min_over_time": true,
	"max_over_time": true, "delta": true, "irate": true, "idelta": true,
}

// sample is a random value: of a counter, or of the values that are easily got wrong.
func sample(rng *rand.Rand, v float64) float64 {
	switch n := rng.IntN(40); {
	case n == 0:
		return float64(rng.IntN(5))
	case n == 1:
		return []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 0}[rng.IntN(5)]
	case n < 20:
		return v
	}
	return v + float64(rng.IntN(100))/4
}

func randomSeries(rng *rand.Rand) *store.SeriesData {
	d := &store.SeriesData{Labels: labels.FromStrings("__name__", "m_total")}
	v, startMs := 0.0, int64(0)
	for ms := int64(1 + rng.IntN(minuteMs)); ms < 5*hourMs; ms += int64(1 + rng.IntN(40_000)) {
		switch rng.IntN(60) {
		case 0:
			d.TimesMs, d.Values = append(d.TimesMs, ms), append(d.Values, math.Float64frombits(value.StaleNaN))
			continue
		case 1:
			ms += int64(rng.IntN(2 * hourMs))
		case 2:
			ms = (ms/minuteMs + 1) * minuteMs // the edge of a bucket
		case 3:
			startMs = ms - int64(rng.IntN(minuteMs))
			d.Starts = append(d.Starts, store.StartPoint{TimeMs: ms, StartMs: startMs})
		}
		v = sample(rng, v)
		d.TimesMs, d.Values = append(d.TimesMs, ms), append(d.Values, v)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			v = 0
		}
	}
	return d
}

// write puts a series into a store that the engine reads.
func write(t testing.TB, d *store.SeriesData) *memory.Store {
	t.Helper()
	key := store.KeyOf(store.DefaultTenant, d.Labels)
	b := &store.Batch{Series: []store.Series{{Tenant: store.DefaultTenant, Key: key, Labels: d.Labels, MaxMs: 6 * hourMs}}}
	for i, ms := range d.TimesMs {
		one, _ := store.DecimalOf(d.Values[i], 0)
		b.Samples.Append(key, ms, one)
	}
	for _, s := range d.Starts {
		b.Starts = append(b.Starts, store.Start{Key: key, TimeMs: s.TimeMs, StartMs: s.StartMs})
	}
	for _, h := range d.Histograms {
		b.Histograms = append(b.Histograms, store.Histogram{
			Key: key, TimeMs: h.TimeMs, Count: h.Float.Count, Sum: h.Float.Sum, Blob: store.AppendFloatHistogram(nil, h.Float),
		})
	}
	m := memory.New()
	if err := m.Write(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	return m
}

// engineValues is what the engine makes of the windows: a number, a histogram or neither for each.
func engineValues(t testing.TB, e *prom.Engine, m *memory.Store, name string, w kernel.Windows) ([]float64, []*histogram.FloatHistogram) {
	t.Helper()
	expr := fmt.Sprintf("%s(m_total[%dms])", name, w.RangeMs)
	end := time.UnixMilli(w.EndMs(w.Count - 1))
	q, err := e.NewRangeQuery(context.Background(), adapter.NewQueryable(m, adapter.Limits{}), nil, expr, time.UnixMilli(w.FirstMs), end, time.Duration(w.StepMs)*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	matrix, err := q.Exec(context.Background()).Matrix()
	if err != nil {
		t.Fatal(err)
	}
	values, histograms := make([]float64, w.Count), make([]*histogram.FloatHistogram, w.Count)
	for i := range values {
		values[i] = kernel.Absent()
	}
	for _, s := range matrix {
		for _, p := range s.Floats {
			values[(p.T-w.FirstMs)/w.StepMs] = p.F
		}
		for _, p := range s.Histograms {
			histograms[(p.T-w.FirstMs)/w.StepMs] = p.H.Copy()
		}
	}
	return values, histograms
}

// randomWindows are aligned to a tier; they overlap, touch or leave gaps.
func randomWindows(rng *rand.Rand) (rollup.Tier, kernel.Windows) {
	tier := rollup.Minute
	w := kernel.Windows{StepMs: int64(1+rng.IntN(20)) * minuteMs, RangeMs: int64(1+rng.IntN(40)) * minuteMs}
	w.FirstMs = hourMs + int64(rng.IntN(60))*minuteMs
	if rng.IntN(4) == 0 {
		tier = rollup.Hour
		w = kernel.Windows{FirstMs: 2 * hourMs, StepMs: hourMs, RangeMs: int64(1+rng.IntN(2)) * hourMs}
	}
	w.BucketMs = tier.StepMs()
	w.Count = int((6*hourMs-w.FirstMs)/w.StepMs) + 1
	return tier, w
}

func same(name string, a, b float64) bool {
	if kernel.IsAbsent(a) || kernel.IsAbsent(b) {
		return kernel.IsAbsent(a) == kernel.IsAbsent(b)
	}
	if math.IsNaN(a) || math.IsNaN(b) {
		return math.IsNaN(a) && math.IsNaN(b)
	}
	if a == b || exact[name] {
		return math.Float64bits(a) == math.Float64bits(b) || a == 0 && b == 0 && !exact[name]
	}
	tolerance := 1e-12
	if name == "stdvar_over_time" || name == "stddev_over_time" {
		tolerance = 1e-10
	}
	return math.Abs(a-b) <= tolerance*max(math.Abs(a), math.Abs(b))
}

// FuzzFloats holds every function against the engine.
func FuzzFloats(f *testing.F) {
	for seed := range uint64(15) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 3))
		engine := promql.NewEngine(promql.DefaultConfig(), nil, nil)
		d := randomSeries(rng)
		m := write(t, d)
		for range 4 {
			tier, w := randomWindows(rng)
			for _, name := range names {
				f, ok := kernel.Of(name)
				if !ok {
					t.Fatalf("no function %s", name)
				}
				var s rollup.Series
				new(rollup.Folder).Fold(&s, d, tier, f.Columns)
				got := make([]float64, w.Count)
				if _, ok := f.Floats(got, &s.Rows, w); !ok {
					if name != "avg_over_time" {
						t.Errorf("%s: the rows cannot tell", name)
					}
					continue
				}
				want, _ := engineValues(t, engine, m, name, w)
				for i := range want {
					if !same(name, want[i], got[i]) {
						t.Errorf("%s[%d ms] at %d, tier %s: %v (%x), the engine says %v (%x)", name, w.RangeMs, w.EndMs(i), tier, got[i], math.Float64bits(got[i]), want[i], math.Float64bits(want[i]))
					}
				}
			}
		}
	})
}

// TestFloatsNeedRaw: a row that says so makes its series one that raw has to answer for.
func TestFloatsNeedRaw(t *testing.T) {
	d := &store.SeriesData{TimesMs: []int64{1, 2}, Values: []float64{1, 1e200}}
	for _, name := range names {
		f, _ := kernel.Of(name)
		var s rollup.Series
		new(rollup.Folder).Fold(&s, d, rollup.Minute, f.Columns)
		if _, ok := f.Floats(make([]float64, 1), &s.Rows, kernel.Windows{FirstMs: minuteMs, Count: 1, RangeMs: minuteMs, BucketMs: minuteMs}); ok {
			t.Errorf("%s answers from a row that needs raw", name)
		}
	}
	if _, ok := kernel.Of("quantile_over_time"); ok {
		t.Error("there is a function for quantile_over_time")
	}
}
