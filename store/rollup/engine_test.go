package rollup_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	prom "github.com/prometheus/prometheus/promql"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/adapter"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
)

// oneSeries is a store that has one series. What it hands out is the reader's, as the contract says.
type oneSeries struct {
	store.Reader
	data *store.SeriesData
}

func (o oneSeries) Select(_ context.Context, s store.Selection, yield func(*store.SeriesData) error) error {
	d := &store.SeriesData{Labels: labels.FromStrings("__name__", "m"), Starts: o.data.Starts}
	for i, t := range o.data.TimesMs {
		if t >= s.MinMs && t <= s.MaxMs {
			d.TimesMs, d.Values = append(d.TimesMs, t), append(d.Values, o.data.Values[i])
		}
	}
	for _, p := range o.data.Histograms {
		if p.TimeMs >= s.MinMs && p.TimeMs <= s.MaxMs {
			if p.Int != nil {
				p.Int = p.Int.Copy()
			} else {
				p.Float = p.Float.Copy()
			}
			d.Histograms = append(d.Histograms, p)
		}
	}
	if len(d.TimesMs)+len(d.Histograms) == 0 {
		return nil
	}
	return yield(d)
}

// answers computes what functions say of a window's row. exact ones have to agree to the last bit.
type answer struct {
	exact bool
	float func(w window) (float64, bool)
	hist  func(w window) (*histogram.FloatHistogram, bool)
}

// window is a range, (fromMs, toMs], and the merge of its rows. One of the two rows has samples.
type window struct {
	fromMs, toMs int64
	row          rollup.Row
	hist         rollup.HistogramRow
}

func (w window) n() float64 { return float64(w.row.N) + float64(w.hist.N) }

var answers = map[string]answer{
	"count_over_time(%s)": {exact: true, float: func(w window) (float64, bool) { return w.n(), true }},
	"min_over_time(%s)":   {exact: true, float: func(w window) (float64, bool) { return w.row.Min, w.row.N > 0 }},
	"max_over_time(%s)":   {exact: true, float: func(w window) (float64, bool) { return w.row.Max, w.row.N > 0 }},
	"resets(%s)":          {exact: true, float: func(w window) (float64, bool) { return float64(w.row.Resets + w.hist.Resets), true }},
	"changes(%s)":         {exact: true, float: func(w window) (float64, bool) { return float64(w.row.Changes + w.hist.Changes), true }},
	"stddev_over_time(%s)": {float: func(w window) (float64, bool) {
		return math.Sqrt(w.row.M2 / float64(w.row.N)), w.row.N > 0
	}},
	"last_over_time(%s)": {exact: true,
		float: func(w window) (float64, bool) { return w.row.Last, w.row.N > 0 },
		hist:  func(w window) (*histogram.FloatHistogram, bool) { return w.hist.Last, w.hist.N > 0 }},
	"first_over_time(%s)": {exact: true,
		float: func(w window) (float64, bool) { return w.row.First, w.row.N > 0 },
		hist:  func(w window) (*histogram.FloatHistogram, bool) { return w.hist.First, w.hist.N > 0 }},
	"sum_over_time(%s)": {
		float: func(w window) (float64, bool) { return w.row.Sum, w.row.N > 0 },
		hist:  func(w window) (*histogram.FloatHistogram, bool) { return w.hist.Sum, w.hist.N > 0 }},
	"avg_over_time(%s)": {
		float: func(w window) (float64, bool) { return w.row.Sum / float64(w.row.N), w.row.N > 0 },
		hist: func(w window) (*histogram.FloatHistogram, bool) {
			if w.hist.N == 0 {
				return nil, false
			}
			return w.hist.Sum.Copy().Div(float64(w.hist.N)), true
		}},
	"rate(%s)":     {float: func(w window) (float64, bool) { return w.rate(true, true) }, hist: func(w window) (*histogram.FloatHistogram, bool) { return w.histogramRate(true, true) }},
	"increase(%s)": {float: func(w window) (float64, bool) { return w.rate(true, false) }, hist: func(w window) (*histogram.FloatHistogram, bool) { return w.histogramRate(true, false) }},
	"delta(%s)":    {float: func(w window) (float64, bool) { return w.rate(false, false) }, hist: func(w window) (*histogram.FloatHistogram, bool) { return w.histogramRate(false, false) }},
	"irate(%s)":    {exact: true, float: func(w window) (float64, bool) { return w.instant(true) }, hist: func(w window) (*histogram.FloatHistogram, bool) { return w.histogramInstant(true) }},
	"idelta(%s)":   {exact: true, float: func(w window) (float64, bool) { return w.instant(false) }, hist: func(w window) (*histogram.FloatHistogram, bool) { return w.histogramInstant(false) }},
}

// rate is the engine's extrapolatedRate, from a row.
func (w window) rate(isCounter, isRate bool) (float64, bool) {
	r := w.row
	if r.N == 0 {
		return 0, false
	}
	v := r.Last - r.First
	if isCounter {
		v += r.Comp
	}
	begins := isCounter && r.FirstStartMs != 0 && r.FirstStartMs > w.fromMs && r.FirstStartMs < r.FirstMs
	if begins {
		v += r.First
	}
	f, ok := w.factor(factorOf{n: r.N, firstMs: r.FirstMs, lastMs: r.LastMs, startMs: r.FirstStartMs, begins: begins, isCounter: isCounter, first: r.First, result: v})
	if isRate {
		f /= float64(w.toMs-w.fromMs) / 1000
	}
	return v * f, ok
}

type factorOf struct {
	n                        uint32
	firstMs, lastMs, startMs int64
	begins, isCounter        bool
	first, result            float64
}

func (w window) factor(f factorOf) (float64, bool) {
	toStart, toEnd := float64(f.firstMs-w.fromMs)/1000, float64(w.toMs-f.lastMs)/1000
	sampled, average := float64(f.lastMs-f.firstMs)/1000, 0.0
	if f.n > 1 {
		average = sampled / float64(f.n-1)
	}
	threshold := average * 1.1
	switch {
	case f.begins:
		toStart, sampled = 0, float64(f.lastMs-f.startMs)/1000
	case f.n == 1:
		return 0, false
	default:
		if toStart >= threshold {
			toStart = average / 2
		}
		if f.isCounter && f.result > 0 && f.first >= 0 {
			toStart = min(toStart, sampled*(f.first/f.result))
		}
	}
	if toEnd >= threshold {
		toEnd = average / 2
	}
	if sampled == 0 {
		return 1, true
	}
	return (sampled + toStart + toEnd) / sampled, true
}

// histogramRate shows how rows of histograms answer.
func (w window) histogramRate(isCounter, isRate bool) (*histogram.FloatHistogram, bool) {
	r := w.hist
	if r.N == 0 {
		return nil, false
	}
	var h *histogram.FloatHistogram
	if r.N > 1 {
		h = r.Last.Copy()
		if !isCounter || r.Flags&rollup.SecondResets == 0 {
			if _, _, _, err := h.Sub(r.First); err != nil {
				return nil, false
			}
		}
		if isCounter && r.Comp != nil {
			if _, _, _, err := h.Add(r.Comp); err != nil {
				return nil, false
			}
		}
		h.CounterResetHint = histogram.GaugeType
		h.Compact(0)
	}
	begins := isCounter && r.FirstStartMs != 0 && r.FirstStartMs > w.fromMs && r.FirstStartMs < r.FirstMs
	if begins && h == nil {
		h = r.First.Copy()
	} else if begins {
		if _, _, _, err := h.Add(r.First); err != nil {
			return nil, false
		}
	}
	count := 0.0
	if h != nil {
		count = h.Count
	}
	f, ok := w.factor(factorOf{n: r.N, firstMs: r.FirstMs, lastMs: r.LastMs, startMs: r.FirstStartMs, begins: begins, isCounter: isCounter, first: r.First.Count, result: count})
	if !ok {
		return nil, false
	}
	if isRate {
		f /= float64(w.toMs-w.fromMs) / 1000
	}
	return h.Mul(f), true
}

func (w window) instant(isRate bool) (float64, bool) {
	r := w.row
	v := r.Last - r.Prev
	if isRate {
		if r.Flags&rollup.LastResets != 0 {
			v = r.Last
		}
		v /= float64(r.LastMs-r.PrevMs) / 1000
	}
	return v, r.N > 1
}

func (w window) histogramInstant(isRate bool) (*histogram.FloatHistogram, bool) {
	r := w.hist
	if r.N < 2 {
		return nil, false
	}
	h := r.Last.Copy()
	if !isRate || r.Flags&rollup.LastResets == 0 {
		if _, _, _, err := h.Sub(r.Prev); err != nil {
			return nil, false
		}
	}
	h.CounterResetHint = histogram.GaugeType
	h.Compact(0)
	if isRate {
		h.Div(float64(r.LastMs-r.PrevMs) / 1000)
	}
	return h, true
}

// TestRowsAnswerAsTheEngineDoes evaluates functions over random series, and compares with what the merged rows of the
// same window say. It counts how often raw would have been read instead.
func TestRowsAnswerAsTheEngineDoes(t *testing.T) {
	const hours = 6
	engine := promql.NewEngine(promql.DefaultConfig(), nil, nil)
	defer engine.Close()
	compared, raw := 0, 0
	for name, fill := range kinds {
		for seed := range uint64(3) {
			r := newRandom(1000 + seed)
			var d store.SeriesData
			fill(r, &d, hours)
			queryable := adapter.NewQueryable(oneSeries{data: &d}, adapter.Limits{})
			for _, tier := range []rollup.Tier{rollup.Minute, rollup.Hour} {
				s, step := fold(&d, tier), tier.StepMs()
				for range 4 {
					to := beginMs + step*(1+r.Int64N(hours*3_600_000/step))
					from := to - step*(1+r.Int64N(120*60_000/step))
					w := windowOf(s, from, to)
					if (w.row.Flags|w.hist.Flags)&rollup.NeedsRaw != 0 || w.row.N > 0 && w.hist.N > 0 {
						raw++
						continue
					}
					for query, a := range answers {
						q := fmt.Sprintf(query, fmt.Sprintf("m[%dms]", to-from))
						got, warned := evaluate(t, engine, queryable, q, to)
						if err := compare(a, w, got); err != nil {
							t.Errorf("%s, seed %d, %s at %d: %v", name, seed, q, to, err)
						}
						overlap := (w.row.Flags|w.hist.Flags)&rollup.StartOverlap != 0 && w.n() > 1
						if strings.HasPrefix(q, "rate") && overlap != warned {
							t.Errorf("%s, seed %d, %s at %d: start overlap %v, the engine says %v", name, seed, q, to, overlap, warned)
						}
						compared++
					}
				}
			}
		}
	}
	t.Logf("%d answers compared, %d windows need raw", compared, raw)
	if compared < 4000 {
		t.Errorf("only %d answers compared", compared)
	}
}

func windowOf(s *rollup.Series, fromMs, toMs int64) window {
	w := window{fromMs: fromMs, toMs: toMs}
	for i, end := range s.Rows.EndsMs {
		if end > fromMs && end <= toMs {
			w.row = rollup.Merge(w.row, s.Rows.Row(i))
		}
	}
	for i := range s.Histograms {
		if end := s.Histograms[i].EndMs; end > fromMs && end <= toMs {
			rollup.MergeHistograms(&w.hist, &s.Histograms[i])
		}
	}
	return w
}

// evaluate returns the answer of the engine, nil without one, and whether it warned of overlapping start timestamps.
func evaluate(t *testing.T, engine *prom.Engine, q *adapter.Queryable, query string, atMs int64) (*prom.Sample, bool) {
	t.Helper()
	ctx := context.Background()
	parsed, err := engine.NewInstantQuery(ctx, q, nil, query, time.UnixMilli(atMs))
	if err != nil {
		t.Fatal(err)
	}
	defer parsed.Close()
	result := parsed.Exec(ctx)
	v, err := result.Vector()
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	warnings, _ := result.Warnings.AsStrings(query, 0, 0)
	warned := slices.ContainsFunc(warnings, func(w string) bool { return strings.Contains(w, "overlap") })
	if len(v) == 0 {
		return nil, warned
	}
	return &v[0], warned
}

func compare(a answer, w window, got *prom.Sample) error {
	var v float64
	var h *histogram.FloatHistogram
	ok := w.n() > 0
	switch {
	case ok && w.hist.N > 0 && a.hist != nil:
		h, ok = a.hist(w)
	case ok:
		v, ok = a.float(w)
	}
	switch {
	case (got != nil) != ok:
		return fmt.Errorf("the engine's answer is %v, that of rows %v", got, ok)
	case got == nil:
		return nil
	case (got.H != nil) != (h != nil):
		return fmt.Errorf("the engine's answer is %v, that of rows %v %v", got, v, h)
	case h != nil:
		engines, ours := got.H.Copy(), h.Copy()
		engines.CounterResetHint = ours.CounterResetHint
		if a.exact && !ours.Compact(0).Equals(engines.Compact(0)) || !sameHistogram(engines, ours) {
			return fmt.Errorf("the engine's answer is\n%v, that of rows\n%v", engines, ours)
		}
	case a.exact && math.Float64bits(v) != math.Float64bits(got.F) && !(v != v && got.F != got.F),
		!closeTo(v, got.F):
		return fmt.Errorf("the engine's answer is %v, that of rows %v", got.F, v)
	}
	return nil
}

func closeTo(a, b float64) bool {
	return a == b || a != a && b != b || math.Abs(a-b) <= 1e-12*max(math.Abs(a), math.Abs(b))
}
