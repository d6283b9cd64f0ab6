package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse/sqlgen"
	"github.com/metricstream/metricstream/store/rollup"
)

// SelectRollups reads the rows of a tier; see [rollup.Reader]. It looks at the tables alone: which of their rows are
// complete is said by Coverage. Connections are held while yield runs; they are of those that only such reads use, so yield
// may read raw.
//
// The time is read in stretches, each by a statement of its own. One statement would have the server merge all partitions,
// row by row, on one core, which costs more than reading them; here the rows of a series are only appended.
func (s *Store) SelectRollups(ctx context.Context, sel rollup.Selection, yield func(*rollup.Series) error) error {
	table, ok := tierTables[sel.Tier]
	if !ok {
		return store.Invalidf("cannot read rows of tier %s: only 1m and 1h have tables", sel.Tier)
	}
	found, err := s.findSeries(ctx, sel.Selection)
	if err != nil || len(found) == 0 {
		return err
	}
	histograms, err := s.readTierHistograms(ctx, sel, found)
	if err != nil {
		return err
	}
	held, err := s.tiers.reserve(ctx, streamsFor(sel, len(found)))
	if err != nil {
		return fmt.Errorf("cannot read %s from ClickHouse: %w", table, context.Cause(ctx))
	}
	defer s.tiers.free(held)
	if len(histograms) > 0 || !sel.Windows.Apart(sel.Tier) {
		sel.Windows = rollup.Windows{} // what a histogram is worth depends on the stale markers before it
	}
	m := &tierMerger{series: found, histograms: histograms, max: sel.MaxSamples, yield: yield, limits: s.metrics.limits}
	open := func(versions bool) {
		for _, p := range stretches(sel, held) {
			m.streams = append(m.streams, s.streamTier(ctx, table, sel, m.left(), p, versions))
		}
	}
	defer m.stop()
	open(false)
	if err := m.merge(); !errors.Is(err, errTwice) {
		return err
	}
	// Some hour was folded again and is not merged yet.
	m.back()
	open(true)
	return m.merge()
}

// streamTier begins to read the rows of one stretch of time. Versions are of use only where a bucket has several rows, which
// is rare, so they are not read before such a bucket is met.
func (s *Store) streamTier(ctx context.Context, table string, sel rollup.Selection, found []foundSeries, p sqlgen.Points, versions bool) *tierStream {
	t := &tierStream{}
	columns := t.c.needs(sel.Columns, len(keysWith(found, store.HasStarts)) > 0)
	unread := func(name string) {
		columns = slices.DeleteFunc(columns, func(c proto.ResultColumn) bool { return c.Name == name })
	}
	if one := found[0].key.Metric; one == found[len(found)-1].key.Metric {
		t.metric = one
		unread("metric")
	}
	if !versions {
		unread("ver")
	}
	t.rows = rowsReader{c: &t.c, want: sel.Columns, stepMs: sel.Tier.StepMs(), unversioned: !versions}
	p.Keys = keysOf(found)
	q := withKeys(p)
	q.Result = columns
	st := p.Tier(table, namesOf(columns), sel.Windows)
	st.Small = true // a second thread would only make the server merge what one part has in order
	t.start(ctx, func(ctx context.Context, onBlock func(rows int) error) error {
		return s.queryReserved(ctx, s.tiers, table, st, q, onBlock)
	})
	return t
}

func namesOf(columns proto.Results) []string {
	names := make([]string, len(columns))
	for i := range columns {
		names[i] = columns[i].Name
	}
	return names
}
