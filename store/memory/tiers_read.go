package memory

import (
	"context"
	"maps"
	"math"
	"slices"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
)

// Coverage implements [rollup.Reader]: hours that are closed and have no marks.
func (t *Tiers) Coverage(ctx context.Context, _ string) (rollup.Coverage, error) {
	c := rollup.Coverage{rollup.Raw: {{FromMs: math.MinInt64, ToMs: forever}}}
	t.mu.Lock()
	defer t.mu.Unlock()
	marked := map[int64]bool{}
	for m := range t.marks {
		marked[m.EndMs] = true
	}
	for _, end := range slices.Sorted(maps.Keys(t.hours)) {
		if t.hours[end].State != rollup.Closed || marked[end] {
			continue
		}
		for _, tier := range []rollup.Tier{rollup.Minute, rollup.Hour} {
			if !t.hours[end].Tiers.Has(tier) {
				continue
			}
			if n := len(c[tier]); n > 0 && c[tier][n-1].ToMs == end-hourMs {
				c[tier][n-1].ToMs = end
			} else {
				c[tier] = append(c[tier], rollup.Span{FromMs: end - hourMs, ToMs: end})
			}
		}
	}
	return c, ctx.Err()
}

// SelectRollups implements [rollup.Reader].
func (t *Tiers) SelectRollups(ctx context.Context, sel rollup.Selection, yield func(*rollup.Series) error) error {
	t.Store.mu.RLock()
	day := sel.Selection
	day.MinMs -= sel.Tier.StepMs()
	chosen := t.chosen(day)
	t.Store.mu.RUnlock()
	rows := 0
	for _, o := range chosen {
		s := t.readRows(o.key, sel.Tier, rollup.Span{FromMs: sel.MinMs - 1, ToMs: sel.MaxMs}, sel.Columns)
		if s == nil {
			continue
		}
		s.Labels = o.labels
		if rows += s.Rows.Len() + len(s.Histograms); sel.MaxSamples > 0 && rows > sel.MaxSamples {
			return within(sel.Selection, 0, rows)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := yield(s); err != nil {
			return err
		}
	}
	return nil
}

// ReadRollups implements [rollup.Auditor].
func (t *Tiers) ReadRollups(ctx context.Context, tier rollup.Tier, span rollup.Span, yield func(*rollup.Series) error) error {
	t.mu.Lock()
	keys := map[store.Key]struct{}{}
	for of := range t.rows {
		keys[of.key] = struct{}{}
	}
	t.mu.Unlock()
	for _, k := range slices.SortedFunc(maps.Keys(keys), store.Key.Compare) {
		if s := t.readRows(k, tier, span, rollup.AllColumns); s != nil {
			if err := yield(s); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// readRows returns a series' rows, nil where it has none.
func (t *Tiers) readRows(k store.Key, tier rollup.Tier, span rollup.Span, c rollup.Columns) *rollup.Series {
	t.mu.Lock()
	defer t.mu.Unlock()
	rows := t.rows[rowsOf{tier, k}]
	var ends []int64
	for end := range rows {
		if end > span.FromMs && end <= span.ToMs {
			ends = append(ends, end)
		}
	}
	if len(ends) == 0 {
		return nil
	}
	slices.Sort(ends)
	s := &rollup.Series{Key: k}
	for _, end := range ends {
		r := rows[end]
		if r.histogram != nil {
			s.Histograms = append(s.Histograms, *r.histogram)
			continue
		}
		s.Rows.Append(r.row, c)
	}
	return s
}
