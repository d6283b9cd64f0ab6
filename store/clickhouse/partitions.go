package clickhouse

import (
	"context"
	"fmt"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metricstream/metricstream/store/retention"
	"github.com/metricstream/metricstream/store/rollup"
)

var _ retention.Partitions = (*Store)(nil)

// partitioned are the tables with partitions of (class, number), and how much time one has.
var partitioned = map[string]struct {
	kind  retention.Kind
	width int64
}{
	"samples":              {retention.Raw, dayMs},
	"histograms":           {retention.Raw, dayMs},
	"exemplars":            {retention.Exemplars, dayMs},
	"rollup_1m":            {retention.Minute, dayMs},
	"rollup_histograms_1m": {retention.Minute, dayMs},
	"rollup_1h":            {retention.Hour, quarterMs},
	"rollup_histograms_1h": {retention.Hour, quarterMs},
}

// quarterMs is the width of a partition of hours. A read of a year merges the rows of its partitions: twelve took 1.2 s for
// 8.7 million rows, one 0.75 s.
const quarterMs = 91 * dayMs

// minutesOf are the tables of samples and those of their minutes.
var minutesOf = map[string]string{"samples": "rollup_1m", "histograms": "rollup_histograms_1m"}

// Partitions returns the partitions of all tables that have a retention; see [retention.Partitions].
func (s *Store) Partitions(ctx context.Context) ([]retention.Partition, error) {
	thinned, err := s.thinned(ctx)
	if err != nil {
		return nil, err
	}
	const statement = `SELECT table, toUInt8(splitByChar(',', trim(BOTH '()' FROM partition))[1]) AS class,
    toInt64(splitByChar(',', trim(BOTH '()' FROM partition))[2]) AS number, sum(rows), sum(bytes_on_disk)
FROM system.parts WHERE active AND database = currentDatabase() AND partition LIKE '(%,%)'
GROUP BY table, class, number ORDER BY table, class, number`
	var out []retention.Partition
	err = s.scan(ctx, "the partitions", statement, nil, func(r driver.Rows) error {
		var p retention.Partition
		var number int64
		if err := r.Scan(&p.Table, &p.Class, &number, &p.Rows, &p.Bytes); err != nil {
			return err
		}
		of, ok := partitioned[p.Table]
		if !ok {
			return nil
		}
		p.Kind, p.FromMs, p.ToMs = of.kind, number*of.width, (number+1)*of.width
		out = append(out, p)
		return nil
	})
	if err != nil {
		return nil, err
	}
	have := map[partition]bool{}
	for _, p := range out {
		have[partition{p.Table, p.Class, p.FromMs / dayMs}] = true
	}
	for i := range out {
		p := &out[i]
		key := partition{minutesOf[p.Table], p.Class, p.FromMs / dayMs}
		p.Dense = have[key] && !thinned[partition{p.Table, p.Class, p.FromMs / dayMs}]
	}
	return out, nil
}

// partition is a day of a table and class.
type partition struct {
	table string
	class uint8
	day   int64
}

// thinned returns the days that Thin has been through.
func (s *Store) thinned(ctx context.Context) (map[partition]bool, error) {
	out := map[partition]bool{}
	err := s.scan(ctx, "the thinned partitions", "SELECT table, class, toInt64(day) FROM thinned GROUP BY table, class, day", nil, func(r driver.Rows) error {
		var p partition
		err := r.Scan(&p.table, &p.class, &p.day)
		out[p] = true
		return err
	})
	return out, err
}

// expiry is what the janitor has removed of a partition, or is about to.
type expiry struct {
	partition
	whole bool
}

// expiries returns all that the janitor has removed.
func (s *Store) expiries(ctx context.Context) ([]expiry, error) {
	var out []expiry
	const statement = `SELECT table, class, toInt64(day) AS begin, max(whole) AS w FROM expired GROUP BY table, class, begin
UNION ALL SELECT DISTINCT table, class, toInt64(day) AS begin, toUInt8(0) AS w FROM thinned`
	err := s.scan(ctx, "what is past its retention", statement, nil, func(r driver.Rows) error {
		var e expiry
		var whole uint8
		err := r.Scan(&e.table, &e.class, &e.day, &whole)
		e.whole = whole == 1
		out = append(out, e)
		return err
	})
	return out, err
}

// Expired returns the days of which samples are gone, or about to go; see [rollup.Source].
func (s *Store) Expired(ctx context.Context) (map[int64][]uint8, error) {
	all, err := s.expiries(ctx)
	out := map[int64][]uint8{}
	for _, e := range all {
		if begin := e.day * dayMs; partitioned[e.table].kind == retention.Raw && !slices.Contains(out[begin], e.class) {
			out[begin] = append(out[begin], e.class)
		}
	}
	return out, err
}

// Unfolded reports whether a partition of raw has samples in hours that are not closed, have marks, or were written into within
// the last hour, so that more may come; see [retention.Partitions].
func (s *Store) Unfolded(ctx context.Context, p retention.Partition) (bool, error) {
	statement := fmt.Sprintf(`SELECT count() FROM (SELECT DISTINCT toInt64(ceil(ts / 3600000)) * 60 AS hour FROM %s
    WHERE class = %d AND toInt64(floor(ts / 86400000)) = %d)
WHERE hour NOT IN (SELECT toInt64(hour) FROM rollup_hours GROUP BY hour HAVING argMax(state, rank) = 2)
    OR hour IN (SELECT toInt64(hour) FROM rollup_marks FINAL WHERE cleared = 0 OR written > now() - INTERVAL 1 HOUR)`, p.Table, p.Class, p.FromMs/dayMs)
	var hours uint64
	if err := s.admin.QueryRow(ctx, statement).Scan(&hours); err != nil {
		return false, fmt.Errorf("cannot look which hours of %s are downsampled: %w", p.Table, verdict(err))
	}
	return hours > 0, nil
}

// Expire records what is about to go; see [retention.Partitions].
func (s *Store) Expire(ctx context.Context, p retention.Partition, a retention.Action) error {
	if p.Kind == retention.Exemplars {
		return nil
	}
	whole := 0
	if a == retention.Drop {
		whole = 1
	}
	record := fmt.Sprintf("INSERT INTO expired (table, class, day, whole) VALUES ('%s', %d, %d, %d)", p.Table, p.Class, p.FromMs/dayMs, whole)
	if err := s.admin.Exec(ctx, record); err != nil {
		return fmt.Errorf("cannot record that day %d of %s is past its retention: %w", p.FromMs/dayMs, p.Table, verdict(err))
	}
	return nil
}

// Drop removes a partition; see [retention.Partitions].
func (s *Store) Drop(ctx context.Context, p retention.Partition) error {
	statement := fmt.Sprintf("ALTER TABLE %s DROP PARTITION (%d, %d)", p.Table, p.Class, p.FromMs/partitioned[p.Table].width)
	if err := s.admin.Exec(ctx, statement); err != nil {
		return fmt.Errorf("cannot drop partition (%d, %d) of %s: %w", p.Class, p.FromMs/partitioned[p.Table].width, p.Table, verdict(err))
	}
	return nil
}

// Thin removes the samples of the series and hours that have rows of minutes, but for those that have rows which cannot
// answer for their samples; see [retention.Partitions]. It waits for the server to be done.
func (s *Store) Thin(ctx context.Context, p retention.Partition) error {
	day := p.FromMs / dayMs
	needsRaw := fmt.Sprintf("bucket > %[1]d * 1440 AND bucket <= (%[1]d + 1) * 1440 AND bitAnd(flags, %[2]d) != 0", day, rollup.NeedsRaw)
	statement := fmt.Sprintf(`ALTER TABLE %[1]s DELETE IN PARTITION (%[2]d, %[3]d)
WHERE (metric, id, toInt64(ceil(ts / 3600000))) IN (SELECT metric, id, toInt64(ceil(bucket / 60)) FROM %[4]s
    WHERE bucket > %[3]d * 1440 AND bucket <= (%[3]d + 1) * 1440 AND bitAnd(flags, %[6]d) = 0)
AND (metric, id, toInt64(ceil(ts / 3600000))) NOT IN (SELECT metric, id, toInt64(ceil(bucket / 60)) FROM rollup_1m WHERE %[5]s
    UNION ALL SELECT metric, id, toInt64(ceil(bucket / 60)) FROM rollup_histograms_1m WHERE %[5]s)`, p.Table, p.Class, day, minutesOf[p.Table], needsRaw, rollup.Void)
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"mutations_sync": 1}))
	if err := s.admin.Exec(ctx, statement); err != nil {
		return fmt.Errorf("cannot thin day %d of %s: %w", day, p.Table, verdict(err))
	}
	record := fmt.Sprintf("INSERT INTO thinned (table, class, day) VALUES ('%s', %d, %d)", p.Table, p.Class, day)
	if err := s.admin.Exec(ctx, record); err != nil {
		return fmt.Errorf("cannot record that day %d of %s is thinned: %w", day, p.Table, verdict(err))
	}
	return nil
}

// Forget removes the series that have had no samples since a time; see [retention.Partitions]. They go in the background,
// and only where there are enough of them to be worth the rewriting of their parts.
func (s *Store) Forget(ctx context.Context, beforeMs int64) error {
	day := clampDay(dayOf(beforeMs) - 1)
	for _, table := range []string{"series", "postings"} {
		var old, all uint64
		count := fmt.Sprintf("SELECT countIf(last_day < %d), count() FROM %s", day, table)
		if err := s.admin.QueryRow(ctx, count).Scan(&old, &all); err != nil {
			return fmt.Errorf("cannot count the old rows of %s: %w", table, verdict(err))
		}
		if old*10 < all || old == 0 {
			continue
		}
		if err := s.admin.Exec(ctx, fmt.Sprintf("ALTER TABLE %s DELETE WHERE last_day < %d", table, day)); err != nil {
			return fmt.Errorf("cannot remove the old rows of %s: %w", table, verdict(err))
		}
	}
	return nil
}
