package adapter

import (
	"math"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
)

// addInstant hands on the last sample of each row at its own time: an instant selector sees no others at times that
// are ends of buckets. A stale marker behind it takes its place.
func (t *tierRead) addInstant(s *rollup.Series) error {
	d := &store.SeriesData{Labels: s.Labels}
	r := &s.Rows
	for i := range r.EndsMs {
		switch {
		case r.Flags[i]&rollup.NeedsRaw != 0:
			t.raw = append(t.raw, s.Labels)
			return nil
		case r.N[i] == 0 || r.StaleMs[i] > r.LastMs[i]:
			d.TimesMs, d.Values = append(d.TimesMs, r.StaleMs[i]), append(d.Values, math.Float64frombits(value.StaleNaN))
		default:
			d.TimesMs, d.Values = append(d.TimesMs, r.LastMs[i]), append(d.Values, r.Last[i])
		}
	}
	var stale []int64
	for i := range s.Histograms {
		switch h := &s.Histograms[i]; {
		case h.N == 0 || h.StaleMs > h.LastMs:
			stale = append(stale, h.StaleMs)
		default:
			d.Histograms = append(d.Histograms, store.HistogramPoint{TimeMs: h.LastMs, Float: hinted(s, i)})
		}
	}
	mergeStale(d, stale)
	t.list = append(t.list, &series{d})
	return nil
}

// hinted returns the last histogram of a row with the hint that the raw sample would have, see setResetHints.
func hinted(s *rollup.Series, i int) *histogram.FloatHistogram {
	r := &s.Histograms[i]
	h, prev, prevMs := r.Last.Copy(), r.Prev, r.PrevMs
	if r.N == 1 && i > 0 {
		p := &s.Histograms[i-1]
		prev, prevMs = p.Last, p.LastMs
		if p.StaleMs > prevMs || pointsIn(&s.Rows, prevMs, r.LastMs) {
			return h
		}
	}
	switch {
	case prev == nil, isGaugeHistogram(h), isGaugeHistogram(prev), r.StaleMs > prevMs, h.DetectReset(prev):
	default:
		h.CounterResetHint = histogram.NotCounterReset
	}
	return h
}

func isGaugeHistogram(h *histogram.FloatHistogram) bool {
	return h.CounterResetHint == histogram.GaugeType
}

// pointsIn reports whether a row's last float or stale marker lies between two times.
func pointsIn(r *rollup.Rows, fromMs, toMs int64) bool {
	for i := range r.EndsMs {
		if at := max(r.LastMs[i], r.StaleMs[i]); at > fromMs && at < toMs {
			return true
		}
	}
	return false
}

// mergeStale adds stale markers to the floats of a series.
func mergeStale(d *store.SeriesData, stale []int64) {
	if len(stale) == 0 {
		return
	}
	times, values := make([]int64, 0, len(d.TimesMs)+len(stale)), make([]float64, 0, len(d.TimesMs)+len(stale))
	i := 0
	for _, ms := range stale {
		for i < len(d.TimesMs) && d.TimesMs[i] < ms {
			times, values = append(times, d.TimesMs[i]), append(values, d.Values[i])
			i++
		}
		times, values = append(times, ms), append(values, math.Float64frombits(value.StaleNaN))
	}
	d.TimesMs, d.Values = append(times, d.TimesMs[i:]...), append(values, d.Values[i:]...)
}
