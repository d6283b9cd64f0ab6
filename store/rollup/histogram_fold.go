package rollup

import (
	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
)

// points puts the histograms from the j-th on that lie in the bucket into it, and returns the next one.
func (f *Folder) points(b *bucket, d *store.SeriesData, j int, starts *startCursor) int {
	from := j
	for ; j < len(d.Histograms) && d.Histograms[j].TimeMs <= b.endMs; j++ {
	}
	if from == j {
		return j
	}
	f.histograms, f.histogramsStarts = f.histograms[:0], f.histogramsStarts[:0]
	for _, p := range d.Histograms[from:j] {
		if isStale(p) {
			b.stale(p.TimeMs)
			continue
		}
		f.histograms = append(f.histograms, p)
		if starts.any() {
			f.histogramsStarts = append(f.histogramsStarts, starts.at(p.TimeMs))
		}
	}
	b.histograms, b.histogramsStartsMs = f.histograms, f.histogramsStarts
	return j
}

func isStale(p store.HistogramPoint) bool {
	if p.Float != nil {
		return value.IsStaleNaN(p.Float.Sum)
	}
	return value.IsStaleNaN(p.Int.Sum)
}

// histogramRow returns the row of the bucket's histograms, of which there is at least one.
func (b *bucket) histogramRow() HistogramRow {
	r := HistogramRow{EndMs: b.endMs, N: uint32(len(b.histograms)), Flags: b.flags, StaleMs: b.staleMs}
	fold := histogramFold{row: &r}
	for i, p := range b.histograms {
		startMs := int64(0)
		if len(b.histogramsStartsMs) > 0 {
			startMs = b.histogramsStartsMs[i]
		}
		fold.add(p.TimeMs, startMs, toFloat(p))
	}
	fold.finish()
	return r
}

// toFloat returns a copy of a point as a float histogram. Its hint says only whether it is a gauge: what else a sender
// said may not be so, because points may have come between that it did not know of.
func toFloat(p store.HistogramPoint) *histogram.FloatHistogram {
	var h *histogram.FloatHistogram
	if p.Float != nil {
		h = p.Float.Copy()
	} else {
		h = p.Int.ToFloat(nil)
	}
	if h.CounterResetHint != histogram.GaugeType {
		h.CounterResetHint = histogram.UnknownCounterReset
	}
	return h
}

// histogramFold adds histograms to a row one by one, in order of time.
type histogramFold struct {
	row  *HistogramRow
	n    int
	comp *histogram.FloatHistogram // of the sum's summation
}

// add takes in a histogram, which becomes the row's.
func (f *histogramFold) add(timeMs, startMs int64, h *histogram.FloatHistogram) {
	r := f.row
	r.Flags |= kindOf(h)
	f.n++
	if f.n == 1 {
		r.FirstMs, r.First, r.FirstStartMs = timeMs, h, startMs
		r.LastMs, r.Last, r.LastStartMs = timeMs, h, startMs
		r.Sum = h.Copy()
		return
	}
	prev := r.Last
	r.Flags &^= LastResets
	switch {
	case !compatible(prev, h):
		r.giveUp()
	case r.Flags&NeedsRaw == 0:
		f.count(timeMs, startMs, h)
	}
	r.PrevMs, r.Prev = r.LastMs, prev
	r.LastMs, r.Last, r.LastStartMs = timeMs, h, startMs
}

// count compares a histogram with the one before it, and adds it to the sum.
func (f *histogramFold) count(timeMs, startMs int64, h *histogram.FloatHistogram) {
	r := f.row
	if isStartReset(r.LastStartMs, r.LastMs, startMs, timeMs) || h.DetectReset(r.Last) {
		r.Resets++
		r.Flags |= LastResets
		if f.n == 2 {
			r.Flags |= SecondResets
		} else {
			r.compensate(r.Last)
		}
	}
	if isStartOverlap(r.LastStartMs, r.LastMs, startMs) {
		r.Flags |= StartOverlap
	}
	if !h.Equals(r.Last) {
		r.Changes++
	}
	var err error
	if f.comp, _, _, err = r.Sum.KahanAdd(h, f.comp); err != nil {
		r.giveUp()
	}
}

// finish closes the summation.
func (f *histogramFold) finish() {
	if f.comp == nil || f.row.Sum == nil {
		return
	}
	if _, _, _, err := f.row.Sum.Add(f.comp); err != nil {
		f.row.giveUp()
	}
}

// compensate adds the histogram before a reset.
func (r *HistogramRow) compensate(h *histogram.FloatHistogram) {
	if r.Comp == nil {
		r.Comp = h.Copy()
		return
	}
	if _, _, _, err := r.Comp.Add(h); err != nil {
		r.giveUp()
	}
}

// giveUp leaves it to raw to answer.
func (r *HistogramRow) giveUp() {
	r.Flags |= NeedsRaw
	r.Flags &^= LastResets | SecondResets
	r.Sum, r.Comp, r.Resets, r.Changes = nil, nil, 0, 0
}

// compatible reports whether rows can hold two histograms together: exponential ones of any schema, and those with
// the same custom bounds. The engine reconciles different bounds as well, and says so in the answer, which it has to
// do itself.
func compatible(a, b *histogram.FloatHistogram) bool {
	if !a.UsesCustomBuckets() || !b.UsesCustomBuckets() {
		return a.UsesCustomBuckets() == b.UsesCustomBuckets()
	}
	return histogram.CustomBucketBoundsMatch(a.CustomValues, b.CustomValues)
}

func kindOf(h *histogram.FloatHistogram) Flags {
	if h.CounterResetHint == histogram.GaugeType {
		return HasGauge
	}
	return HasCounter
}
