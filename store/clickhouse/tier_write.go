package clickhouse

import (
	"context"
	"fmt"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
)

var _ rollup.Writer = (*Store)(nil)

// tierTables are the tables of float rows by tier.
var tierTables = map[rollup.Tier]string{rollup.Minute: "rollup_1m", rollup.Hour: "rollup_1h"}

// WriteRollups inserts the rows of a fold; see [rollup.Writer]. Rows of several days are several inserts.
func (s *Store) WriteRollups(ctx context.Context, b *rollup.Batch) error {
	table, ok := tierTables[b.Tier]
	if !ok {
		return store.Invalidf("cannot write rows of tier %s: only 1m and 1h have tables", b.Tier)
	}
	stepMs := b.Tier.StepMs()
	var c tierColumns
	for i := range b.Series {
		r := &b.Series[i]
		for j := range r.Rows.EndsMs {
			c.append(r.Key, r.Class, &r.Rows, j, b.Version, stepMs)
		}
		if len(c.buckets) >= maxInsertRows {
			if err := s.insert(ctx, table, c.input()); err != nil {
				return err
			}
			c.reset()
		}
	}
	if err := s.insert(ctx, table, c.input()); err != nil {
		return fmt.Errorf("cannot write the %s tier: %w", b.Tier, err)
	}
	return s.writeHistogramRows(ctx, b)
}

// VoidRollups inserts rows without samples in the place of older ones; see [rollup.Writer].
func (s *Store) VoidRollups(ctx context.Context, tier rollup.Tier, span rollup.Span, version uint64) error {
	for _, table := range []string{tierTables[tier], tierHistogramTables[tier]} {
		statement := fmt.Sprintf(`INSERT INTO %[1]s (metric, id, bucket, ver, flags, class)
SELECT metric, id, bucket, toUInt64(%[2]d), %[3]d, argMax(class, ver) FROM %[1]s WHERE bucket > %[4]d AND bucket <= %[5]d
GROUP BY metric, id, bucket HAVING max(ver) < %[2]d AND argMax(flags, ver) != %[3]d SETTINGS optimize_aggregation_in_order = 1`,
			table, version, rollup.Void, floorMinutes(span.FromMs), floorMinutes(span.ToMs))
		if err := s.admin.Exec(long(ctx), statement); err != nil {
			return fmt.Errorf("cannot void old rows of %s: %w", table, verdict(err))
		}
	}
	return nil
}

// columns lists the columns by name.
func (c *tierColumns) columns() map[string]proto.Column {
	return map[string]proto.Column{
		"metric": &c.keys.metrics, "id": &c.keys.ids, "bucket": &c.buckets, "ver": &c.vers, "n": &c.ns, "flags": &c.flags, "exp": &c.exps,
		"last": &c.last, "first_d": &c.firstD, "prev_d": &c.prevD, "min_d": &c.minD, "max_d": &c.maxD, "sum_d": &c.sumD,
		"comp_d": &c.compD, "m2": &c.m2, "first_o": &c.firstO, "last_o": &c.lastO, "prev_o": &c.prevO, "stale_o": &c.staleO,
		"resets": &c.resets, "changes": &c.changes, "first_st": &c.firstSt, "last_st": &c.lastSt,
		"class": &c.classes,
	}
}

func (c *tierColumns) input() proto.Input {
	var in proto.Input
	for name, data := range c.columns() {
		in = append(in, proto.InputColumn{Name: name, Data: data})
	}
	return in
}

func (c *tierColumns) reset() {
	for _, data := range c.columns() {
		data.Reset()
	}
}
