package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse/sqlgen"
)

// query runs a statement on the hot path and calls onBlock for each block of rows in result. An error of onBlock
// ends the statement and is returned as it is; other errors have their kind.
func (s *Store) query(ctx context.Context, name string, st sqlgen.Statement, q ch.Query, onBlock func(rows int) error) error {
	return s.queryOn(ctx, s.reads, name, st, q, onBlock)
}

// queryOn is query on connections of one kind. What runs on besides must not wait for another statement.
func (s *Store) queryOn(ctx context.Context, p *pool, name string, st sqlgen.Statement, q ch.Query, onBlock func(rows int) error) error {
	reserved, err := p.reserve(ctx, 1)
	if err != nil {
		return fmt.Errorf("cannot read %s from ClickHouse: %w", name, context.Cause(ctx))
	}
	defer p.free(reserved)
	return s.queryReserved(ctx, p, name, st, q, onBlock)
}

// queryReserved is queryOn on a connection that has been reserved.
func (s *Store) queryReserved(ctx context.Context, p *pool, name string, st sqlgen.Statement, q ch.Query, onBlock func(rows int) error) error {
	q.Body = st.Text
	for _, param := range st.Params {
		q.Parameters = append(q.Parameters, proto.Parameter{Key: param.Name, Value: param.Value})
	}
	q.Settings = append(slices.Clip(q.Settings),
		ch.Setting{Key: "log_comment", Value: comment(ctx, "select "+name)},
		// For statements as plain as these the old analyzer gives the same answer for a third less of the time.
		// A server that no longer has it ignores this.
		ch.Setting{Key: "enable_analyzer", Value: "0"})
	if st.Small {
		// Threads for a few rows cost more than they gain.
		q.Settings = append(q.Settings, ch.Setting{Key: "max_threads", Value: "1"})
	}
	var stopped error
	total := 0
	q.OnResult = func(_ context.Context, block proto.Block) error {
		if block.Rows == 0 {
			return nil
		}
		total += block.Rows
		stopped = onBlock(block.Rows)
		return stopped
	}
	begin := time.Now()
	ctx, span := statementSpan(ctx, "select", name)
	err := s.breaker.Do(ctx, func() error {
		if err := p.run(ctx, q, func() bool { return total == 0 }); stopped == nil {
			return err
		}
		return nil
	})
	endStatement(span, total, err)
	if stopped != nil {
		s.metrics.selected(name, total, begin, nil)
		return stopped
	}
	s.metrics.selected(name, total, begin, err)
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && !ch.IsException(err) {
		return fmt.Errorf("cannot read %s from ClickHouse: %w", name, cause)
	}
	return fmt.Errorf("cannot read %s from ClickHouse: %w", name, verdict(err))
}

// withKeys adds the keys of the selection to the query when they do not fit into its text.
func withKeys(p sqlgen.Points) ch.Query {
	var q ch.Query
	if p.External() {
		var k keyColumns
		for _, key := range p.Keys {
			k.append(key)
		}
		q.ExternalTables = []ch.ExternalTable{{Name: sqlgen.KeysTable, Data: proto.Input{
			{Name: "metric", Data: &k.metrics}, {Name: "id", Data: &k.ids},
		}}}
	}
	return q
}

// Select reads float samples, histograms and starts of the series that match; see [store.Reader].
// The connection is held while yield runs, so yield should not read from the store itself.
func (s *Store) Select(ctx context.Context, sel store.Selection, yield func(*store.SeriesData) error) error {
	found, err := s.findSeries(ctx, sel)
	if err != nil || len(found) == 0 {
		return err
	}
	points := sqlgen.Points{Keys: keysOf(found), MinMs: sel.MinMs, MaxMs: sel.MaxMs}
	ctx, cancel := context.WithCancel(ctx)
	pending := s.startExtras(ctx, found, points, sel.MaxSamples)
	defer func() {
		cancel()
		<-pending.done
	}()
	m := &merger{series: found, max: sel.MaxSamples, yield: yield, limits: s.metrics.limits, extras: pending.wait}
	if err := s.readSamples(ctx, points, m); err != nil {
		return err
	}
	return m.finish()
}

func (s *Store) readSamples(ctx context.Context, p sqlgen.Points, m *merger) error {
	var metrics proto.ColUInt32
	var ids proto.ColUInt64
	var times, mants proto.ColInt64
	var exps proto.ColInt8
	q := withKeys(p)
	q.Result = proto.Results{
		{Name: "metric", Data: &metrics}, {Name: "id", Data: &ids}, {Name: "ts", Data: &times},
		{Name: "exp", Data: &exps}, {Name: "mant", Data: &mants},
	}
	return s.query(ctx, "samples", p.Samples(), q, func(int) error {
		return m.add(&store.Samples{Metrics: metrics, IDs: ids, TimesMs: times, Exps: exps, Mants: mants})
	})
}
