package adapter

import (
	"github.com/metricstream/metricstream/promql/kernel"
	"github.com/metricstream/metricstream/promql/plan"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// grid is a series whose values were computed for the very times that the engine asks for. Where there is none it has
// a stale marker, so that no value is carried over from one time to the next.
type grid struct {
	labels     labels.Labels
	times      plan.Times
	values     []float64
	histograms []*histogram.FloatHistogram // nil, or one for each time, of which any may be nil
}

// negate turns every sign; see [plan.Selector]. The histograms are the grid's own.
func (g *grid) negate() {
	for i, v := range g.values {
		if !kernel.IsAbsent(v) {
			g.values[i] = -v
		}
	}
	for _, h := range g.histograms {
		if h != nil {
			h.Mul(-1)
		}
	}
}

func (g *grid) Labels() labels.Labels { return g.labels }

func (g *grid) Iterator(reuse chunkenc.Iterator) chunkenc.Iterator {
	it, ok := reuse.(*gridIterator)
	if !ok {
		it = &gridIterator{}
	}
	*it = gridIterator{grid: g, at: -1}
	return it
}

// gridIterator is at one of the times, before the first or behind the last.
type gridIterator struct {
	grid *grid
	at   int
}

func (it *gridIterator) kind() chunkenc.ValueType {
	switch {
	case it.at >= len(it.grid.values):
		return chunkenc.ValNone
	case it.grid.histograms != nil && it.grid.histograms[it.at] != nil:
		return chunkenc.ValFloatHistogram
	}
	return chunkenc.ValFloat
}

// Next implements chunkenc.Iterator.
func (it *gridIterator) Next() chunkenc.ValueType {
	it.at = min(it.at+1, len(it.grid.values))
	return it.kind()
}

// Seek implements chunkenc.Iterator.
func (it *gridIterator) Seek(timeMs int64) chunkenc.ValueType {
	t, to := it.grid.times, 0
	switch {
	case timeMs <= t.FirstMs:
	case t.StepMs == 0:
		to = len(it.grid.values)
	default:
		to = int(min((timeMs-t.FirstMs+t.StepMs-1)/t.StepMs, int64(len(it.grid.values))))
	}
	it.at = max(it.at, to)
	return it.kind()
}

// At implements chunkenc.Iterator.
func (it *gridIterator) At() (int64, float64) { return it.AtT(), it.grid.values[it.at] }

// AtT implements chunkenc.Iterator.
func (it *gridIterator) AtT() int64 { return it.grid.times.At(it.at) }

// AtHistogram implements chunkenc.Iterator; all histograms of a grid are float histograms.
func (it *gridIterator) AtHistogram(*histogram.Histogram) (int64, *histogram.Histogram) {
	return it.AtT(), nil
}

// AtFloatHistogram implements chunkenc.Iterator. The histogram is the caller's.
func (it *gridIterator) AtFloatHistogram(reuse *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	h := it.grid.histograms[it.at]
	if reuse == nil {
		return it.AtT(), h.Copy()
	}
	h.CopyTo(reuse)
	return it.AtT(), reuse
}

// AtST implements chunkenc.Iterator: computed values have no start timestamps.
func (it *gridIterator) AtST() int64 { return 0 }

// Err implements chunkenc.Iterator.
func (it *gridIterator) Err() error { return nil }
