package rollup_test

import (
	"math"
	"math/rand/v2"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
)

var staleNaN = math.Float64frombits(value.StaleNaN)

// beginMs is where random series begin; it is the end of a bucket of every tier.
const beginMs = 1_760_400_000_000

// random makes series.
type random struct{ *rand.Rand }

func newRandom(seed uint64) random { return random{rand.New(rand.NewPCG(seed, 7))} }

// kinds are the series that random makes, by name.
var kinds = map[string]func(r random, d *store.SeriesData, hours int64){
	"counter":        func(r random, d *store.SeriesData, hours int64) { r.counter(d, hours, 0) },
	"counter starts": func(r random, d *store.SeriesData, hours int64) { r.counter(d, hours, 1) },
	"delta starts":   func(r random, d *store.SeriesData, hours int64) { r.counter(d, hours, 2) },
	"overlap starts": func(r random, d *store.SeriesData, hours int64) { r.counter(d, hours, 3) },
	"gauge":          func(r random, d *store.SeriesData, hours int64) { r.gauge(d, hours, nil) },
	"constant":       func(r random, d *store.SeriesData, hours int64) { r.gauge(d, hours, []float64{0.1}) },
	"odd":            func(r random, d *store.SeriesData, hours int64) { r.gauge(d, hours, odd) },
	"NaN":            func(r random, d *store.SeriesData, hours int64) { r.gauge(d, hours, []float64{math.NaN()}) },
	"huge": func(r random, d *store.SeriesData, hours int64) {
		r.gauge(d, hours, []float64{1e300, -1e308, 1, math.MaxFloat64})
	},
	"histogram":        func(r random, d *store.SeriesData, hours int64) { r.histograms(d, hours, observer{}) },
	"float histogram":  func(r random, d *store.SeriesData, hours int64) { r.histograms(d, hours, observer{floats: true}) },
	"schemas":          func(r random, d *store.SeriesData, hours int64) { r.histograms(d, hours, observer{schemas: true}) },
	"starts histogram": func(r random, d *store.SeriesData, hours int64) { r.histograms(d, hours, observer{starts: true}) },
	"gauge histogram":  func(r random, d *store.SeriesData, hours int64) { r.histograms(d, hours, observer{gauge: true}) },
	"custom histogram": func(r random, d *store.SeriesData, hours int64) { r.histograms(d, hours, observer{custom: true}) },
	"mixed":            func(r random, d *store.SeriesData, hours int64) { r.mixed(d, hours) },
}

var odd = []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 0, 1, math.NaN(), -1}

// each calls f for the times of a series: on the beat or with jitter, with holes that may begin with a stale marker.
func (r random) each(hours int64, f func(atMs int64, isStale bool)) {
	stepMs := []int64{1000, 5000, 15_000, 60_000}[r.IntN(4)]
	jitterMs := int64(1)
	at := int64(beginMs)
	if r.IntN(2) == 0 {
		at, jitterMs = at+r.Int64N(stepMs), 7
	}
	last := at - 1
	for ; at < beginMs+hours*3_600_000; at += stepMs {
		if r.IntN(60) == 0 {
			if r.IntN(2) == 0 {
				f(at, true)
			}
			at += stepMs * r.Int64N(30)
			continue
		}
		if t := at + r.Int64N(jitterMs); t > last {
			f(t, false)
			last = t
		}
	}
}

func addFloat(d *store.SeriesData, at int64, v float64) {
	d.TimesMs, d.Values = append(d.TimesMs, at), append(d.Values, v)
}

func addStart(d *store.SeriesData, at, start int64) {
	if n := len(d.Starts); n > 0 && d.Starts[n-1].StartMs == start || n == 0 && start == 0 {
		return
	}
	d.Starts = append(d.Starts, store.StartPoint{TimeMs: at, StartMs: start})
}

// counter has start timestamps by mode: 0 none, 1 where it begins, 2 as deltas, 3 such that make no sense.
func (r random) counter(d *store.SeriesData, hours int64, mode int) {
	v, start, before := float64(r.IntN(1000)), int64(beginMs-5000), int64(beginMs-4000)
	r.each(hours, func(at int64, isStale bool) {
		if isStale {
			addFloat(d, at, staleNaN)
			return
		}
		switch {
		case r.IntN(40) == 0:
			v = float64(r.IntN(20))
			start = at - r.Int64N(3)*r.Int64N(1000)
		case r.IntN(10) < 7:
			v += float64(r.IntN(50)) / 4
		}
		if mode == 2 {
			start = before
		}
		if mode == 3 && r.IntN(30) == 0 {
			start = []int64{0, before, before - 1, before - 100_000, at, at + 1000}[r.IntN(6)]
		}
		if mode != 0 {
			addStart(d, at, start)
		}
		addFloat(d, at, v)
		before = at
	})
}

// gauge takes its values from a list now and then, always where the list has one.
func (r random) gauge(d *store.SeriesData, hours int64, from []float64) {
	r.each(hours, func(at int64, isStale bool) {
		v := 50 + r.NormFloat64()*10
		switch {
		case isStale:
			v = staleNaN
		case len(from) == 1 || len(from) > 1 && r.IntN(3) == 0:
			v = from[r.IntN(len(from))]
		}
		addFloat(d, at, v)
	})
}

// observer makes histograms that grow.
type observer struct {
	floats, gauge, custom, schemas, starts bool

	schema int32
	counts [4]int64
	bounds []float64
	start  int64
}

func (o *observer) observe(r random, at int64) store.HistogramPoint {
	if o.bounds == nil || r.IntN(40) == 0 {
		o.bounds, o.counts, o.start = []float64{0.5, 1, 2.5}, [4]int64{}, at-r.Int64N(500)
		if o.schemas {
			o.schema = int32(r.IntN(4))
		}
	}
	if o.custom && r.IntN(500) == 0 {
		o.bounds = []float64{0.5, 1 + float64(r.IntN(10))/10, 2.5}
	}
	if o.schemas && r.IntN(50) == 0 && o.schema > 0 {
		o.schema-- // a sender that lowers its resolution keeps what it counted
	}
	h := &histogram.Histogram{Schema: o.schema, ZeroThreshold: 0.001}
	if r.IntN(5) > 0 || o.gauge {
		for i := range o.counts {
			if o.gauge {
				o.counts[i] = r.Int64N(20)
			} else {
				o.counts[i] += r.Int64N(5)
			}
		}
	}
	last := int64(0)
	for i, c := range o.counts {
		h.PositiveBuckets = append(h.PositiveBuckets, c-last)
		h.Count += uint64(c)
		h.Sum += float64(c) * float64(i+1) / 8
		last = c
	}
	switch {
	case o.custom:
		h.Schema, h.CustomValues, h.ZeroThreshold = histogram.CustomBucketsSchema, o.bounds, 0
		h.PositiveSpans = []histogram.Span{{Length: 4}}
	default:
		h.PositiveSpans = []histogram.Span{{Offset: 1, Length: 2}, {Offset: 1, Length: 2}}
		h.ZeroCount = uint64(o.counts[0])
		h.Count += h.ZeroCount
	}
	if o.gauge {
		h.CounterResetHint = histogram.GaugeType
	}
	if o.floats {
		return store.HistogramPoint{TimeMs: at, Float: h.ToFloat(nil).Mul(0.37)}
	}
	return store.HistogramPoint{TimeMs: at, Int: h}
}

func (r random) histograms(d *store.SeriesData, hours int64, o observer) {
	r.each(hours, func(at int64, isStale bool) {
		p := o.observe(r, at)
		switch {
		case isStale && r.IntN(3) == 0:
			addFloat(d, at, staleNaN) // as a scrape writes it
			return
		case isStale && o.floats:
			p.Float = &histogram.FloatHistogram{Sum: staleNaN}
		case isStale:
			p.Int = &histogram.Histogram{Sum: staleNaN}
		case o.starts:
			addStart(d, at, o.start)
		}
		d.Histograms = append(d.Histograms, p)
	})
}

// mixed changes between floats and histograms every few minutes.
func (r random) mixed(d *store.SeriesData, hours int64) {
	var o observer
	floats := false
	r.each(hours, func(at int64, isStale bool) {
		if r.IntN(100) == 0 {
			floats = !floats
		}
		if floats || isStale {
			v := r.Float64()
			if isStale {
				v = staleNaN
			}
			addFloat(d, at, v)
			return
		}
		d.Histograms = append(d.Histograms, o.observe(r, at))
	})
}
