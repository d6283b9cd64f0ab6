package adapter

import (
	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
)

// setResetHints sets the counter reset hints of the series' histograms as the engine expects them: a histogram
// that is not a gauge has NotCounterReset where the point before it shows that there was no reset, and else
// UnknownCounterReset, with which the engine looks itself. What a sender said is not repeated: points may have come
// between that it did not know of.
func setResetHints(d *store.SeriesData) {
	var previous, current, spare *histogram.FloatHistogram
	var owned [2]histogram.FloatHistogram
	floats := 0
	for i := range d.Histograms {
		p := &d.Histograms[i]
		before := floats
		for floats < len(d.TimesMs) && d.TimesMs[floats] < p.TimeMs {
			floats++
		}
		if floats > before {
			previous = nil // a float stands between
		}
		spare = &owned[i%2]
		current = asFloat(p, spare)
		if current.CounterResetHint == histogram.GaugeType {
			previous = nil
			continue
		}
		hint := histogram.UnknownCounterReset
		current.CounterResetHint = hint
		if previous != nil && !value.IsStaleNaN(current.Sum) && !current.DetectReset(previous) {
			hint = histogram.NotCounterReset
		}
		setHint(p, hint)
		previous = current
		if value.IsStaleNaN(current.Sum) {
			previous = nil
		}
	}
}

// asFloat returns the point as a float histogram, in spare where it has to be converted.
func asFloat(p *store.HistogramPoint, spare *histogram.FloatHistogram) *histogram.FloatHistogram {
	if p.Float != nil {
		return p.Float
	}
	return p.Int.ToFloat(spare)
}

func setHint(p *store.HistogramPoint, hint histogram.CounterResetHint) {
	if p.Float != nil {
		p.Float.CounterResetHint = hint
		return
	}
	p.Int.CounterResetHint = hint
}
