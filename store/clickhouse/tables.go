package clickhouse

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse/sqlgen"
)

// Exemplars returns the exemplars of the series that match; see [store.ExemplarReader].
func (s *Store) Exemplars(ctx context.Context, sel store.Selection) ([]store.SeriesExemplars, error) {
	found, err := s.findSeries(ctx, sel)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	var metrics proto.ColUInt32
	var ids proto.ColUInt64
	var times proto.ColInt64
	var values proto.ColFloat64
	lc := newLabelsColumn()
	p := sqlgen.Points{Keys: keysOf(found), MinMs: sel.MinMs, MaxMs: sel.MaxMs}
	q := withKeys(p)
	q.Result = proto.Results{{Name: "metric", Data: &metrics}, {Name: "id", Data: &ids}, {Name: "ts", Data: &times},
		{Name: "value", Data: &values}, {Name: "labels", Data: lc}}
	var out []store.SeriesExemplars
	var last store.Key
	total := 0
	err = s.query(ctx, "exemplars", p.Exemplars(), q, func(rows int) error {
		if total += rows; sel.MaxSamples > 0 && total > sel.MaxSamples {
			return samplesLimit(s.metrics.limits, sel.MaxSamples)
		}
		for i := range rows {
			k := store.Key{Metric: metrics[i], ID: ids[i]}
			if len(out) == 0 || k != last {
				at, ok := slices.BinarySearchFunc(found, k, func(f foundSeries, k store.Key) int { return f.key.Compare(k) })
				if !ok {
					continue
				}
				out = append(out, store.SeriesExemplars{Labels: found[at].labels})
				last = k
			}
			e := &out[len(out)-1]
			e.Exemplars = append(e.Exemplars, store.Exemplar{Key: k, TimeMs: times[i], Value: values[i], Labels: lc.row(i)})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range out {
		slices.SortFunc(out[i].Exemplars, compareExemplars)
	}
	return out, nil
}

// compareExemplars puts the exemplars of a series in the order of time; the rest only makes the order total.
func compareExemplars(a, b store.Exemplar) int {
	return cmp.Or(cmp.Compare(a.TimeMs, b.TimeMs), cmp.Compare(a.Value, b.Value), labels.Compare(a.Labels, b.Labels))
}

// Metadata returns what senders said of a tenant's metrics; see [store.MetadataReader].
func (s *Store) Metadata(ctx context.Context, tenant, name string) ([]store.Metadata, error) {
	var names, types, helps, units proto.ColStr
	q := ch.Query{Settings: plainStrings, Result: proto.Results{{Name: "name", Data: &names}, {Name: "type", Data: &types},
		{Name: "help", Data: &helps}, {Name: "unit", Data: &units}}}
	out := []store.Metadata{}
	err := s.query(ctx, "metadata", sqlgen.Metadata(tenant, name), q, func(rows int) error {
		for i := range rows {
			out = append(out, store.Metadata{Tenant: tenant, Name: names.Row(i), Type: types.Row(i), Help: helps.Row(i), Unit: units.Row(i)})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Progress returns the next offset of each partition of a generation of a topic: everything before it is in the
// tables.
func (s *Store) Progress(ctx context.Context, topic, generation string) (map[int32]int64, error) {
	named := clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"topic": sqlgen.Escape(topic), "generation": sqlgen.Escape(generation)}))
	rows, err := s.admin.Query(named, `SELECT partition, max(next_offset) FROM ingest_progress
WHERE topic = {topic:String} AND generation = {generation:String} GROUP BY partition`)
	if err != nil {
		return nil, fmt.Errorf("cannot read the progress of topic %q: %w", topic, verdict(err))
	}
	defer func() { _ = rows.Close() }()
	out := map[int32]int64{}
	for rows.Next() {
		var partition int32
		var offset int64
		if err := rows.Scan(&partition, &offset); err != nil {
			return nil, fmt.Errorf("cannot read the progress of topic %q: %w", topic, err)
		}
		out[partition] = offset
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("cannot read the progress of topic %q: %w", topic, verdict(err))
	}
	return out, nil
}
