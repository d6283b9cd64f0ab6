package memory

import (
	"bytes"
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
)

const dayMs = 24 * 60 * 60 * 1000

// series is everything known of one series, by timestamp.
type series struct {
	key               store.Key
	known             bool
	tenant            string
	labels            labels.Labels
	firstDay, lastDay int64
	samples           map[int64]float64
	histograms        map[int64]store.Histogram
	starts            map[int64]int64
	exemplars         []store.Exemplar
}

func newSeries(k store.Key) *series {
	return &series{
		key:        k,
		firstDay:   math.MaxInt64,
		lastDay:    math.MinInt64,
		samples:    map[int64]float64{},
		histograms: map[int64]store.Histogram{},
		starts:     map[int64]int64{},
	}
}

// lives extends the days of the series.
func (o *series) lives(timeMs int64) {
	o.firstDay = min(o.firstDay, day(timeMs))
	o.lastDay = max(o.lastDay, day(timeMs))
}

// livesIn reports whether the series may have a point in the time, by its days.
func (o *series) livesIn(minMs, maxMs int64) bool {
	return o.firstDay <= day(maxMs) && day(minMs) <= o.lastDay
}

// day is the number of the UTC day, rounded down before 1970 too.
func day(timeMs int64) int64 {
	d := timeMs / dayMs
	if timeMs%dayMs < 0 {
		d--
	}
	return d
}

func (o *series) addSample(timeMs int64, v float64) {
	o.lives(timeMs)
	if old, ok := o.samples[timeMs]; !ok || store.Prefer(old, v) {
		o.samples[timeMs] = v
	}
}

// addStart keeps the greatest start timestamp that was said for one time.
func (o *series) addStart(timeMs, startMs int64) {
	if old, ok := o.starts[timeMs]; !ok || old < startMs {
		o.starts[timeMs] = startMs
	}
}

func (o *series) addHistogram(h store.Histogram) {
	o.lives(h.TimeMs)
	if old, ok := o.histograms[h.TimeMs]; !ok || preferHistogram(old, h) {
		h.Blob = bytes.Clone(h.Blob)
		o.histograms[h.TimeMs] = h
	}
}

// preferHistogram reports whether, of two histograms at one timestamp, b is the one that readers see: a
// histogram beats a stale marker, then the greater count wins (NaN is less than every other), then the greater
// encoding.
func preferHistogram(a, b store.Histogram) bool {
	if sa, sb := value.IsStaleNaN(a.Sum), value.IsStaleNaN(b.Sum); sa != sb {
		return sa
	}
	if c := cmp.Compare(a.Count, b.Count); c != 0 {
		return c < 0
	}
	return bytes.Compare(a.Blob, b.Blob) < 0
}

// addExemplar keeps every exemplar once.
func (o *series) addExemplar(e store.Exemplar) {
	for _, old := range o.exemplars {
		if old.TimeMs == e.TimeMs && math.Float64bits(old.Value) == math.Float64bits(e.Value) && labels.Equal(old.Labels, e.Labels) {
			return
		}
	}
	o.lives(e.TimeMs)
	e.Labels = e.Labels.Copy()
	o.exemplars = append(o.exemplars, e)
}

// read returns the points in the selection, nil if there are none.
func (o *series) read(minMs, maxMs int64) (*store.SeriesData, error) {
	d := &store.SeriesData{Key: o.key, Labels: o.labels}
	for _, t := range timesIn(o.samples, minMs, maxMs) {
		if h, ok := o.histograms[t]; ok && histogramWins(h, o.samples[t]) {
			continue
		}
		d.TimesMs = append(d.TimesMs, t)
		d.Values = append(d.Values, o.samples[t])
	}
	for _, t := range timesIn(o.histograms, minMs, maxMs) {
		h := o.histograms[t]
		if v, ok := o.samples[t]; ok && !histogramWins(h, v) {
			continue
		}
		asInt, asFloat, err := store.DecodeHistogram(h.Blob)
		if err != nil {
			return nil, err
		}
		d.Histograms = append(d.Histograms, store.HistogramPoint{TimeMs: t, Int: asInt, Float: asFloat})
	}
	if len(d.TimesMs) == 0 && len(d.Histograms) == 0 {
		return nil, nil
	}
	d.Starts = o.startsIn(minMs, maxMs)
	return d, nil
}

// histogramWins: of a histogram and a float at one timestamp readers see the histogram, unless it is a stale
// marker and the float is not.
func histogramWins(h store.Histogram, v float64) bool {
	return !value.IsStaleNaN(h.Sum) || value.IsStaleNaN(v)
}

// startsIn returns the changes in the selection, and before them the one in force where it begins.
func (o *series) startsIn(minMs, maxMs int64) []store.StartPoint {
	var out []store.StartPoint
	for _, t := range timesIn(o.starts, math.MinInt64, maxMs) {
		if t <= minMs {
			out = out[:0]
		}
		out = append(out, store.StartPoint{TimeMs: t, StartMs: o.starts[t]})
	}
	return out
}

func (o *series) exemplarsIn(minMs, maxMs int64) []store.Exemplar {
	var out []store.Exemplar
	for _, e := range o.exemplars {
		if minMs <= e.TimeMs && e.TimeMs <= maxMs {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b store.Exemplar) int {
		return cmp.Or(cmp.Compare(a.TimeMs, b.TimeMs), cmp.Compare(a.Value, b.Value), labels.Compare(a.Labels, b.Labels))
	})
	return out
}

// timesIn returns the sorted keys in [minMs, maxMs].
func timesIn[V any](m map[int64]V, minMs, maxMs int64) []int64 {
	out := slices.Sorted(maps.Keys(m))
	from, _ := slices.BinarySearch(out, minMs)
	to, found := slices.BinarySearch(out, maxMs)
	if found {
		to++
	}
	if from >= to {
		return nil
	}
	return out[from:to]
}
