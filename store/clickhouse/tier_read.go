package clickhouse

import (
	"context"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse/sqlgen"
	"github.com/metricstream/metricstream/store/rollup"
)

// SelectRollups reads the rows of a tier; see [rollup.Reader]. It looks at the tables alone: which of their rows are
// complete is said by Coverage. The connection is held while yield runs; it is one of those that only such reads use, so yield
// may read raw.
func (s *Store) SelectRollups(ctx context.Context, sel rollup.Selection, yield func(*rollup.Series) error) error {
	table, ok := tierTables[sel.Tier]
	if !ok {
		return store.Invalidf("cannot read rows of tier %s: only 1m and 1h have tables", sel.Tier)
	}
	found, err := s.findSeries(ctx, sel.Selection)
	if err != nil || len(found) == 0 {
		return err
	}
	p := sqlgen.Points{Keys: keysOf(found), MinMs: sel.MinMs, MaxMs: sel.MaxMs}
	histograms, err := s.readTierHistograms(ctx, sel, found)
	if err != nil {
		return err
	}
	var c tierColumns
	q := withKeys(p)
	columns := c.needs(sel.Columns, len(keysWith(found, store.HasStarts)) > 0)
	q.Result = columns
	m := &tierMerger{
		series: found, histograms: histograms, max: sel.MaxSamples, yield: yield, limits: s.metrics.limits,
		rows: rowsReader{c: &c, want: sel.Columns, stepMs: sel.Tier.StepMs()},
	}
	if err := s.queryOn(ctx, s.tiers, table, p.Tier(table, namesOf(columns)), q, m.add); err != nil {
		return err
	}
	return m.finish()
}

func namesOf(columns proto.Results) []string {
	names := make([]string, len(columns))
	for i := range columns {
		names[i] = columns[i].Name
	}
	return names
}
