package rollup

import (
	"math"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/util/kahansum"
)

// huge bounds the values whose sums and squares cannot overflow, in whatever order they are added. A bucket with a
// larger one, infinities apart, is read from raw.
const huge = 1e150

// Folder folds samples into rows. It keeps nothing between series but its buffers. The zero value is ready; it is for
// one goroutine at a time.
type Folder struct {
	times, starts    []int64
	values           []float64
	histograms       []store.HistogramPoint
	histogramsStarts []int64
}

// Fold appends to dst the rows of a tier that the samples of one series make, with the columns c; histogram rows
// always have all. Its labels and key stay as they are. The histograms in the rows are dst's own.
//
// Rows are what the engine of Prometheus computes of the same samples: stale markers are no samples, a counter is
// reset where its value falls or its start timestamp says so, and NaN, infinities and zeros of either sign count as
// they do there.
func (f *Folder) Fold(dst *Series, d *store.SeriesData, tier Tier, c Columns) {
	step := tier.StepMs()
	starts := startCursor{starts: d.Starts}
	i, j := 0, 0
	for i < len(d.TimesMs) || j < len(d.Histograms) {
		end := EndMs(earliest(d, i, j), step)
		b := bucket{endMs: end}
		i = f.floats(&b, d, i, &starts)
		j = f.points(&b, d, j, &starts)
		if len(b.histograms) > 0 && len(b.times) == 0 {
			dst.Histograms = append(dst.Histograms, b.histogramRow())
			continue
		}
		if len(b.histograms) > 0 {
			b.flags |= NeedsRaw
		}
		b.appendRow(&dst.Rows, c)
	}
}

// earliest returns the time of the earlier of two points, of which one may be beyond the end.
func earliest(d *store.SeriesData, i, j int) int64 {
	switch {
	case j >= len(d.Histograms):
		return d.TimesMs[i]
	case i >= len(d.TimesMs):
		return d.Histograms[j].TimeMs
	}
	return min(d.TimesMs[i], d.Histograms[j].TimeMs)
}

// bucket is what lies in one bucket, stale markers apart.
type bucket struct {
	endMs   int64
	flags   Flags
	staleMs int64

	times      []int64
	values     []float64
	histograms []store.HistogramPoint

	// The start timestamps of both; nil where the series has none.
	startsMs, histogramsStartsMs []int64
}

// floats puts the float samples from the i-th on that lie in the bucket into it, and returns the next one.
func (f *Folder) floats(b *bucket, d *store.SeriesData, i int, starts *startCursor) int {
	from := i
	plain := true
	for ; i < len(d.TimesMs) && d.TimesMs[i] <= b.endMs; i++ {
		if v := d.Values[i]; !(v <= huge && v >= -huge) {
			plain = false
		}
	}
	b.times, b.values = d.TimesMs[from:i], d.Values[from:i]
	if !plain {
		f.special(b)
	}
	if starts.any() {
		f.starts = f.starts[:0]
		for _, t := range b.times {
			f.starts = append(f.starts, starts.at(t))
		}
		b.startsMs = f.starts
	}
	return i
}

// special takes the stale markers out and looks for values that are too large.
func (f *Folder) special(b *bucket) {
	f.times, f.values = f.times[:0], f.values[:0]
	for i, v := range b.values {
		if value.IsStaleNaN(v) {
			b.stale(b.times[i])
			continue
		}
		if math.Abs(v) > huge && !math.IsInf(v, 0) {
			b.flags |= NeedsRaw
		}
		f.times, f.values = append(f.times, b.times[i]), append(f.values, v)
	}
	b.times, b.values = f.times, f.values
}

// stale takes in a stale marker.
func (b *bucket) stale(timeMs int64) {
	if timeMs == 0 { // which a row cannot tell from none
		b.flags |= NeedsRaw
		return
	}
	if b.staleMs == 0 || timeMs > b.staleMs {
		b.staleMs = timeMs
	}
}

// appendRow adds the row of the bucket's floats.
func (b *bucket) appendRow(r *Rows, c Columns) {
	row := Row{EndMs: b.endMs, N: uint32(len(b.values)), Flags: b.flags, StaleMs: b.staleMs}
	if n := len(b.values); n > 0 {
		row.FirstMs, row.First = b.times[0], b.values[0]
		row.LastMs, row.Last = b.times[n-1], b.values[n-1]
		if n > 1 {
			row.PrevMs, row.Prev = b.times[n-2], b.values[n-2]
		}
		if b.startsMs == nil {
			foldPlain(&row, b.values, c)
		} else {
			row.FirstStartMs, row.LastStartMs = b.startsMs[0], b.startsMs[n-1]
			foldStarts(&row, b)
		}
		foldValues(&row, b.values, c)
	}
	r.Append(row, c)
}

// foldPlain counts the resets of a series without start timestamps.
func foldPlain(row *Row, values []float64, c Columns) {
	if n := len(values); n > 1 && values[n-1] < values[n-2] {
		row.Flags |= LastResets
	}
	if c&(CompColumn|ResetsColumn) == 0 {
		return
	}
	prev := values[0]
	for _, v := range values[1:] {
		if v < prev {
			row.Comp += prev
			row.Resets++
		}
		prev = v
	}
}

// foldStarts counts the resets of a series with start timestamps.
func foldStarts(row *Row, b *bucket) {
	for i := 1; i < len(b.values); i++ {
		row.Flags &^= LastResets
		prev := b.values[i-1]
		if b.values[i] < prev || isStartReset(b.startsMs[i-1], b.times[i-1], b.startsMs[i], b.times[i]) {
			row.Comp += prev
			row.Resets++
			row.Flags |= LastResets
		}
		if isStartOverlap(b.startsMs[i-1], b.times[i-1], b.startsMs[i]) {
			row.Flags |= StartOverlap
		}
	}
}

// foldValues computes the columns that are about the values alone.
func foldValues(row *Row, values []float64, c Columns) {
	if c&SumColumn != 0 {
		row.Sum = sum(values)
	}
	if c&MinColumn != 0 {
		row.Min = values[0]
		for _, v := range values {
			if v < row.Min || row.Min != row.Min {
				row.Min = v
			}
		}
	}
	if c&MaxColumn != 0 {
		row.Max = values[0]
		for _, v := range values {
			if v > row.Max || row.Max != row.Max {
				row.Max = v
			}
		}
	}
	if c&ChangesColumn != 0 {
		row.Changes = changes(values)
	}
	if c&M2Column != 0 {
		row.M2 = squares(values)
	}
}

// sum is the engine's sum_over_time.
func sum(values []float64) float64 {
	var sum, c float64
	for _, v := range values {
		sum, c = kahansum.Inc(v, sum, c)
	}
	if math.IsInf(sum, 0) {
		return sum
	}
	return sum + c
}

func changes(values []float64) uint32 {
	n, prev := uint32(0), values[0]
	for _, v := range values[1:] {
		if isChange(prev, v) {
			n++
		}
		prev = v
	}
	return n
}

// isChange reports whether the engine's changes counts two neighbours.
func isChange(prev, v float64) bool { return v != prev && (v == v || prev == prev) }

// squares is the engine's stdvar_over_time, not yet divided by the number of samples.
func squares(values []float64) float64 {
	var mean, cMean, aux, cAux float64
	for i, v := range values {
		delta := v - (mean + cMean)
		mean, cMean = kahansum.Inc(delta/float64(i+1), mean, cMean)
		aux, cAux = kahansum.Inc(delta*(v-(mean+cMean)), aux, cAux)
	}
	return aux + cAux
}
