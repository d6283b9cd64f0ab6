package clickhouse

import (
	"context"
	"maps"
	"slices"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse/sqlgen"
	"github.com/metricstream/metricstream/store/rollup"
)

var _ rollup.Auditor = (*Store)(nil)

// ReadRollups reads the rows of all tenants in a span; see [rollup.Auditor]. Rows of histograms are read first and kept.
func (s *Store) ReadRollups(ctx context.Context, tier rollup.Tier, span rollup.Span, yield func(*rollup.Series) error) error {
	table, ok := tierTables[tier]
	if !ok {
		return store.Invalidf("cannot read rows of tier %s: only 1m and 1h have tables", tier)
	}
	sel := rollup.Selection{Selection: store.Selection{MinMs: span.FromMs + 1, MaxMs: span.ToMs}, Tier: tier, Columns: rollup.AllColumns}
	p := sqlgen.Points{MinMs: sel.MinMs, MaxMs: sel.MaxMs}
	histograms, err := s.readHistogramRows(ctx, sel, p)
	if err != nil {
		return err
	}
	var c tierColumns
	q := withKeys(p)
	columns := c.needs(sel.Columns, true)
	q.Result = columns
	a := &auditor{
		rows: rowsReader{c: &c, want: sel.Columns, stepMs: tier.StepMs()}, histograms: histograms, yield: yield,
		keys: slices.SortedFunc(maps.Keys(histograms), store.Key.Compare),
	}
	if err := s.queryOn(ctx, s.tiers, table, p.Tier(table, namesOf(columns), rollup.Windows{}), q, a.add); err != nil {
		return err
	}
	return a.finish()
}

// auditor makes series of the rows of all keys.
type auditor struct {
	rows       rowsReader
	histograms map[store.Key][]rollup.HistogramRow
	keys       []store.Key // of histograms that were not handed on yet
	yield      func(*rollup.Series) error

	open    bool
	current rollup.Series
}

// add takes a block of rows.
func (a *auditor) add(rows int) error {
	c := a.rows.c
	for i := 0; i < rows; {
		key, j := store.Key{Metric: c.keys.metrics[i], ID: c.keys.ids[i]}, i+1
		for j < rows && c.keys.ids[j] == key.ID && c.keys.metrics[j] == key.Metric {
			j++
		}
		if !a.open || a.current.Key != key {
			if err := a.end(); err != nil {
				return err
			}
			if err := a.histogramsBefore(&key); err != nil {
				return err
			}
			a.start(key)
		}
		a.rows.appendRows(&a.current.Rows, i, j)
		i = j
	}
	return nil
}

func (a *auditor) start(key store.Key) {
	a.open = true
	truncate(&a.current.Rows, 0)
	a.current.Key, a.current.Histograms = key, a.histograms[key]
	if len(a.keys) > 0 && a.keys[0] == key {
		a.keys = a.keys[1:]
	}
}

// histogramsBefore hands on the series before a key that have only histograms; nil is all that are left.
func (a *auditor) histogramsBefore(key *store.Key) error {
	for len(a.keys) > 0 && (key == nil || a.keys[0].Compare(*key) < 0) {
		a.start(a.keys[0])
		if err := a.end(); err != nil {
			return err
		}
	}
	return nil
}

func (a *auditor) end() error {
	if !a.open {
		return nil
	}
	a.open = false
	return a.yield(&a.current)
}

func (a *auditor) finish() error {
	if err := a.end(); err != nil {
		return err
	}
	return a.histogramsBefore(nil)
}
