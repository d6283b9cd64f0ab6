package clickhouse

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"golang.org/x/sys/unix"

	"github.com/metricstream/metricstream/store/clickhouse/sqlgen"
)

// Optimize merges all parts of all tables, for tests and benchmarks.
func (s *Store) Optimize(ctx context.Context) error {
	for _, table := range []string{"samples", "series", "postings", "starts", "histograms", "exemplars", "ingest_progress", "metric_metadata"} {
		if err := s.admin.Exec(ctx, "OPTIMIZE TABLE "+table+" FINAL"); err != nil {
			return fmt.Errorf("cannot merge %s: %w", table, err)
		}
	}
	return nil
}

// Exec runs a statement, for tests.
func (s *Store) Exec(ctx context.Context, statement string) error {
	return s.admin.Exec(ctx, statement)
}

// Scan runs a statement of one row, for tests.
func (s *Store) Scan(ctx context.Context, statement string, dest ...any) error {
	return s.admin.QueryRow(ctx, statement).Scan(dest...)
}

// ScanSmall runs a small statement of one row, as those of tiers and retention are run, for tests.
func (s *Store) ScanSmall(ctx context.Context, statement string, dest ...any) error {
	return s.scan(ctx, "a test's", statement, nil, func(r driver.Rows) error { return r.Scan(dest...) })
}

// Long is long, for tests.
func Long(ctx context.Context) context.Context { return long(ctx) }

// CPUTime is the time that this process has used, which other processes of a busy machine do not lengthen.
func CPUTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Sleep runs a statement on the hot path that takes minutes unless it is ended.
func (s *Store) Sleep(ctx context.Context) error {
	var col proto.ColUInt64
	st := sqlgen.Statement{Text: "SELECT toUInt64(sleepEachRow(1)) AS n FROM numbers(1000)"}
	q := ch.Query{
		Result:   proto.Results{{Name: "n", Data: &col}},
		Settings: []ch.Setting{{Key: "max_block_size", Value: "1"}, {Key: "function_sleep_max_microseconds_per_block", Value: "0"}},
	}
	return s.query(ctx, "sleep", st, q, func(int) error { return nil })
}

// InsertSetting is the value that every insert of the hot path sends for a setting, "" where it sends none.
func InsertSetting(key string) string {
	for _, s := range insertSettings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
