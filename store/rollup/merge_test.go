package rollup_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/histogram"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
)

func fold(d *store.SeriesData, tier rollup.Tier) *rollup.Series {
	var f rollup.Folder
	var s rollup.Series
	f.Fold(&s, d, tier, rollup.AllColumns)
	return &s
}

// near compares what is computed with rounding.
var near = cmp.Options{
	cmp.Comparer(func(a, b float64) bool {
		return math.Float64bits(a) == math.Float64bits(b) || a != a && b != b || math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b), 1e-3)
	}),
	cmp.Comparer(func(a, b *histogram.FloatHistogram) bool {
		return a == b || a != nil && b != nil && sameHistogram(a, b)
	}),
}

// sameHistogram compares what histograms say, not how their buckets are laid out.
func sameHistogram(a, b *histogram.FloatHistogram) bool {
	if a.CounterResetHint != b.CounterResetHint {
		return false
	}
	a, b = a.Copy().Compact(0), b.Copy().Compact(0)
	close := func(x, y float64) bool {
		return x == y || math.Abs(x-y) <= 1e-11*max(math.Abs(x), math.Abs(y)) || x != x && y != y
	}
	if a.Schema != b.Schema || a.ZeroThreshold != b.ZeroThreshold || !close(a.Count, b.Count) || !close(a.Sum, b.Sum) || !close(a.ZeroCount, b.ZeroCount) ||
		!cmp.Equal(a.PositiveSpans, b.PositiveSpans) || !cmp.Equal(a.NegativeSpans, b.NegativeSpans) || !cmp.Equal(a.CustomValues, b.CustomValues) {
		return false
	}
	for i, v := range a.PositiveBuckets {
		if !close(v, b.PositiveBuckets[i]) {
			return false
		}
	}
	return true
}

// TestHourIsMergeOfMinutes: what an hour's rows are does not depend on the way to them.
func TestHourIsMergeOfMinutes(t *testing.T) {
	for name, fill := range kinds {
		for seed := range uint64(6) {
			var d store.SeriesData
			fill(newRandom(seed), &d, 3)
			minutes, hours := fold(&d, rollup.Minute), fold(&d, rollup.Hour)
			for i, at := 0, 0; i < len(hours.Histograms); i++ {
				want, got := hours.Histograms[i], rollup.HistogramRow{}
				for ; at < len(minutes.Histograms) && minutes.Histograms[at].EndMs <= want.EndMs; at++ {
					rollup.MergeHistograms(&got, &minutes.Histograms[at])
				}
				got.EndMs, got.StaleMs = want.EndMs, want.StaleMs // markers of their own minute are float rows
				if want.Flags&rollup.NeedsRaw != 0 && got.Flags&rollup.NeedsRaw != 0 || name == "mixed" {
					continue
				}
				if diff := cmp.Diff(want, got, near); diff != "" {
					t.Fatalf("%s, seed %d, histogram row %d: hour and its minutes merged differ:\n%s", name, seed, i, diff)
				}
			}
			at := 0
			for i := range hours.Rows.Len() {
				want := hours.Rows.Row(i)
				got := rollup.Row{}
				for ; at < minutes.Rows.Len() && minutes.Rows.EndsMs[at] <= want.EndMs; at++ {
					got = rollup.Merge(got, minutes.Rows.Row(at))
				}
				got.EndMs = want.EndMs
				if (got.Flags|want.Flags)&rollup.NeedsRaw != 0 || hasHistogram(hours, want.EndMs) || len(d.Histograms) > 0 {
					continue // a minute of stale markers has another row than an hour of histograms
				}
				if diff := cmp.Diff(want, got, near); diff != "" {
					t.Fatalf("%s, seed %d, row %d: hour and its minutes merged differ:\n%s", name, seed, i, diff)
				}
			}
		}
	}
}

func hasHistogram(s *rollup.Series, endMs int64) bool {
	for _, h := range s.Histograms {
		if h.EndMs == endMs {
			return true
		}
	}
	return false
}

// TestMergeIsAssociative: rows may be merged in any grouping.
func TestMergeIsAssociative(t *testing.T) {
	for name, fill := range kinds {
		for seed := range uint64(4) {
			r := newRandom(100 + seed)
			var d store.SeriesData
			fill(r, &d, 1)
			s := fold(&d, rollup.Minute)
			for i := 0; i+3 <= s.Rows.Len(); i++ {
				a, b, c := s.Rows.Row(i), s.Rows.Row(i+1), s.Rows.Row(i+2)
				left, right := rollup.Merge(rollup.Merge(a, b), c), rollup.Merge(a, rollup.Merge(b, c))
				if left.Flags&rollup.NeedsRaw != 0 {
					left.M2, right.M2, left.Sum, right.Sum = 0, 0, 0, 0 // sums that overflow depend on their order
				}
				if diff := cmp.Diff(left, right, near); diff != "" {
					t.Fatalf("%s, seed %d, row %d: (a+b)+c and a+(b+c) differ:\n%s", name, seed, i, diff)
				}
			}
			for i := 0; i+3 <= len(s.Histograms); i++ {
				a, b, c := &s.Histograms[i], &s.Histograms[i+1], &s.Histograms[i+2]
				left, right := a.Clone(), a.Clone()
				rollup.MergeHistograms(&left, b)
				rollup.MergeHistograms(&left, c)
				bc := b.Clone()
				rollup.MergeHistograms(&bc, c)
				rollup.MergeHistograms(&right, &bc)
				if diff := cmp.Diff(left, right, near); diff != "" {
					t.Fatalf("%s, seed %d, row %d: (a+b)+c and a+(b+c) differ:\n%s", name, seed, i, diff)
				}
			}
		}
	}
}

// TestFoldAppendsWithoutAllocating: buffers that are large enough are used again.
func TestHistogramsMergeWithoutTheColumnsThatNobodyAskedFor(t *testing.T) {
	h := func() *histogram.FloatHistogram {
		return &histogram.FloatHistogram{Count: 2, Sum: 3, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []float64{2}}
	}
	a, b := rollup.HistogramRow{EndMs: 1, N: 2, FirstMs: 1, LastMs: 2}, rollup.HistogramRow{EndMs: 2, N: 3, FirstMs: 3, LastMs: 4}
	rollup.MergeHistograms(&a, &b)
	if a.N != 5 || a.LastMs != 4 || a.Flags&rollup.NeedsRaw != 0 {
		t.Errorf("without any column: %+v", a)
	}
	a.Sum, b.Sum = h(), h()
	rollup.MergeHistograms(&a, &b)
	if a.N != 8 || a.Sum.Count != 4 || b.Sum.Count != 2 {
		t.Errorf("with the sum alone: %+v", a)
	}
}

func TestFoldAppendsWithoutAllocating(t *testing.T) {
	for _, kind := range []string{"counter", "counter starts", "gauge", "odd"} {
		var d store.SeriesData
		kinds[kind](newRandom(1), &d, 1)
		var f rollup.Folder
		var s rollup.Series
		allocs := testing.AllocsPerRun(10, func() {
			s.Rows.Reset()
			f.Fold(&s, &d, rollup.Minute, rollup.AllColumns)
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations for %d samples", kind, allocs, len(d.TimesMs))
		}
	}
}

func TestOnlyColumnsThatWereAskedFor(t *testing.T) {
	var d store.SeriesData
	kinds["counter starts"](newRandom(1), &d, 1)
	all := fold(&d, rollup.Minute)
	var f rollup.Folder
	for bit := range 10 {
		c := rollup.Columns(1) << bit
		var one rollup.Series
		f.Fold(&one, &d, rollup.Minute, c)
		var want rollup.Rows
		for i := range all.Rows.Len() {
			want.Append(all.Rows.Row(i), c)
		}
		if diff := cmp.Diff(want, one.Rows); diff != "" {
			t.Errorf("columns %b: %s", c, diff)
		}
	}
}

func BenchmarkFold(b *testing.B) {
	for _, columns := range []rollup.Columns{rollup.AllColumns, rollup.FirstColumns | rollup.LastColumns | rollup.CompColumn} {
		for _, tier := range []rollup.Tier{rollup.Minute, rollup.Hour} {
			b.Run(fmt.Sprintf("%s/%b", tier, columns), func(b *testing.B) {
				var d store.SeriesData
				for i := range int64(240) {
					addFloat(&d, beginMs+15_000*(i+1), float64(i*i))
				}
				var f rollup.Folder
				var s rollup.Series
				b.ReportAllocs()
				for b.Loop() {
					s.Rows.Reset()
					f.Fold(&s, &d, tier, columns)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/240, "ns/sample")
			})
		}
	}
}
