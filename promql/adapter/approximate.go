package adapter

import (
	"context"
	"math"

	"github.com/metricstream/metricstream/promql/kernel"
	"github.com/metricstream/metricstream/promql/plan"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// readApproximate returns the series of a selector of which some times have no exact answer: those of the tier for these
// times, and the exact ones for the others.
func (q *querier) readApproximate(ctx context.Context, sel *plan.Selector, s store.Selection) ([]storage.Series, annotations.Annotations, error) {
	head, tail := sel.Head(), sel.Tail()
	if sel.Approximate.Lasts {
		list, err := q.readLasts(ctx, sel, s)
		return list, nil, err
	}
	first, warnings, err := q.readRows(ctx, head, s)
	if err != nil {
		return nil, nil, err
	}
	var second []storage.Series
	var more annotations.Annotations
	switch {
	case tail != nil && tail.Tier != rollup.Raw:
		second, more, err = q.readRows(ctx, tail, s)
	case sel.Instant():
		second, err = q.readBehind(ctx, sel, s, sel.Approximate.RawMs)
	case tail != nil:
		second, more, err = q.readWindows(ctx, tail, s)
	}
	warnings.Merge(more)
	if err != nil {
		return nil, nil, err
	}
	if sel.Instant() {
		return joinSamples(first, second), warnings, nil
	}
	return joinGrids(sel, first, second), warnings, nil
}

// readWindows has the engine evaluate the function of a selector over raw samples.
func (q *querier) readWindows(ctx context.Context, sel *plan.Selector, s store.Selection) ([]storage.Series, annotations.Annotations, error) {
	t := &tierRead{q: q, sel: sel, tenant: s.Tenant}
	t.begin()
	s.MinMs, s.MaxMs = sel.BeginMs()+1, sel.EndMs()
	found, err := q.findSamples(ctx, s, sel)
	if err != nil {
		return nil, nil, err
	}
	for _, d := range found {
		if err := t.evaluate(ctx, d); err != nil {
			return nil, nil, err
		}
	}
	return t.end()
}

// readBehind returns the samples after a time.
func (q *querier) readBehind(ctx context.Context, sel *plan.Selector, s store.Selection, fromMs int64) ([]storage.Series, error) {
	s.MinMs, s.MaxMs = max(sel.BeginMs(), fromMs)+1, sel.EndMs()
	if s.MinMs > s.MaxMs {
		return nil, nil
	}
	return q.readSamples(ctx, s, sel)
}

// readLasts returns the last samples of buckets, and raw samples in the windows that are exact.
func (q *querier) readLasts(ctx context.Context, sel *plan.Selector, s store.Selection) ([]storage.Series, error) {
	var list []storage.Series
	untilMs := sel.EndMs()
	if tail := sel.Tail(); tail != nil {
		untilMs = tail.BeginMs()
	}
	err := q.selectRows(ctx, sel.Head(), s, rollup.LastColumns, func(r *rollup.Series) error {
		sel.Read.Series.Add(1)
		d := &store.SeriesData{Labels: r.Labels}
		for i, n := range r.Rows.N {
			if n > 0 && r.Rows.LastMs[i] <= untilMs {
				d.TimesMs, d.Values = append(d.TimesMs, r.Rows.LastMs[i]), append(d.Values, r.Rows.Last[i])
			}
		}
		for i := range r.Histograms {
			if h := &r.Histograms[i]; h.N > 0 && h.LastMs <= untilMs {
				d.Histograms = append(d.Histograms, store.HistogramPoint{TimeMs: h.LastMs, Float: h.Last.Copy()})
			}
		}
		list = append(list, &series{d})
		return q.budget.take(len(r.Rows.EndsMs) + len(r.Histograms))
	})
	if err != nil {
		return nil, err
	}
	raw, err := q.readBehind(ctx, sel, s, untilMs)
	if err != nil {
		return nil, err
	}
	return joinSamples(list, raw), nil
}

// pick returns the values of the selector's times out of those of whole buckets. What adds up over time is scaled to the
// length of the windows.
func (t *tierRead) pick(values []float64, histograms []*histogram.FloatHistogram) ([]float64, []*histogram.FloatHistogram) {
	scale := 1.0
	switch t.sel.Function {
	case "increase", "delta", "sum_over_time", "count_over_time", "resets", "changes":
		scale = float64(t.sel.RangeMs) / float64(t.sel.Approximate.RangeMs)
	}
	out := make([]float64, t.sel.Times.Count)
	for i := range out {
		if out[i] = values[t.at(i)]; scale != 1 && !kernel.IsAbsent(out[i]) {
			out[i] *= scale
		}
	}
	if histograms == nil {
		return out, nil
	}
	hs := make([]*histogram.FloatHistogram, len(out))
	for i := range hs {
		if h := histograms[t.at(i)]; h != nil {
			hs[i] = h.Copy() // several times may have the same
			if scale != 1 {
				hs[i].Mul(scale)
			}
		}
	}
	return out, hs
}

// addLastBuckets hands on, at each time of an instant selector, the last sample of the last full bucket, or of one that the
// lookback reaches.
func (t *tierRead) addLastBuckets(s *rollup.Series) error {
	lasts := &tierRead{q: t.q, sel: t.sel}
	if err := lasts.addInstant(s); err != nil {
		return err
	}
	if len(lasts.raw) > 0 {
		t.raw = append(t.raw, s.Labels)
		return nil
	}
	d, step := lasts.list[0].(*series).data, t.sel.Tier.StepMs()
	out := &store.SeriesData{Labels: d.Labels}
	at := func(ms int64, v float64) { out.TimesMs, out.Values = append(out.TimesMs, ms), append(out.Values, v) }
	i, j := 0, 0 // behind the last samples that are seen
	for k := range t.sel.Times.Count {
		now := t.sel.Times.At(k)
		until := now / step * step
		from := min(until-step, now-t.sel.RangeMs)
		for i < len(d.TimesMs) && d.TimesMs[i] <= until {
			i++
		}
		for j < len(d.Histograms) && d.Histograms[j].TimeMs <= until {
			j++
		}
		switch {
		case j > 0 && d.Histograms[j-1].TimeMs > from && (i == 0 || d.TimesMs[i-1] < d.Histograms[j-1].TimeMs):
			out.Histograms = append(out.Histograms, store.HistogramPoint{TimeMs: now, Float: d.Histograms[j-1].Float})
		case i > 0 && d.TimesMs[i-1] > from:
			at(now, d.Values[i-1])
		default:
			at(now, math.Float64frombits(value.StaleNaN))
			continue
		}
		// What was seen at one time is not to be seen at the next one.
		if next := now + 1; k+1 == t.sel.Times.Count || next < t.sel.Times.At(k+1) {
			at(next, math.Float64frombits(value.StaleNaN))
		}
	}
	t.list = append(t.list, &series{out})
	return nil
}

// cut leaves out the samples after a time.
func cut(d *store.SeriesData, untilMs int64) {
	for len(d.TimesMs) > 0 && d.TimesMs[len(d.TimesMs)-1] > untilMs {
		d.TimesMs, d.Values = d.TimesMs[:len(d.TimesMs)-1], d.Values[:len(d.Values)-1]
	}
	for len(d.Histograms) > 0 && d.Histograms[len(d.Histograms)-1].TimeMs > untilMs {
		d.Histograms = d.Histograms[:len(d.Histograms)-1]
	}
}

// joinSamples puts exact samples behind approximate ones, of which none stays that is not older.
func joinSamples(first, second []storage.Series) []storage.Series {
	of := map[string]*store.SeriesData{}
	for _, one := range first {
		of[string(one.Labels().Bytes(nil))] = one.(*series).data
	}
	for _, one := range second {
		d, exact := of[string(one.Labels().Bytes(nil))], one.(*series).data
		if d == nil {
			first = append(first, one)
			continue
		}
		begin := int64(math.MaxInt64)
		if len(exact.TimesMs) > 0 {
			begin = exact.TimesMs[0]
		}
		if len(exact.Histograms) > 0 {
			begin = min(begin, exact.Histograms[0].TimeMs)
		}
		cut(d, begin-1)
		d.TimesMs, d.Values = append(d.TimesMs, exact.TimesMs...), append(d.Values, exact.Values...)
		d.Histograms = append(d.Histograms, exact.Histograms...)
	}
	return first
}

// joinGrids makes one grid of the values at the first times and at the others.
func joinGrids(sel *plan.Selector, first, second []storage.Series) []storage.Series {
	var out []storage.Series
	of := map[string]*grid{}
	t := &tierRead{sel: sel}
	join := func(list []storage.Series, from int) {
		for _, one := range list {
			part := one.(*grid)
			key := string(part.labels.Bytes(nil))
			whole := of[key]
			if whole == nil {
				whole = t.newGrid(part.labels)
				of[key] = whole
				out = append(out, whole)
			}
			whole.put(part, from)
		}
	}
	join(first, 0)
	join(second, sel.Approximate.Count)
	return out
}

// put copies what another grid has into a part of this one.
func (g *grid) put(part *grid, from int) {
	for i, v := range part.values {
		if !kernel.IsAbsent(v) {
			g.values[from+i] = v
		}
	}
	for i, h := range part.histograms {
		if h == nil {
			continue
		}
		if g.histograms == nil {
			g.histograms = make([]*histogram.FloatHistogram, len(g.values))
		}
		g.histograms[from+i] = h
	}
}
