package kernel

import (
	"github.com/metricstream/metricstream/store/rollup"
	"github.com/prometheus/prometheus/model/histogram"
)

// histogramValue is what a function returns for a window: a histogram, or a number, or nothing. needsRaw says that
// raw has to tell.
type histogramValue struct {
	h        *histogram.FloatHistogram
	v        float64
	none     bool
	needsRaw bool
	warnings Warnings
}

// HistogramGrid is what a function makes of a series of histograms. A window has either a histogram or a value, or
// neither: then its histogram is nil and its value [Absent].
type HistogramGrid struct {
	Histograms []*histogram.FloatHistogram
	Values     []float64
}

// Histograms computes the values of a series that has nothing but histogram rows. It reports false where the rows
// cannot answer and raw samples have to.
func (f Function) Histograms(rows []rollup.HistogramRow, w Windows) (g HistogramGrid, warnings Warnings, ok bool) {
	g = HistogramGrid{Histograms: make([]*histogram.FloatHistogram, w.Count), Values: make([]float64, w.Count)}
	for i := range g.Values {
		g.Values[i] = Absent()
	}
	if f.histogram == nil {
		return g, 0, true
	}
	keys := keysOf(rows)
	c, s := cursor{rows: &keys, w: &w}, sliding[*rollup.HistogramRow]{merge: mergeHistograms}
	lo, hi := 0, 0
	for i := range g.Values {
		c.move(i)
		for ; hi < c.hi; hi++ {
			if rows[hi].N > 0 {
				s.push(&rows[hi])
			}
		}
		for ; lo < c.lo; lo++ {
			if rows[lo].N > 0 {
				s.pop()
			}
		}
		if s.empty() {
			continue
		}
		row := s.value()
		if row.Flags&rollup.NeedsRaw != 0 {
			return g, 0, false
		}
		v := f.histogram(row, &w, w.EndMs(i))
		if v.needsRaw {
			return g, 0, false
		}
		warnings |= v.warnings
		g.Histograms[i] = v.h
		if v.h == nil && !v.none {
			g.Values[i] = v.v
		}
	}
	return g, warnings, true
}

// keysOf returns what a cursor needs of rows of histograms.
func keysOf(rows []rollup.HistogramRow) rollup.Rows {
	var keys rollup.Rows
	for i := range rows {
		keys.EndsMs, keys.N = append(keys.EndsMs, rows[i].EndMs), append(keys.N, rows[i].N)
	}
	return keys
}

func mergeHistograms(a, b *rollup.HistogramRow) *rollup.HistogramRow {
	m := a.Clone()
	rollup.MergeHistograms(&m, b)
	return &m
}

func number(v float64) histogramValue { return histogramValue{v: v} }

func histogramCount(r *rollup.HistogramRow, _ *Windows, _ int64) histogramValue {
	return number(float64(r.N))
}

func histogramPresent(*rollup.HistogramRow, *Windows, int64) histogramValue { return number(1) }

func histogramResets(r *rollup.HistogramRow, _ *Windows, _ int64) histogramValue {
	return number(float64(r.Resets))
}

func histogramChanges(r *rollup.HistogramRow, _ *Windows, _ int64) histogramValue {
	return number(float64(r.Changes))
}

func histogramFirst(r *rollup.HistogramRow, _ *Windows, _ int64) histogramValue {
	return histogramValue{h: r.First.Copy()}
}

func histogramLast(r *rollup.HistogramRow, _ *Windows, _ int64) histogramValue {
	return histogramValue{h: r.Last.Copy()}
}

func histogramFirstMs(r *rollup.HistogramRow, _ *Windows, _ int64) histogramValue {
	return number(float64(r.FirstMs) / 1000)
}

func histogramLastMs(r *rollup.HistogramRow, _ *Windows, _ int64) histogramValue {
	return number(float64(r.LastMs) / 1000)
}

func histogramSum(r *rollup.HistogramRow, _ *Windows, _ int64) histogramValue {
	return histogramValue{h: r.Sum.Copy()}
}

// histogramAvg leaves it to the engine what is too large to add up.
func histogramAvg(r *rollup.HistogramRow, _ *Windows, _ int64) histogramValue {
	if r.Sum.HasOverflow() {
		return histogramValue{needsRaw: true}
	}
	return histogramValue{h: r.Sum.Copy().Div(float64(r.N))}
}
