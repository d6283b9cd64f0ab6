package clickhouse

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse/sqlgen"
)

// Stats counts a tenant's series. Each list has at most limit entries.
func (s *Store) Stats(ctx context.Context, tenant string, limit int) (store.Stats, error) {
	if limit < 1 {
		return store.Stats{}, store.Invalidf("cannot list the greatest %d: the limit must be 1 or more", limit)
	}
	out, err := s.seriesStats(ctx, tenant)
	if err != nil || out.Series == 0 {
		return out, err
	}
	if out.SeriesByMetric, err = s.counts(ctx, sqlgen.SeriesByMetric(tenant, limit)); err != nil {
		return out, err
	}
	if out.SeriesByPair, err = s.counts(ctx, sqlgen.SeriesByPair(tenant, limit)); err != nil {
		return out, err
	}
	if err := s.labelStats(ctx, tenant, &out); err != nil {
		return out, err
	}
	out.ValuesByLabel = greatest(out.ValuesByLabel, limit)
	out.BytesByLabel = greatest(out.BytesByLabel, limit)
	return out, nil
}

func (s *Store) seriesStats(ctx context.Context, tenant string) (out store.Stats, err error) {
	var series proto.ColUInt64
	var first, last proto.ColInt64
	q := ch.Query{Result: proto.Results{{Name: "series", Data: &series}, {Name: "first", Data: &first}, {Name: "last", Data: &last}}}
	err = s.query(ctx, "statistics", sqlgen.SeriesStats(tenant), q, func(int) error {
		if out.Series = series[0]; out.Series > 0 {
			out.MinMs, out.MaxMs = first[0]*dayMs, last[0]*dayMs+dayMs-1
		}
		return nil
	})
	return out, err
}

func (s *Store) counts(ctx context.Context, st sqlgen.Statement) ([]store.Count, error) {
	var keys proto.ColStr
	var values proto.ColUInt64
	var out []store.Count
	q := ch.Query{Settings: plainStrings, Result: proto.Results{{Name: "key", Data: &keys}, {Name: "value", Data: &values}}}
	err := s.query(ctx, "statistics", st, q, func(rows int) error {
		for i := range rows {
			out = append(out, store.Count{Name: keys.Row(i), Value: values[i]})
		}
		return nil
	})
	return out, err
}

func (s *Store) labelStats(ctx context.Context, tenant string, out *store.Stats) error {
	var keys proto.ColStr
	var values, sizes proto.ColUInt64
	q := ch.Query{Settings: plainStrings, Result: proto.Results{
		{Name: "key", Data: &keys}, {Name: "values", Data: &values}, {Name: "size", Data: &sizes}}}
	return s.query(ctx, "statistics", sqlgen.Labels(tenant), q, func(rows int) error {
		for i := range rows {
			out.LabelPairs += values[i]
			out.ValuesByLabel = append(out.ValuesByLabel, store.Count{Name: keys.Row(i), Value: values[i]})
			out.BytesByLabel = append(out.BytesByLabel, store.Count{Name: keys.Row(i), Value: sizes[i]})
		}
		return nil
	})
}

func greatest(list []store.Count, limit int) []store.Count {
	slices.SortStableFunc(list, func(a, b store.Count) int { return cmp.Compare(b.Value, a.Value) })
	return list[:min(limit, len(list))]
}

// TableUsage is what one table takes on the disk, in its active parts.
type TableUsage struct {
	Table string
	Parts uint64

	// Rows counts rows, those that wait to be merged into one several times.
	Rows  uint64
	Bytes uint64
}

// DiskUsage returns what the tables take on the disk, sorted by table. Bytes by rows of the table samples is what
// a sample costs.
func (s *Store) DiskUsage(ctx context.Context) ([]TableUsage, error) {
	rows, err := s.admin.Query(ctx, `SELECT table, count(), sum(rows), sum(bytes_on_disk) FROM system.parts
		WHERE database = currentDatabase() AND active GROUP BY table ORDER BY table`)
	if err != nil {
		return nil, fmt.Errorf("cannot read the sizes of the tables: %w", verdict(err))
	}
	defer func() { _ = rows.Close() }()
	var out []TableUsage
	for rows.Next() {
		var u TableUsage
		if err := rows.Scan(&u.Table, &u.Parts, &u.Rows, &u.Bytes); err != nil {
			return nil, fmt.Errorf("cannot read the sizes of the tables: %w", err)
		}
		out = append(out, u)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("cannot read the sizes of the tables: %w", verdict(err))
	}
	return out, nil
}
