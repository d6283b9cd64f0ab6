package clickhouse

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"golang.org/x/sync/errgroup"

	"github.com/metricstream/metricstream/internal/failpoint"
	"github.com/metricstream/metricstream/store"
)

// Write inserts a batch: first the series, so that no sample is ever visible without its labels, then
// everything that belongs to them, then marks for the hours that may have been folded without them and changes for those
// who remember answers, then the progress that says that all of it is there. One insert is one table
// and one day, so each is atomic; every one of them can be repeated.
func (s *Store) Write(ctx context.Context, b *store.Batch) error {
	if err := s.writeSeries(ctx, b); err != nil {
		return err
	}
	failpoint.Hit("clickhouse/after-series")
	group, inner := errgroup.WithContext(ctx)
	for _, table := range []func(context.Context, *store.Batch) error{
		s.writeSamples, s.writeStarts, s.writeHistograms, s.writeExemplars, s.writeMetadata,
	} {
		group.Go(func() error { return table(inner, b) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	failpoint.Hit("clickhouse/before-marks")
	if err := s.writeLate(ctx, b); err != nil {
		return err
	}
	if err := s.writeChanges(ctx, b); err != nil {
		return err
	}
	failpoint.Hit("clickhouse/before-progress")
	return s.writeProgress(ctx, b)
}

const (
	// maxInsertRows bounds the memory that one insert needs in the server.
	maxInsertRows = 1 << 20
	// maxDaysAtOnce is how many inserts of one batch run at once, which a backfill of many days gains from.
	maxDaysAtOnce = 4
)

var insertSettings = []ch.Setting{
	{Key: "async_insert", Value: "0"},
	{Key: "insert_deduplicate", Value: "0"},
	{Key: "optimize_on_insert", Value: "0"},
}

// insert sends one block. It may be sent twice, which is harmless.
func (s *Store) insert(ctx context.Context, table string, input proto.Input) error {
	rows := input[0].Data.Rows()
	if rows == 0 {
		return nil
	}
	begin := time.Now()
	settings := append(slices.Clip(insertSettings), ch.Setting{Key: "log_comment", Value: comment(ctx, "write")})
	q := ch.Query{Body: input.Into(table), Input: input, Settings: settings}
	ctx, span := statementSpan(ctx, "insert", table)
	err := s.writes.do(ctx, q, func() bool { return true })
	endStatement(span, rows, err)
	s.metrics.inserted(table, rows, begin, err)
	if err != nil {
		return fmt.Errorf("cannot insert %d rows into %s: %w", rows, table, verdict(err))
	}
	return nil
}

func (s *Store) writeSamples(ctx context.Context, b *store.Batch) error {
	if b.Samples.Len() == 0 {
		return nil
	}
	if int64(b.Samples.Len()) > math.MaxUint32 {
		return store.Invalidf("cannot write %d samples in one batch", b.Samples.Len())
	}
	sorted := s.sorters.get()
	defer s.sorters.put(sorted)
	sorted.sort(&b.Samples)
	out := &sorted.out
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxDaysAtOnce)
	for _, d := range sorted.days {
		for i := d.begin; i < d.end; i += maxInsertRows {
			j := min(i+maxInsertRows, d.end)
			group.Go(func() error { return s.insertSamples(ctx, b.Class, out, i, j) })
		}
	}
	return group.Wait()
}

// insertSamples inserts rows i to j, which are of one day.
func (s *Store) insertSamples(ctx context.Context, class uint8, rows *store.Samples, i, j int) error {
	err := s.insert(ctx, "samples", withClass(class, proto.Input{
		{Name: "metric", Data: proto.ColUInt32(rows.Metrics[i:j])},
		{Name: "id", Data: proto.ColUInt64(rows.IDs[i:j])},
		{Name: "ts", Data: proto.ColInt64(rows.TimesMs[i:j])},
		{Name: "exp", Data: proto.ColInt8(rows.Exps[i:j])},
		{Name: "mant", Data: proto.ColInt64(rows.Mants[i:j])},
	}))
	failpoint.Hit("clickhouse/after-day")
	return err
}

// withClass adds the retention class to rows; without it they have the default, 0.
func withClass(class uint8, rows proto.Input) proto.Input {
	if class == 0 {
		return rows
	}
	column := make(proto.ColUInt8, rows[0].Data.Rows())
	for i := range column {
		column[i] = class
	}
	return append(rows, proto.InputColumn{Name: "class", Data: column})
}

// clampDay keeps days in the range of the table's type, which reaches 5.8 million years to both sides. Times
// beyond it share the last day.
func clampDay(day int64) int32 {
	return int32(max(math.MinInt32+1, min(day, math.MaxInt32-1)))
}
