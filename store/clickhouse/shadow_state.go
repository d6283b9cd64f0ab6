package clickhouse

import (
	"context"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/metricstream/metricstream/store/clickhouse/sqlgen"
)

// What a shadow remembers of itself, in its own database, so that a command that was killed can go on.
var shadowState = []string{
	// Which offsets of the log are in the shadow.
	`CREATE TABLE IF NOT EXISTS %s.shadow_spans
(
    topic       String,
    generation  String,
    partition   Int32,
    from_offset Int64,
    from_ms     Int64,
    next_offset Int64,
    left_out    Int64
)
ENGINE = ReplacingMergeTree(next_offset) ORDER BY (topic, partition)
SETTINGS non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1`,
	// Which days are being replaced.
	`CREATE TABLE IF NOT EXISTS %s.shadow_days
(
    day        Int64,
    unfinished UInt8,
    at         DateTime64(9) DEFAULT now64(9)
)
ENGINE = ReplacingMergeTree(at) ORDER BY day
SETTINGS non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1`,
}

func (h *Shadow) createState(ctx context.Context) error {
	for _, s := range shadowState {
		statement := fmt.Sprintf(s, sqlgen.Identifier(h.name))
		if err := retryRace(ctx, func() error { return h.store.admin.Exec(ctx, statement) }); err != nil {
			return fmt.Errorf("cannot create a table of database %q: %w", h.name, openVerdict(err))
		}
	}
	return nil
}

// ShadowSpan says which records of a partition of the log are in the shadow: those from From to before Next.
type ShadowSpan struct {
	Partition  int32
	From, Next int64

	// Generation is the topic's: offsets of another one mean other records.
	Generation string

	// FromMs is a time before which every earlier record was written to the log, in Unix milliseconds.
	FromMs int64

	// LeftOut counts records among them that could not be read or were refused.
	LeftOut int64
}

// Spans returns what the shadow holds of a topic, by partition; nothing where no replay into it has begun.
func (h *Shadow) Spans(ctx context.Context, topic string) ([]ShadowSpan, error) {
	named := clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"topic": sqlgen.Escape(topic)}))
	rows, err := h.store.admin.Query(named, "SELECT generation, partition, from_offset, from_ms, next_offset, left_out FROM shadow_spans FINAL WHERE topic = {topic:String} ORDER BY partition")
	if err != nil {
		return nil, fmt.Errorf("cannot read the spans of the shadow: %w", verdict(err))
	}
	defer func() { _ = rows.Close() }()
	var out []ShadowSpan
	for rows.Next() {
		var s ShadowSpan
		if err := rows.Scan(&s.Generation, &s.Partition, &s.From, &s.FromMs, &s.Next, &s.LeftOut); err != nil {
			return nil, fmt.Errorf("cannot read the spans of the shadow: %w", err)
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// SetSpans records what the shadow holds; it comes after the rows that it speaks of.
func (h *Shadow) SetSpans(ctx context.Context, topic string, spans []ShadowSpan) error {
	if len(spans) == 0 {
		return nil
	}
	values := make([]string, len(spans))
	parameters := clickhouse.Parameters{"topic": sqlgen.Escape(topic)}
	for i, s := range spans {
		generation := fmt.Sprintf("generation%d", i)
		parameters[generation] = sqlgen.Escape(s.Generation)
		values[i] = fmt.Sprintf("SELECT {topic:String}, {%s:String}, %d, %d, %d, %d, %d", generation, s.Partition, s.From, s.FromMs, s.Next, s.LeftOut)
	}
	err := h.store.admin.Exec(clickhouse.Context(ctx, clickhouse.WithParameters(parameters)),
		"INSERT INTO shadow_spans (topic, generation, partition, from_offset, from_ms, next_offset, left_out) "+strings.Join(values, " UNION ALL "))
	if err != nil {
		return fmt.Errorf("cannot record the spans of the shadow: %w", verdict(err))
	}
	return nil
}

// What a day in shadow_days can be.
const finished, unfinished = 0, 1

func (h *Shadow) mark(ctx context.Context, days []Day, state uint8) error {
	for _, d := range days {
		if err := h.store.admin.Exec(ctx, fmt.Sprintf("INSERT INTO shadow_days (day, unfinished) SELECT %d, %d", int64(d), state)); err != nil {
			return fmt.Errorf("cannot record the swap of %s: %w", d, verdict(err))
		}
	}
	return nil
}

// Finish records that nothing is missing any more of days that were replaced.
func (h *Shadow) Finish(ctx context.Context, days []Day) error { return h.mark(ctx, days, finished) }

// Unfinished returns the days whose replacement has begun and is not finished.
func (h *Shadow) Unfinished(ctx context.Context) ([]Day, error) {
	rows, err := h.store.admin.Query(ctx, "SELECT day FROM shadow_days FINAL WHERE unfinished = 1 ORDER BY day")
	if err != nil {
		return nil, fmt.Errorf("cannot read the state of the shadow: %w", verdict(err))
	}
	defer func() { _ = rows.Close() }()
	var out []Day
	for rows.Next() {
		var d int64
		if err := rows.Scan(&d); err != nil {
			return nil, fmt.Errorf("cannot read the state of the shadow: %w", err)
		}
		out = append(out, Day(d))
	}
	return out, rows.Err()
}
