package adapter

import (
	"math/rand/v2"
	"testing"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// plain is the iterator's rule in the plainest way: one list of points in order of time.
type plain struct {
	times []int64
	kinds []chunkenc.ValueType
	start []int64
}

func plainOf(d *store.SeriesData) plain {
	var p plain
	f, h := 0, 0
	for f < len(d.TimesMs) || h < len(d.Histograms) {
		at, kind := int64(0), chunkenc.ValFloat
		if h == len(d.Histograms) || f < len(d.TimesMs) && d.TimesMs[f] < d.Histograms[h].TimeMs {
			at = d.TimesMs[f]
			f++
		} else {
			at, kind = d.Histograms[h].TimeMs, chunkenc.ValHistogram
			if d.Histograms[h].Float != nil {
				kind = chunkenc.ValFloatHistogram
			}
			h++
		}
		start := int64(0)
		for _, s := range d.Starts {
			if s.TimeMs <= at {
				start = s.StartMs
			}
		}
		p.times, p.kinds, p.start = append(p.times, at), append(p.kinds, kind), append(p.start, start)
	}
	return p
}

func randomData(rng *rand.Rand) *store.SeriesData {
	d := &store.SeriesData{}
	at := rng.Int64N(20) - 10
	for range rng.IntN(60) {
		at += 1 + rng.Int64N(5)*rng.Int64N(5)
		switch rng.IntN(6) {
		case 0:
			d.Histograms = append(d.Histograms, store.HistogramPoint{TimeMs: at, Int: &histogram.Histogram{Count: uint64(at + 100)}})
		case 1:
			d.Histograms = append(d.Histograms, store.HistogramPoint{TimeMs: at, Float: &histogram.FloatHistogram{Count: float64(at)}})
		default:
			d.TimesMs, d.Values = append(d.TimesMs, at), append(d.Values, float64(at))
		}
		if rng.IntN(5) == 0 {
			d.Starts = append(d.Starts, store.StartPoint{TimeMs: at - rng.Int64N(2), StartMs: rng.Int64N(4)})
		}
	}
	return d
}

// TestIterator walks random series with random steps and seeks, and reuses one iterator for all.
func TestIterator(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var reuse chunkenc.Iterator
	for range 3000 {
		d := randomData(rng)
		want := plainOf(d)
		reuse = (&series{d}).Iterator(reuse)
		walk(t, rng, want, reuse)
		if t.Failed() {
			t.Fatalf("series %+v", d)
		}
	}
}

func walk(t *testing.T, rng *rand.Rand, want plain, it chunkenc.Iterator) {
	t.Helper()
	at := -1
	for at < len(want.times) {
		var got chunkenc.ValueType
		if rng.IntN(2) == 0 {
			at++
			got = it.Next()
		} else {
			to := rng.Int64N(40) - 15
			if at >= 0 && at < len(want.times) {
				to += want.times[at]
			}
			at = max(at, 0)
			for at < len(want.times) && want.times[at] < to {
				at++
			}
			got = it.Seek(to)
		}
		if at >= len(want.times) {
			if got != chunkenc.ValNone || it.Next() != chunkenc.ValNone || it.Seek(1000) != chunkenc.ValNone {
				t.Errorf("%v after the last point", got)
			}
			return
		}
		if got != want.kinds[at] || it.AtT() != want.times[at] || it.AtST() != want.start[at] {
			t.Errorf("point %d is %v at %d from %d; wanted %v at %d from %d", at, got, it.AtT(), it.AtST(), want.kinds[at], want.times[at], want.start[at])
			return
		}
		checkPoint(t, it, got, want.times[at])
	}
}

func checkPoint(t *testing.T, it chunkenc.Iterator, kind chunkenc.ValueType, want int64) {
	t.Helper()
	at, count := int64(0), 0.0
	switch kind {
	case chunkenc.ValFloat:
		at, count = it.At()
	case chunkenc.ValFloatHistogram:
		var h *histogram.FloatHistogram
		at, h = it.AtFloatHistogram(nil)
		count = h.Count
	case chunkenc.ValHistogram:
		var h *histogram.Histogram
		at, h = it.AtHistogram(&histogram.Histogram{Count: 5, PositiveBuckets: []int64{1}})
		_, f := it.AtFloatHistogram(&histogram.FloatHistogram{Sum: 3})
		if f.Count != float64(h.Count) || len(h.PositiveBuckets) != 0 || f.Sum != 0 {
			t.Errorf("integer histogram %v as floats is %v", h, f)
		}
		count = float64(h.Count) - 100
	}
	if at != want || count != float64(want) {
		t.Errorf("the point at %d has the time %d and the value %v", want, at, count)
	}
}

// TestHistogramsAreCopies: the engine changes the histograms that it is given.
func TestHistogramsAreCopies(t *testing.T) {
	d := &store.SeriesData{Histograms: []store.HistogramPoint{
		{TimeMs: 1, Int: &histogram.Histogram{PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{7}}},
		{TimeMs: 2, Float: &histogram.FloatHistogram{PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []float64{7}}},
	}}
	for range 2 {
		it := (&series{d}).Iterator(nil)
		it.Next()
		_, h := it.AtHistogram(nil)
		_, f := it.AtFloatHistogram(nil)
		if h.PositiveBuckets[0] != 7 || f.PositiveBuckets[0] != 7 {
			t.Fatalf("changed: %v, %v", h, f)
		}
		h.PositiveBuckets[0], f.PositiveBuckets[0], f.PositiveSpans[0].Offset = 0, 0, 9
		it.Next()
		for _, f := range []*histogram.FloatHistogram{second(it.AtFloatHistogram(nil)), second(it.AtFloatHistogram(&histogram.FloatHistogram{}))} {
			if f.PositiveBuckets[0] != 7 || f.PositiveSpans[0].Offset != 0 {
				t.Fatalf("changed: %v", f)
			}
			f.PositiveBuckets[0], f.PositiveSpans[0].Offset = 0, 9
		}
	}
}

func second[A, B any](_ A, b B) B { return b }

func BenchmarkIterator(b *testing.B) {
	d := &store.SeriesData{}
	for i := range int64(10_000) {
		d.TimesMs, d.Values = append(d.TimesMs, i*15_000), append(d.Values, float64(i))
	}
	s := &series{d}
	var it chunkenc.Iterator
	b.Run("next", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			it = s.Iterator(it)
			for it.Next() != chunkenc.ValNone {
				it.At()
			}
		}
	})
	b.Run("seek each minute", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			it = s.Iterator(it)
			for at := int64(0); it.Seek(at) != chunkenc.ValNone; at += 60_000 {
				it.At()
			}
		}
	})
}
