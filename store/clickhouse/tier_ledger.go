package clickhouse

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse/sqlgen"
	"github.com/metricstream/metricstream/store/rollup"
)

// Tiers is what the downsampler works on: a Store, and the generation of the topic whose progress tells which hours are
// complete.
type Tiers struct {
	*Store
	topic, generation string
}

var (
	_ rollup.Tables = (*Tiers)(nil)
	_ rollup.Writer = (*Store)(nil)
)

// Tiers returns the downsampler's view of the store.
func (s *Store) Tiers(topic, generation string) *Tiers {
	return &Tiers{Store: s, topic: topic, generation: generation}
}

// scan runs a small statement, which names the request that it is for, and calls row for each of its rows.
func (s *Store) scan(ctx context.Context, what, statement string, params clickhouse.Parameters, row func(driver.Rows) error) error {
	options := []clickhouse.QueryOption{clickhouse.WithParameters(params)}
	if ctx.Value(longKey{}) == nil {
		options = append(options, clickhouse.WithSettings(clickhouse.Settings{"log_comment": comment(ctx, "admin")}))
	}
	rows, err := s.admin.Query(clickhouse.Context(ctx, options...), statement)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", what, verdict(err))
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := row(rows); err != nil {
			return fmt.Errorf("cannot read %s: %w", what, err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("cannot read %s: %w", what, verdict(err))
	}
	return nil
}

// Progress returns what is written of the topic, by partition; see [rollup.Source].
func (t *Tiers) Progress(ctx context.Context) ([]store.Progress, error) {
	var out []store.Progress
	const statement = `SELECT partition, max(next_offset), max(max_ms) FROM ingest_progress
WHERE topic = {topic:String} AND generation = {generation:String} GROUP BY partition ORDER BY partition`
	params := clickhouse.Parameters{"topic": sqlgen.Escape(t.topic), "generation": sqlgen.Escape(t.generation)}
	err := t.scan(ctx, "the progress of topic "+t.topic, statement, params, func(r driver.Rows) error {
		p := store.Progress{Topic: t.topic, Generation: t.generation}
		err := r.Scan(&p.Partition, &p.NextOffset, &p.MaxMs)
		out = append(out, p)
		return err
	})
	return out, err
}

// Days returns the days that may have samples; see [rollup.Source].
func (s *Store) Days(ctx context.Context) ([]int64, error) {
	var out []int64
	const statement = `SELECT DISTINCT toInt64(splitByChar(',', trim(BOTH '()' FROM partition))[2]) AS day FROM system.parts
WHERE active AND database = currentDatabase() AND table IN ('samples', 'histograms') ORDER BY day`
	err := s.scan(ctx, "the days that have samples", statement, nil, func(r driver.Rows) error {
		var day int64
		err := r.Scan(&day)
		out = append(out, day*dayMs)
		return err
	})
	return out, err
}

// Hours returns the states of hours; see [rollup.Ledger].
func (s *Store) Hours(ctx context.Context, span rollup.Span) ([]rollup.HourState, error) {
	var out []rollup.HourState
	const statement = `SELECT toInt64(hour) * 60000, argMax(ver, rank), argMax(state, rank), argMax(min_samples, rank), argMax(tiers, rank) FROM rollup_hours
WHERE hour > {after:Int64} AND hour <= {last:Int64} GROUP BY hour ORDER BY hour`
	params := clickhouse.Parameters{"after": fmt.Sprint(floorMinutes(span.FromMs)), "last": fmt.Sprint(floorMinutes(span.ToMs))}
	err := s.scan(ctx, "the states of hours", statement, params, func(r driver.Rows) error {
		var h rollup.HourState
		var state, tiers uint8
		err := r.Scan(&h.EndMs, &h.Version, &state, &h.MinSamples, &tiers)
		h.State, h.Tiers = rollup.State(state), rollup.Tiers(tiers)
		out = append(out, h)
		return err
	})
	return out, err
}

func floorMinutes(ms int64) int64 {
	m := ms / minuteMs
	if ms%minuteMs < 0 {
		m--
	}
	return m
}

// SetHours records states of hours; see [rollup.Ledger].
func (s *Store) SetHours(ctx context.Context, states []rollup.HourState) error {
	var hours proto.ColInt32
	var ranks, vers proto.ColUInt64
	var kinds, tiers proto.ColUInt8
	var least proto.ColUInt32
	for _, h := range states {
		hours.Append(int32(h.EndMs / minuteMs))
		ranks.Append(h.Version<<2 | uint64(h.State))
		vers.Append(h.Version)
		kinds.Append(uint8(h.State))
		least.Append(h.MinSamples)
		tiers.Append(uint8(h.Tiers))
	}
	return s.insert(ctx, "rollup_hours", proto.Input{
		{Name: "hour", Data: &hours}, {Name: "rank", Data: &ranks}, {Name: "ver", Data: &vers}, {Name: "state", Data: &kinds},
		{Name: "min_samples", Data: &least}, {Name: "tiers", Data: &tiers},
	})
}

// Marks returns the marks that are not cleared; see [rollup.Ledger].
func (s *Store) Marks(ctx context.Context, limit int) ([]rollup.Mark, error) {
	var out []rollup.Mark
	const statement = `SELECT toInt64(hour) * 60000, metric, id, token, toUnixTimestamp64Milli(written) FROM rollup_marks FINAL
WHERE cleared = 0 ORDER BY hour, metric, id, token LIMIT {n:Int64}`
	err := s.scan(ctx, "the marks of late samples", statement, clickhouse.Parameters{"n": fmt.Sprint(limit)}, func(r driver.Rows) error {
		var m rollup.Mark
		err := r.Scan(&m.EndMs, &m.Key.Metric, &m.Key.ID, &m.Token, &m.WrittenMs)
		out = append(out, m)
		return err
	})
	return out, err
}

// WriteMarks records marks; see [rollup.Ledger].
func (s *Store) WriteMarks(ctx context.Context, marks []rollup.Mark) error {
	return s.insertMarks(ctx, marks, 0)
}

// ClearMarks removes marks; see [rollup.Ledger].
func (s *Store) ClearMarks(ctx context.Context, marks []rollup.Mark) error {
	return s.insertMarks(ctx, marks, 1)
}

func (s *Store) insertMarks(ctx context.Context, marks []rollup.Mark, cleared uint8) error {
	var k keyColumns
	var hours proto.ColInt32
	var tokens proto.ColUInt64
	written := new(proto.ColDateTime64).WithPrecision(proto.PrecisionMilli)
	var flags proto.ColUInt8
	for _, m := range marks {
		hours.Append(int32(m.EndMs / minuteMs))
		k.append(m.Key)
		tokens.Append(m.Token)
		written.Append(time.UnixMilli(m.WrittenMs))
		flags.Append(cleared)
	}
	return s.insert(ctx, "rollup_marks", proto.Input{
		{Name: "hour", Data: &hours}, {Name: "metric", Data: &k.metrics}, {Name: "id", Data: &k.ids}, {Name: "token", Data: &tokens},
		{Name: "written", Data: written}, {Name: "cleared", Data: &flags},
	})
}
