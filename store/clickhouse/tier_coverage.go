package clickhouse

import (
	"context"
	"math"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metricstream/metricstream/store/rollup"
)

var _ rollup.Reader = (*Store)(nil)

// Coverage returns what the tables have of each tier; see [rollup.Reader]. An hour counts when it is closed and has no
// marks. The tables of minutes and of hours reach back as far as they have partitions.
func (s *Store) Coverage(ctx context.Context, _ string) (rollup.Coverage, error) {
	var c rollup.Coverage
	oldest, err := s.oldestDays(ctx)
	if err != nil {
		return c, err
	}
	raw, some := oldest["samples"]
	if !some {
		raw = math.MaxInt64
	}
	c[rollup.Raw] = []rollup.Span{{FromMs: min(raw, oldestOr(oldest, "histograms", raw)), ToMs: math.MaxInt64}}
	const statement = `SELECT toInt64(hour) * 60000 AS ms FROM rollup_hours WHERE hour NOT IN (SELECT hour FROM rollup_marks FINAL WHERE cleared = 0)
GROUP BY hour HAVING argMax(state, rank) = 2 ORDER BY hour`
	minutes, hours := oldestOr(oldest, "rollup_1m", math.MaxInt64), oldestOr(oldest, "rollup_1h", math.MaxInt64)
	minutes = min(minutes, c[rollup.Raw][0].FromMs)
	err = s.scan(ctx, "which hours are downsampled", statement, nil, func(r driver.Rows) error {
		var end int64
		if err := r.Scan(&end); err != nil {
			return err
		}
		hour := rollup.Span{FromMs: end - rollup.Hour.StepMs(), ToMs: end}
		if hour.FromMs >= minutes {
			c[rollup.Minute] = extend(c[rollup.Minute], hour)
		}
		if hour.FromMs >= hours {
			c[rollup.Hour] = extend(c[rollup.Hour], hour)
		}
		return nil
	})
	return c, err
}

// extend adds a span behind the others.
func extend(spans []rollup.Span, next rollup.Span) []rollup.Span {
	if n := len(spans); n > 0 && spans[n-1].ToMs == next.FromMs {
		spans[n-1].ToMs = next.ToMs
		return spans
	}
	return append(spans, next)
}

func oldestOr(oldest map[string]int64, table string, other int64) int64 {
	if ms, ok := oldest[table]; ok {
		return ms
	}
	return other
}

// partitionMs is how much time a partition of a table holds.
var partitionMs = map[string]int64{
	"samples": dayMs, "histograms": dayMs, "exemplars": dayMs,
	"rollup_1m": dayMs, "rollup_histograms_1m": dayMs,
	"rollup_1h": 31 * dayMs, "rollup_histograms_1h": 31 * dayMs,
}

// oldestDays returns for each table that has partitions the begin of the oldest one, in milliseconds.
func (s *Store) oldestDays(ctx context.Context) (map[string]int64, error) {
	out := map[string]int64{}
	const statement = `SELECT table, min(toInt64(splitByChar(',', trim(BOTH '()' FROM partition))[2])) FROM system.parts
WHERE active AND database = currentDatabase() AND partition LIKE '(%,%)' GROUP BY table`
	err := s.scan(ctx, "the oldest partitions", statement, nil, func(r driver.Rows) error {
		var table string
		var number int64
		if err := r.Scan(&table, &number); err != nil {
			return err
		}
		if width, ok := partitionMs[table]; ok {
			out[table] = number * width
		}
		return nil
	})
	return out, err
}
