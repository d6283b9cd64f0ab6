package kernel

import (
	"github.com/metricstream/metricstream/store/rollup"
	"github.com/prometheus/prometheus/model/histogram"
)

// histogramRate is rate and increase of counters, and delta of gauges.
func histogramRate(counter bool, by scale) histogramFunc {
	return func(r *rollup.HistogramRow, w *Windows, endMs int64) histogramValue {
		h, err := difference(r, counter)
		if err != nil {
			return histogramValue{needsRaw: true}
		}
		e := extrapolation{
			startMs: endMs - w.RangeMs, endMs: endMs, samples: uint64(r.N), firstMs: r.FirstMs, lastMs: r.LastMs,
			counter: counter, first: r.First.Count, firstStartMs: r.FirstStartMs,
		}
		x, ok := e.apply(h.Count)
		v := histogramValue{none: !ok}
		if r.N > 1 {
			v.warnings = histogramWarnings(r, counter)
		}
		if !ok {
			return v
		}
		if x.fromZero {
			if _, _, _, err := h.Add(r.First); err != nil {
				return histogramValue{needsRaw: true}
			}
		}
		if by == perSecond {
			x.factor /= w.seconds()
		}
		v.h = h.Mul(x.factor)
		return v
	}
}

// difference returns what lies between the first and the last histogram of a row, resets accounted for. The first one
// is not looked at where a reset follows it.
func difference(r *rollup.HistogramRow, counter bool) (*histogram.FloatHistogram, error) {
	skipFirst := counter && r.Flags&rollup.SecondResets != 0
	if r.N == 1 {
		return &histogram.FloatHistogram{
			Schema: r.First.Schema, ZeroThreshold: r.First.ZeroThreshold, CustomValues: r.First.CustomValues,
		}, nil
	}
	schema := r.Last.Schema
	if !skipFirst {
		schema = min(schema, r.First.Schema)
	}
	if counter && r.Comp != nil {
		schema = min(schema, r.Comp.Schema)
	}
	h, err := r.Last.CopyToSchema(schema)
	if err != nil {
		return nil, err
	}
	if !skipFirst {
		if _, _, _, err := h.Sub(r.First); err != nil {
			return nil, err
		}
	}
	if counter && r.Comp != nil {
		if _, _, _, err := h.Add(r.Comp); err != nil {
			return nil, err
		}
	}
	h.CounterResetHint = histogram.GaugeType
	return h.Compact(0), nil
}

func histogramWarnings(r *rollup.HistogramRow, counter bool) Warnings {
	var w Warnings
	switch {
	case counter && r.Flags&rollup.HasGauge != 0:
		w |= NotCounter
	case !counter && !(isGauge(r.First) && isGauge(r.Last)):
		w |= NotGauge
	}
	if counter && r.Flags&rollup.StartOverlap != 0 {
		w |= StartOverlap
	}
	return w
}

func isGauge(h *histogram.FloatHistogram) bool { return h.CounterResetHint == histogram.GaugeType }

func histogramIrate(r *rollup.HistogramRow, _ *Windows, _ int64) histogramValue {
	return lastDifference(r, true)
}

func histogramIdelta(r *rollup.HistogramRow, _ *Windows, _ int64) histogramValue {
	return lastDifference(r, false)
}

func lastDifference(r *rollup.HistogramRow, counter bool) histogramValue {
	if r.N < 2 {
		return histogramValue{none: true}
	}
	v := histogramValue{h: r.Last.Copy()}
	switch {
	case counter && (isGauge(r.Last) || isGauge(r.Prev)):
		v.warnings = NotCounter
	case !counter && !(isGauge(r.Last) && isGauge(r.Prev)):
		v.warnings = NotGauge
	}
	if !counter || r.Flags&rollup.LastResets == 0 {
		if _, _, _, err := v.h.Sub(r.Prev); err != nil {
			return histogramValue{needsRaw: true}
		}
	}
	v.h.CounterResetHint = histogram.GaugeType
	v.h.Compact(0)
	if counter {
		v.h.Div(float64(r.LastMs-r.PrevMs) / 1000)
	}
	return v
}
