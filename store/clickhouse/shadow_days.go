package clickhouse

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse/sqlgen"
)

// Day is a day of the tables, in UTC, counted from 1970-01-01.
type Day int64

// ParseDay reads a date such as 2026-01-02.
func ParseDay(s string) (Day, error) {
	at, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return 0, store.Invalidf("cannot read the day %q: want a date such as 2026-01-02", s)
	}
	return DayOf(at.UnixMilli()), nil
}

// DayOf returns the day of a time.
func DayOf(timeMs int64) Day { return Day(dayOf(timeMs)) }

// String returns the date.
func (d Day) String() string { return time.UnixMilli(d.MinMs()).UTC().Format(time.DateOnly) }

// MinMs returns the first millisecond of the day.
func (d Day) MinMs() int64 { return int64(d) * dayMs }

// MaxMs returns the last one.
func (d Day) MaxMs() int64 { return d.MinMs() + dayMs - 1 }

// Days returns the days of which the shadow has rows, and the days from completeMs on of which only the live tables
// have any: there the log shows that they should have none. They ascend.
func (h *Shadow) Days(ctx context.Context, completeMs int64) ([]Day, error) {
	days := map[Day]bool{}
	for _, t := range pointTables {
		if !t.partitioned {
			continue
		}
		for _, database := range []string{h.name, h.liveDB} {
			parts, err := h.partitions(ctx, database, t.name)
			if err != nil {
				return nil, err
			}
			for day := range parts {
				if database == h.name || day.MinMs() >= completeMs {
					days[day] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(days)), nil
}

// partitions returns the ids of a table's partitions by day; a day has one for each retention class.
func (h *Shadow) partitions(ctx context.Context, database, table string) (map[Day][]string, error) {
	named := clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"database": sqlgen.Escape(database), "table": table}))
	rows, err := h.live.admin.Query(named, "SELECT DISTINCT partition, partition_id FROM system.parts WHERE database = {database:String} AND table = {table:String} AND active ORDER BY partition_id")
	if err != nil {
		return nil, fmt.Errorf("cannot list the partitions of %s.%s: %w", database, table, verdict(err))
	}
	defer func() { _ = rows.Close() }()
	out := map[Day][]string{}
	for rows.Next() {
		var partition, id string
		if err := rows.Scan(&partition, &id); err != nil {
			return nil, fmt.Errorf("cannot list the partitions of %s.%s: %w", database, table, err)
		}
		var class int
		var day Day
		if _, err := fmt.Sscanf(partition, "(%d,%d)", &class, &day); err != nil {
			return nil, fmt.Errorf("cannot read the name of partition %q of %s.%s: %w", partition, database, table, err)
		}
		out[day] = append(out[day], id)
	}
	return out, rows.Err()
}

// slices cuts a day of a table into parts that fit into memory: runs of metrics, and a large metric by id.
func (h *Shadow) slices(ctx context.Context, c sqlgen.Compared, day Day) ([]sqlgen.Slice, error) {
	all := sqlgen.Day(day.MinMs(), day.MaxMs())
	rows, err := h.live.admin.Query(large(ctx), c.Rows(all))
	if err != nil {
		return nil, fmt.Errorf("cannot count the rows of %s in table %s: %w", day, c.Table, verdict(err))
	}
	defer func() { _ = rows.Close() }()
	cut := cutter{most: h.sliceRows}
	for rows.Next() {
		var metric uint32
		var n uint64
		if err := rows.Scan(&metric, &n); err != nil {
			return nil, fmt.Errorf("cannot count the rows of %s in table %s: %w", day, c.Table, err)
		}
		cut.add(all, metric, n)
	}
	return cut.out, rows.Err()
}

// cutter makes slices of metrics that come in ascending order.
type cutter struct {
	most uint64 // rows of a slice
	out  []sqlgen.Slice
	rows uint64 // of the last slice
}

func (c *cutter) add(all sqlgen.Slice, metric uint32, rows uint64) {
	if last := len(c.out) - 1; last >= 0 && c.out[last].Of == 0 && c.rows+rows <= c.most {
		c.out[last].MaxMetric = metric
		c.rows += rows
		return
	}
	s := all
	s.MinMetric, s.MaxMetric = metric, metric
	c.rows = rows
	if rows <= c.most {
		c.out = append(c.out, s)
		return
	}
	s.Of = rows/c.most + 1
	for s.Part = range s.Of {
		c.out = append(c.out, s)
	}
}
