package adapter

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/metricstream/metricstream/promql/kernel"
	"github.com/metricstream/metricstream/promql/plan"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// tierRead is the answer to one selector of a plan, from a tier.
type tierRead struct {
	q        *querier
	sel      *plan.Selector
	tenant   string
	function kernel.Function
	windows  kernel.Windows
	groups   *groups // nil without an aggregation
	present  *grid   // for absent_over_time: where any series is

	list     []storage.Series
	raw      []labels.Labels // series that have to be read from raw
	warnings annotations.Annotations
	values   []float64 // space

	// at says which of the windows a time takes its value from, where the answer is approximate.
	at func(i int) int
}

// readTier returns the series that the engine gets for a selector of a plan.
func (q *querier) readTier(ctx context.Context, sel *plan.Selector, s store.Selection) ([]storage.Series, annotations.Annotations, error) {
	s.Matchers = sel.Matchers
	if sel.Approximate != nil {
		return q.readApproximate(ctx, sel, s)
	}
	return q.readRows(ctx, sel, s)
}

// readRows computes the series from rows of the tier.
func (q *querier) readRows(ctx context.Context, sel *plan.Selector, s store.Selection) ([]storage.Series, annotations.Annotations, error) {
	t := &tierRead{q: q, sel: sel, tenant: s.Tenant}
	columns := rollup.LastColumns | rollup.StaleColumn
	if !sel.Instant() {
		var ok bool
		if t.function, ok = kernel.Of(sel.Function); !ok {
			return nil, nil, fmt.Errorf("cannot compute %s from rows: no kernel knows it", sel.Function)
		}
		columns = t.function.Columns
		times, rangeMs := sel.Times, sel.RangeMs
		if a := sel.Approximate; a != nil {
			times, t.at = a.Grid(times, sel.Tier.StepMs())
			rangeMs = a.RangeMs
		}
		t.windows = kernel.Windows{
			FirstMs: times.FirstMs, StepMs: times.StepMs, Count: times.Count, RangeMs: rangeMs, BucketMs: sel.Tier.StepMs(),
		}
		t.values = make([]float64, times.Count)
	}
	t.begin()
	if err := q.selectRows(ctx, sel, s, columns, t.add); err != nil {
		return nil, nil, err
	}
	if err := t.addRaw(ctx, s); err != nil {
		return nil, nil, err
	}
	return t.end()
}

// begin makes room for what is made of all series.
func (t *tierRead) begin() {
	switch {
	case t.sel.Instant():
	case t.sel.Function == "absent_over_time":
		t.present = t.newGrid(labels.EmptyLabels())
	case t.sel.Group != nil:
		t.groups = newGroups(t.sel)
	}
}

// end returns what was made.
func (t *tierRead) end() ([]storage.Series, annotations.Annotations, error) {
	switch {
	case t.present != nil:
		t.list = append(t.list, t.present)
	case t.groups != nil:
		t.list = append(t.list, t.groups.series(t.sel.Negated)...)
	}
	return t.list, t.warnings, nil
}

func (t *tierRead) newGrid(ls labels.Labels) *grid {
	g := &grid{labels: ls, times: t.sel.Times, values: make([]float64, t.sel.Times.Count)}
	for i := range g.values {
		g.values[i] = kernel.Absent()
	}
	return g
}

// add takes in one series of the tier.
func (t *tierRead) add(s *rollup.Series) error {
	rows := len(s.Rows.EndsMs) + len(s.Histograms)
	t.sel.Read.Series.Add(1)
	if err := t.q.budget.take(rows); err != nil {
		return err
	}
	switch {
	case t.sel.Instant() && t.sel.Approximate != nil:
		return t.addLastBuckets(s)
	case t.sel.Instant():
		return t.addInstant(s)
	case len(s.Histograms) > 0 && anySample(&s.Rows):
		t.raw = append(t.raw, s.Labels) // what the functions make of both is left to the engine
		return nil
	case len(s.Histograms) > 0 && t.sel.Expired == "" && t.hinted(s.Histograms):
		t.raw = append(t.raw, s.Labels)
		return nil
	case len(s.Histograms) > 0:
		g, warnings, ok := t.function.Histograms(s.Histograms, t.windows)
		if !ok {
			t.raw = append(t.raw, s.Labels)
			return nil
		}
		if t.at != nil {
			g.Values, g.Histograms = t.pick(g.Values, g.Histograms)
		}
		t.annotate(s.Labels, g.Values, warnings)
		t.put(s.Labels, g.Values, g.Histograms)
		return nil
	}
	warnings, ok := t.function.Floats(t.values, &s.Rows, t.windows)
	if !ok {
		t.raw = append(t.raw, s.Labels)
		return nil
	}
	if t.at != nil {
		picked, _ := t.pick(t.values, nil)
		t.annotate(s.Labels, picked, warnings)
		t.put(s.Labels, picked, nil)
		return nil
	}
	t.annotate(s.Labels, t.values, warnings)
	if t.put(s.Labels, t.values, nil) {
		t.values = make([]float64, t.sel.Times.Count)
	}
	return nil
}

// hinted reports whether it matters what counter reset hints the engine sees: where sums warn of those that contradict
// each other, and where it counts resets of gauges of which it reads nothing but counts. Rows do not have the hints of all
// samples, so raw tells where it still can; the other values are the same.
func (t *tierRead) hinted(rows []rollup.HistogramRow) bool {
	switch t.sel.Function {
	case "sum_over_time", "avg_over_time":
		return true
	}
	return t.sel.CountsOnly() && slices.ContainsFunc(rows, func(r rollup.HistogramRow) bool { return r.Flags&rollup.HasGauge != 0 })
}

// anySample reports whether a row has samples, or may have: rows of nothing but stale markers say nothing.
func anySample(r *rollup.Rows) bool {
	for i, n := range r.N {
		if n > 0 || r.Flags[i]&rollup.NeedsRaw != 0 {
			return true
		}
	}
	return false
}

// put hands on the values of a series, and reports whether it kept them.
func (t *tierRead) put(ls labels.Labels, values []float64, histograms []*histogram.FloatHistogram) bool {
	switch {
	case t.present != nil:
		for i, v := range values {
			if !kernel.IsAbsent(v) || histograms != nil && histograms[i] != nil {
				t.present.values[i] = 1
			}
		}
		return false
	case !anyPoint(values, histograms):
		return false
	case t.groups != nil:
		return t.putGroup(ls, values, histograms)
	}
	g := &grid{labels: ls, times: t.sel.Times, values: values, histograms: histograms}
	if t.sel.Negated {
		g.negate()
	}
	t.list = append(t.list, g)
	return true
}

// putGroup aggregates floats, and hands histograms to the engine.
func (t *tierRead) putGroup(ls labels.Labels, values []float64, histograms []*histogram.FloatHistogram) bool {
	if histograms == nil {
		t.groups.add(ls, values)
		return false
	}
	rest := t.newGrid(ls)
	rest.histograms = histograms
	if t.groups.counts() {
		for i, h := range histograms {
			if h != nil {
				values[i] = 1
			}
		}
		rest = nil
	}
	if anyPoint(values, nil) {
		t.groups.add(ls, values)
	}
	if rest != nil && anyPoint(rest.values, histograms) {
		if t.sel.Negated {
			rest.negate()
		}
		t.list = append(t.list, rest)
	}
	return true
}

func anyPoint(values []float64, histograms []*histogram.FloatHistogram) bool {
	for _, v := range values {
		if !kernel.IsAbsent(v) {
			return true
		}
	}
	for _, h := range histograms {
		if h != nil {
			return true
		}
	}
	return false
}

var errNoTiers = errors.New("cannot read tiers: there is no reader of them")

// selectRows reads the rows of the selector's windows.
func (q *querier) selectRows(ctx context.Context, sel *plan.Selector, s store.Selection, c rollup.Columns, yield func(*rollup.Series) error) error {
	if q.tiers == nil {
		return errNoTiers
	}
	span := rollup.Span{FromMs: sel.BeginMs(), ToMs: sel.EndMs()}
	if sel.Approximate != nil {
		step := sel.Tier.StepMs()
		from := sel.Times.FirstMs/step*step - max(sel.RangeMs, sel.Approximate.RangeMs)
		span = rollup.Span{FromMs: from / step * step, ToMs: sel.EndMs() / step * step}
	}
	if sel.Instant() {
		// The first bucket may begin before the lookback, and the first histogram is compared with the one before it.
		step := sel.Tier.StepMs()
		span.FromMs = (span.FromMs - previousWindowMs) / step * step
	}
	read := rollup.Read{}
	var windows rollup.Windows
	if sel.Approximate == nil {
		windows = rollup.Windows{FirstMs: sel.Times.FirstMs, StepMs: sel.Times.StepMs, RangeMs: sel.RangeMs}
	}
	err := q.tiers.SelectSpan(ctx, rollup.Selection{Selection: s, Tier: sel.Tier, Columns: c, Windows: windows, Read: &read}, span, yield)
	sel.Read.Rows.Add(read.Rows)
	sel.Read.RawSamples.Add(read.Samples)
	return err
}
