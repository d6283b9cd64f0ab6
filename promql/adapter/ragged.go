package adapter

import (
	"context"

	"github.com/metricstream/metricstream/promql/plan"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
)

// selectRagged reads the one window of a selector that does not begin and end with buckets: whole buckets from the
// tier, and for the two that it cuts through the rows that its own samples make.
func (q *querier) selectRagged(ctx context.Context, sel *plan.Selector, s store.Selection, c rollup.Columns, yield func(*rollup.Series) error) error {
	step := sel.Tier.StepMs()
	begin, end := sel.BeginMs(), sel.EndMs()
	from, to := rollup.EndMs(begin, step), end/step*step
	heads, err := q.foldRaw(ctx, sel, s, c, rollup.Span{FromMs: begin, ToMs: from})
	if err != nil {
		return err
	}
	tails, err := q.foldRaw(ctx, sel, s, c, rollup.Span{FromMs: to, ToMs: end})
	if err != nil {
		return err
	}
	take := func(folded map[string]*rollup.Series, key string) *rollup.Series {
		one := folded[key]
		delete(folded, key)
		return one
	}
	var whole rollup.Series
	s.MinMs, s.MaxMs = from+step, to
	err = q.tiers.SelectRollups(ctx, rollup.Selection{Selection: s, Tier: sel.Tier, Columns: c}, func(found *rollup.Series) error {
		key := string(found.Labels.Bytes(nil))
		join(&whole, take(heads, key), found, take(tails, key))
		return yield(&whole)
	})
	if err != nil {
		return err
	}
	for key, head := range heads {
		join(&whole, head, take(tails, key))
		if err := yield(&whole); err != nil {
			return err
		}
	}
	for _, tail := range tails {
		if err := yield(tail); err != nil {
			return err
		}
	}
	return nil
}

// foldRaw folds the raw samples of a span, which is no longer than a bucket; by the labels of the series.
func (q *querier) foldRaw(ctx context.Context, sel *plan.Selector, s store.Selection, c rollup.Columns, span rollup.Span) (map[string]*rollup.Series, error) {
	folded := map[string]*rollup.Series{}
	if span.FromMs >= span.ToMs {
		return folded, nil
	}
	var folder rollup.Folder
	s.MinMs, s.MaxMs = span.FromMs+1, span.ToMs
	err := q.reader.Select(ctx, s, func(d *store.SeriesData) error {
		samples := len(d.TimesMs) + len(d.Histograms)
		sel.Read.RawSamples.Add(int64(samples))
		one := &rollup.Series{Labels: d.Labels}
		folder.Fold(one, d, sel.Tier, c)
		folded[string(d.Labels.Bytes(nil))] = one
		return q.budget.take(samples)
	})
	return folded, err
}

// join makes dst the rows of the parts, of which any may be nil, one after another.
func join(dst *rollup.Series, parts ...*rollup.Series) {
	dst.Rows.Reset()
	dst.Histograms = dst.Histograms[:0]
	for _, p := range parts {
		if p == nil {
			continue
		}
		dst.Labels = p.Labels
		appendRows(&dst.Rows, &p.Rows)
		dst.Histograms = append(dst.Histograms, p.Histograms...)
	}
}

// appendRows adds all rows of another series of the same columns.
func appendRows(dst, r *rollup.Rows) {
	dst.EndsMs, dst.N = append(dst.EndsMs, r.EndsMs...), append(dst.N, r.N...)
	dst.Flags, dst.StaleMs = append(dst.Flags, r.Flags...), append(dst.StaleMs, r.StaleMs...)
	dst.FirstMs, dst.First = append(dst.FirstMs, r.FirstMs...), append(dst.First, r.First...)
	dst.LastMs, dst.Last = append(dst.LastMs, r.LastMs...), append(dst.Last, r.Last...)
	dst.PrevMs, dst.Prev = append(dst.PrevMs, r.PrevMs...), append(dst.Prev, r.Prev...)
	dst.FirstStartMs, dst.LastStartMs = append(dst.FirstStartMs, r.FirstStartMs...), append(dst.LastStartMs, r.LastStartMs...)
	dst.Sum, dst.Comp, dst.M2 = append(dst.Sum, r.Sum...), append(dst.Comp, r.Comp...), append(dst.M2, r.M2...)
	dst.Min, dst.Max = append(dst.Min, r.Min...), append(dst.Max, r.Max...)
	dst.Resets, dst.Changes = append(dst.Resets, r.Resets...), append(dst.Changes, r.Changes...)
}
