package clickhouse

import (
	"context"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// tuning are settings of tables that only newer servers know, and that the schema's files therefore cannot hold.
var tuning = []struct{ setting, value string }{
	// Statistics of columns are of no use to statements that read by key, and cost a fifth of an insert.
	{"auto_statistics_types", ""},
}

// tune sets what the server knows of them on every table that does not have it yet.
func tune(ctx context.Context, conn clickhouse.Conn) error {
	for _, t := range tuning {
		var known uint64
		named := clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"name": t.setting}))
		if err := conn.QueryRow(named, "SELECT count() FROM system.merge_tree_settings WHERE name = {name:String}").Scan(&known); err != nil {
			return fmt.Errorf("cannot read system.merge_tree_settings of ClickHouse: %w", openVerdict(err))
		}
		if known == 0 {
			continue
		}
		tables, err := tablesWithout(ctx, conn, t.setting)
		if err != nil {
			return err
		}
		for _, table := range tables {
			statement := fmt.Sprintf("ALTER TABLE %s MODIFY SETTING %s = '%s'", table, t.setting, t.value)
			if err := retryRace(ctx, func() error { return conn.Exec(ctx, statement) }); err != nil {
				return fmt.Errorf("cannot change %s of table %s: %w", t.setting, table, openVerdict(err))
			}
		}
	}
	return nil
}

// tablesWithout returns our tables whose definition does not mention the setting.
func tablesWithout(ctx context.Context, conn clickhouse.Conn, setting string) ([]string, error) {
	rows, err := conn.Query(ctx, "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'")
	if err != nil {
		return nil, fmt.Errorf("cannot read system.tables of ClickHouse: %w", openVerdict(err))
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var name, definition string
		if err := rows.Scan(&name, &definition); err != nil {
			return nil, fmt.Errorf("cannot read system.tables of ClickHouse: %w", err)
		}
		if ours[name] && !strings.Contains(definition, setting) {
			out = append(out, name)
		}
	}
	return out, rows.Err()
}

// ours are the tables of the schema's files.
var ours = map[string]bool{
	"samples": true, "starts": true, "histograms": true, "exemplars": true, "series": true, "postings": true,
	"metric_metadata": true, "ingest_progress": true, "rollup_1m": true, "rollup_1h": true,
	"rollup_histograms_1m": true, "rollup_histograms_1h": true, "rollup_hours": true, "rollup_marks": true, "thinned": true, "expired": true, "changes": true,
}
