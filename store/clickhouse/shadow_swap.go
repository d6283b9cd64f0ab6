package clickhouse

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/metricstream/metricstream/internal/failpoint"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse/sqlgen"
)

// AddSeries makes the shadow's label sets and metadata known to the live tables. It comes before any day is taken over,
// so that no sample is ever visible without its labels.
func (h *Shadow) AddSeries(ctx context.Context) error {
	columns, err := h.columns(ctx, "series")
	if err != nil {
		return err
	}
	list := sqlgen.Columns(columns)
	if err := h.exec(ctx, "add the shadow's series", fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s",
		sqlgen.Table(h.liveDB, "series"), list, list, sqlgen.Table(h.name, "series"))); err != nil {
		return err
	}
	// Of a metric that has metadata the live tables may know something newer.
	const metadata = "tenant, name, type, help, unit"
	return h.exec(ctx, "add the shadow's metadata", fmt.Sprintf("INSERT INTO %[1]s (%[3]s) SELECT %[3]s FROM %[2]s WHERE (tenant, name) NOT IN (SELECT tenant, name FROM %[1]s)",
		sqlgen.Table(h.liveDB, "metric_metadata"), sqlgen.Table(h.name, "metric_metadata"), metadata))
}

// Add inserts into the live tables the rows of a day that only the shadow has. Nothing is removed, and what is
// repeated changes nothing.
func (h *Shadow) Add(ctx context.Context, day Day) error {
	return h.live.markDay(ctx, day, func() error {
		for _, t := range pointTables {
			if err := h.addTable(ctx, t, day); err != nil {
				return err
			}
		}
		return nil
	})
}

func (h *Shadow) addTable(ctx context.Context, t pointTable, day Day) error {
	columns, err := h.columns(ctx, t.name)
	if err != nil {
		return err
	}
	c := h.compared(t)
	parts, err := h.slices(ctx, c, day)
	if err != nil {
		return err
	}
	for _, s := range parts {
		if err := h.exec(ctx, fmt.Sprintf("add the rows of %s to table %s", day, t.name), c.Copy(s, columns)); err != nil {
			return err
		}
		failpoint.Hit("clickhouse/shadow-added")
	}
	return nil
}

// Replace puts the shadow's rows of a day in the place of the live ones, partition by partition, each at once. What
// was there stays in the shadow's tables replaced_*. Rows that were written to the live tables meanwhile, and that the
// shadow does not have, are gone from them: the caller reads the log from the shadow's end on into the live tables,
// and then calls [Shadow.Finish]. Until then the day is unfinished, and replacing it again is how to go on. starts has
// no partitions, so there rows are only added.
func (h *Shadow) Replace(ctx context.Context, day Day) error {
	if err := h.mark(ctx, []Day{day}, unfinished); err != nil {
		return err
	}
	return h.live.markDay(ctx, day, func() error {
		for _, t := range pointTables {
			var err error
			if t.partitioned {
				err = h.replaceTable(ctx, t.name, day)
			} else {
				err = h.addTable(ctx, t, day)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (h *Shadow) replaceTable(ctx context.Context, table string, day Day) error {
	live, shadow, kept := sqlgen.Table(h.liveDB, table), sqlgen.Table(h.name, table), sqlgen.Table(h.name, "replaced_"+table)
	old, err := h.partitions(ctx, h.liveDB, table)
	if err != nil {
		return err
	}
	fresh, err := h.partitions(ctx, h.name, table)
	if err != nil {
		return err
	}
	if len(old[day]) > 0 {
		if err := h.exec(ctx, "create table "+kept, "CREATE TABLE IF NOT EXISTS "+kept+" AS "+live); err != nil {
			return err
		}
	}
	replacing := map[string]bool{}
	for _, id := range fresh[day] {
		replacing[id] = true
	}
	for _, id := range old[day] {
		// Added and not replaced: on a second run the live partition is not what it was.
		if err := h.exec(ctx, fmt.Sprintf("keep partition %s of %s", id, live), fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION ID '%s' FROM %s", kept, id, live)); err != nil {
			return err
		}
		failpoint.Hit("clickhouse/shadow-kept")
		if !replacing[id] {
			if err := h.exec(ctx, fmt.Sprintf("drop partition %s of %s", id, live), fmt.Sprintf("ALTER TABLE %s DROP PARTITION ID '%s'", live, id)); err != nil {
				return err
			}
		}
	}
	for _, id := range fresh[day] {
		if err := h.exec(ctx, fmt.Sprintf("replace partition %s of %s", id, live), fmt.Sprintf("ALTER TABLE %s REPLACE PARTITION ID '%s' FROM %s", live, id, shadow)); err != nil {
			return err
		}
		failpoint.Hit("clickhouse/shadow-replaced")
	}
	return nil
}

// columns returns the columns of a table that are stored.
func (h *Shadow) columns(ctx context.Context, table string) ([]string, error) {
	named := clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"table": table}))
	rows, err := h.live.admin.Query(named, "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String} AND default_kind NOT IN ('ALIAS', 'MATERIALIZED', 'EPHEMERAL') ORDER BY position")
	if err != nil {
		return nil, fmt.Errorf("cannot list the columns of table %s: %w", table, verdict(err))
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("cannot list the columns of table %s: %w", table, err)
		}
		out = append(out, name)
	}
	if len(out) == 0 && rows.Err() == nil {
		return nil, store.Invalidf("cannot find table %s", table)
	}
	return out, rows.Err()
}
