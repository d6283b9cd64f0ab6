package adapter

import (
	"context"
	"math"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
)

// previousWindowMs is how far before a selection the histogram is looked for that the first one in it is compared
// with: Prometheus' staleness. What is older says nothing of it.
const previousWindowMs = 5 * 60 * 1000

// setResetHints sets the counter reset hints of all histograms as the engine expects them: a histogram that is
// not a gauge has NotCounterReset where the point before it shows that there was no reset, and else
// UnknownCounterReset, with which the engine looks itself. What a sender said is not repeated: points may have come
// between that it did not know of.
//
// The point before the first of a selection is read from the store, for selections that have histograms only.
func (q *querier) setResetHints(ctx context.Context, s store.Selection, list []*store.SeriesData) error {
	wanted := map[string]*store.HistogramPoint{}
	for _, d := range list {
		if beginsWithCounter(d) {
			wanted[string(d.Labels.Bytes(nil))] = nil
		}
	}
	if len(wanted) > 0 && s.MinMs > math.MinInt64+previousWindowMs {
		s.MinMs, s.MaxMs = s.MinMs-previousWindowMs, s.MinMs-1
		err := q.reader.Select(ctx, s, func(d *store.SeriesData) error {
			key := string(d.Labels.Bytes(nil))
			if _, ok := wanted[key]; ok {
				wanted[key] = lastPoint(d)
			}
			return ctx.Err()
		})
		if err != nil && store.KindOf(err) != store.KindLimit { // at a limit some hints stay unknown, which is never wrong
			return err
		}
	}
	for _, d := range list {
		var before *store.HistogramPoint
		if beginsWithCounter(d) {
			before = wanted[string(d.Labels.Bytes(nil))]
		}
		setSeriesHints(d, before)
	}
	return nil
}

// beginsWithCounter reports whether the first point of the series is a histogram that can be reset.
func beginsWithCounter(d *store.SeriesData) bool {
	if len(d.Histograms) == 0 {
		return false
	}
	first := d.Histograms[0]
	return !isGauge(first) && (len(d.TimesMs) == 0 || first.TimeMs < d.TimesMs[0])
}

// lastPoint returns the last point of the series if it is a histogram.
func lastPoint(d *store.SeriesData) *store.HistogramPoint {
	if len(d.Histograms) == 0 {
		return nil
	}
	last := &d.Histograms[len(d.Histograms)-1]
	if len(d.TimesMs) > 0 && d.TimesMs[len(d.TimesMs)-1] > last.TimeMs {
		return nil
	}
	return last
}

// setSeriesHints sets the hints of one series; before is the point before its first, where that is a histogram.
func setSeriesHints(d *store.SeriesData, before *store.HistogramPoint) {
	var space [2]histogram.FloatHistogram
	previous := toCompare(before, &space[1])
	floats := 0
	for i := range d.Histograms {
		p := &d.Histograms[i]
		from := floats
		for floats < len(d.TimesMs) && d.TimesMs[floats] < p.TimeMs {
			floats++
		}
		if floats > from {
			previous = nil // a float stands between
		}
		current := toCompare(p, &space[i%2])
		if !isGauge(*p) {
			setHint(p, histogram.UnknownCounterReset)
			if current != nil && previous != nil {
				current.CounterResetHint = histogram.UnknownCounterReset
				if !current.DetectReset(previous) {
					setHint(p, histogram.NotCounterReset)
				}
			}
		}
		previous = current
	}
}

// toCompare returns the point as a float histogram, in space where it has to be converted, and nil where it
// cannot be compared with its neighbours: gauges and stale markers.
func toCompare(p *store.HistogramPoint, space *histogram.FloatHistogram) *histogram.FloatHistogram {
	switch {
	case p == nil || isGauge(*p):
		return nil
	case p.Float != nil && !value.IsStaleNaN(p.Float.Sum):
		return p.Float
	case p.Float == nil && !value.IsStaleNaN(p.Int.Sum):
		return p.Int.ToFloat(space)
	}
	return nil
}

func isGauge(p store.HistogramPoint) bool {
	if p.Float != nil {
		return p.Float.CounterResetHint == histogram.GaugeType
	}
	return p.Int.CounterResetHint == histogram.GaugeType
}

func setHint(p *store.HistogramPoint, hint histogram.CounterResetHint) {
	if p.Float != nil {
		p.Float.CounterResetHint = hint
		return
	}
	p.Int.CounterResetHint = hint
}
