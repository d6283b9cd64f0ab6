package adapter

import (
	"sort"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// iterator walks the two columns of a series, floats and histograms, as one in order of time.
type iterator struct {
	data *store.SeriesData

	// floats and histograms are the positions of the next point of each column that is not before the current
	// one; the current point is at one of them.
	floats, histograms int

	// starts is the number of start timestamp changes at or before the current point.
	starts int

	// kind is that of the current point, ValNone before the first and after the last.
	kind chunkenc.ValueType
}

func (it *iterator) reset(d *store.SeriesData) { *it = iterator{data: d} }

// Next implements chunkenc.Iterator.
func (it *iterator) Next() chunkenc.ValueType {
	switch it.kind {
	case chunkenc.ValFloat:
		it.floats++
		if it.floats < len(it.data.TimesMs) && len(it.data.Histograms) == 0 {
			return chunkenc.ValFloat // by far the most
		}
	case chunkenc.ValHistogram, chunkenc.ValFloatHistogram:
		it.histograms++
	}
	return it.settle()
}

// Seek implements chunkenc.Iterator.
func (it *iterator) Seek(timeMs int64) chunkenc.ValueType {
	if it.kind != chunkenc.ValNone && it.AtT() >= timeMs {
		return it.kind
	}
	times, points := it.data.TimesMs, it.data.Histograms
	it.floats = gallop(it.floats, len(times), func(i int) bool { return times[i] >= timeMs })
	it.histograms = gallop(it.histograms, len(points), func(i int) bool { return points[i].TimeMs >= timeMs })
	return it.settle()
}

// settle makes the earlier of the two next points the current one.
func (it *iterator) settle() chunkenc.ValueType {
	d := it.data
	switch {
	case it.histograms < len(d.Histograms) &&
		(it.floats >= len(d.TimesMs) || d.Histograms[it.histograms].TimeMs < d.TimesMs[it.floats]):
		it.kind = chunkenc.ValHistogram
		if d.Histograms[it.histograms].Float != nil {
			it.kind = chunkenc.ValFloatHistogram
		}
	case it.floats < len(d.TimesMs):
		it.kind = chunkenc.ValFloat
	default:
		it.kind = chunkenc.ValNone
	}
	return it.kind
}

// gallop returns the first i in [from, n) for which ok holds, n if there is none. It doubles its step, because
// the next step of a query is seldom far away.
func gallop(from, n int, ok func(int) bool) int {
	for step := 1; ; step *= 2 {
		to := from + step
		if to >= n {
			return from + sort.Search(n-from, func(i int) bool { return ok(from + i) })
		}
		if ok(to - 1) {
			return from + sort.Search(step, func(i int) bool { return ok(from + i) })
		}
		from = to
	}
}

// At implements chunkenc.Iterator.
func (it *iterator) At() (int64, float64) {
	return it.data.TimesMs[it.floats], it.data.Values[it.floats]
}

// AtT implements chunkenc.Iterator.
func (it *iterator) AtT() int64 {
	if it.kind == chunkenc.ValFloat {
		return it.data.TimesMs[it.floats]
	}
	return it.data.Histograms[it.histograms].TimeMs
}

// AtHistogram implements chunkenc.Iterator. The histogram is the caller's: the engine changes what it is given.
func (it *iterator) AtHistogram(reuse *histogram.Histogram) (int64, *histogram.Histogram) {
	p := it.data.Histograms[it.histograms]
	if reuse == nil {
		return p.TimeMs, p.Int.Copy()
	}
	p.Int.CopyTo(reuse)
	return p.TimeMs, reuse
}

// AtFloatHistogram implements chunkenc.Iterator. The histogram is the caller's.
func (it *iterator) AtFloatHistogram(reuse *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	p := it.data.Histograms[it.histograms]
	switch {
	case p.Float == nil:
		return p.TimeMs, p.Int.ToFloat(reuse)
	case reuse == nil:
		return p.TimeMs, p.Float.Copy()
	}
	p.Float.CopyTo(reuse)
	return p.TimeMs, reuse
}

// AtST implements chunkenc.Iterator.
func (it *iterator) AtST() int64 {
	starts := it.data.Starts
	if len(starts) == 0 {
		return 0
	}
	for at := it.AtT(); it.starts < len(starts) && starts[it.starts].TimeMs <= at; {
		it.starts++
	}
	if it.starts == 0 {
		return 0
	}
	return starts[it.starts-1].StartMs
}

// Err implements chunkenc.Iterator: everything was read before.
func (it *iterator) Err() error { return nil }
