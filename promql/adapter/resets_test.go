package adapter

import (
	"fmt"
	"math"
	"testing"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
)

func counted(timeMs int64, count uint64, hint histogram.CounterResetHint) store.HistogramPoint {
	return store.HistogramPoint{TimeMs: timeMs, Int: &histogram.Histogram{
		Count: count, CounterResetHint: hint, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{int64(count)},
	}}
}

func asFloats(p store.HistogramPoint) store.HistogramPoint {
	return store.HistogramPoint{TimeMs: p.TimeMs, Float: p.Int.ToFloat(nil)}
}

func staleAt(timeMs int64) store.HistogramPoint {
	return store.HistogramPoint{TimeMs: timeMs, Int: &histogram.Histogram{Sum: math.Float64frombits(value.StaleNaN)}}
}

func TestSeriesHints(t *testing.T) {
	const (
		unknown = histogram.UnknownCounterReset
		reset   = histogram.CounterReset
		not     = histogram.NotCounterReset
		gauge   = histogram.GaugeType
	)
	before := counted(0, 5, unknown)
	for _, c := range []struct {
		name   string
		points []store.HistogramPoint
		floats []int64
		before *store.HistogramPoint
		want   []histogram.CounterResetHint
	}{
		{"rising", []store.HistogramPoint{counted(1, 5, unknown), counted(2, 6, unknown), counted(3, 6, unknown)}, nil, nil, []histogram.CounterResetHint{unknown, not, not}},
		{"falling", []store.HistogramPoint{counted(1, 5, unknown), counted(2, 4, unknown), counted(3, 6, unknown)}, nil, nil, []histogram.CounterResetHint{unknown, unknown, not}},
		{"what the sender said", []store.HistogramPoint{counted(1, 5, not), counted(2, 4, not), counted(3, 6, reset)}, nil, nil, []histogram.CounterResetHint{unknown, unknown, not}},
		{"the point before rises", []store.HistogramPoint{counted(1, 6, unknown)}, nil, &before, []histogram.CounterResetHint{not}},
		{"the point before falls", []store.HistogramPoint{counted(1, 4, unknown)}, nil, &before, []histogram.CounterResetHint{unknown}},
		{"the point before and a float", []store.HistogramPoint{counted(2, 6, unknown)}, []int64{1}, &before, []histogram.CounterResetHint{unknown}},
		{"gauges", []store.HistogramPoint{counted(1, 5, gauge), counted(2, 6, gauge), counted(3, 7, unknown), counted(4, 8, gauge)}, nil, nil, []histogram.CounterResetHint{gauge, gauge, unknown, gauge}},
		{"a float between", []store.HistogramPoint{counted(1, 5, unknown), counted(3, 6, unknown), counted(4, 7, unknown)}, []int64{0, 2}, nil, []histogram.CounterResetHint{unknown, unknown, not}},
		{"a stale marker between", []store.HistogramPoint{counted(1, 5, unknown), staleAt(2), counted(3, 6, unknown)}, nil, nil, []histogram.CounterResetHint{unknown, unknown, unknown}},
		{"integers and floats", []store.HistogramPoint{counted(1, 5, unknown), asFloats(counted(2, 6, reset)), counted(3, 7, unknown), asFloats(counted(4, 6, not))}, nil, nil, []histogram.CounterResetHint{unknown, not, not, unknown}},
	} {
		d := &store.SeriesData{Histograms: c.points, TimesMs: c.floats, Values: make([]float64, len(c.floats))}
		setSeriesHints(d, c.before)
		var got []histogram.CounterResetHint
		for _, p := range d.Histograms {
			if p.Float != nil {
				got = append(got, p.Float.CounterResetHint)
			} else {
				got = append(got, p.Int.CounterResetHint)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: hints %v, wanted %v", c.name, got, c.want)
		}
	}
}
