package clickhouse

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
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

// CPUTime is the time that this process has used, which other processes of a busy machine do not lengthen.
func CPUTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
