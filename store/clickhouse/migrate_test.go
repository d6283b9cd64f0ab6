package clickhouse_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse"
)

func TestProcessesMayMigrateAtOnce(t *testing.T) {
	cfg := configOf(t)
	stores := make([]*clickhouse.Store, 8)
	var group sync.WaitGroup
	for i := range stores {
		group.Go(func() {
			var err error
			if stores[i], err = clickhouse.Open(context.Background(), cfg, clickhouse.Options{}); err != nil {
				t.Errorf("process %d cannot open the store: %v", i, err)
			}
		})
	}
	group.Wait()
	for i, s := range stores {
		if s == nil {
			continue
		}
		write(t, s, batchOf("t", int64(i), labels.FromStrings("__name__", "m")))
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	again := openWith(t, cfg)
	if got := selectAll(t, again, everything("t", equal("__name__", "m"))); len(got) != 1 || len(got[0].TimesMs) != len(stores) {
		t.Errorf("got %v", got)
	}
	var recorded uint64
	if err := again.Scan(context.Background(), "SELECT uniqExact(version) FROM schema_migrations", &recorded); err != nil || recorded == 0 {
		t.Errorf("%d migrations are recorded: %v", recorded, err)
	}
}

func TestANewerSchemaIsRefused(t *testing.T) {
	cfg := configOf(t)
	s := openWith(t, cfg)
	if err := s.Exec(context.Background(), "INSERT INTO schema_migrations (version, name, checksum) VALUES (9999, '9999_future.sql', 'x')"); err != nil {
		t.Fatal(err)
	}
	_, err := clickhouse.Open(context.Background(), cfg, clickhouse.Options{})
	if store.KindOf(err) != store.KindInvalid || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("opened a schema of the future: %v", err)
	}
}

// The schema says what is said of it: deduplication by tokens is off, statistics are off, files are synced.
func TestTablesHaveTheirSettings(t *testing.T) {
	s := open(t)
	for _, table := range []string{"samples", "starts", "histograms", "exemplars", "series", "postings", "metric_metadata", "ingest_progress",
		"rollup_1m", "rollup_1h", "rollup_histograms_1m", "rollup_histograms_1h", "rollup_hours", "rollup_marks", "thinned", "expired", "changes"} {
		var definition string
		if err := s.Scan(context.Background(), "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = '"+table+"'", &definition); err != nil {
			t.Fatalf("table %s: %v", table, err)
		}
		for _, want := range []string{"non_replicated_deduplication_window = 0", "fsync_after_insert = 1", "auto_statistics_types = ''"} {
			if !strings.Contains(definition, want) {
				t.Errorf("table %s has no %s: %s", table, want, definition)
			}
		}
	}
}

// The tables of points are sorted by series first: a table that begins with the time makes every query scan all
// series. Their partitions hold days, which expire whole.
func TestTablesOfPointsAreSortedBySeries(t *testing.T) {
	s := open(t)
	for _, table := range []string{"samples", "starts", "histograms", "exemplars"} {
		var sorting, primary string
		if err := s.Scan(context.Background(), "SELECT sorting_key, primary_key FROM system.tables WHERE database = currentDatabase() AND name = '"+table+"'", &sorting, &primary); err != nil {
			t.Fatalf("table %s: %v", table, err)
		}
		if !strings.HasPrefix(sorting, "metric, id, ts, ") || primary != "metric, id, ts" {
			t.Errorf("table %s is sorted by %s, its index has %s", table, sorting, primary)
		}
	}
}

// An insert that a server may collect with others is answered late, or before it is a part. Since 26.2 that is
// the default, though not of the embedded engine, so no test sees it happen: every insert has to say no. Nor may
// a server drop an insert because it remembers one like it.
func TestInsertsSayWhatTheyRelyOn(t *testing.T) {
	for _, setting := range []string{"async_insert", "insert_deduplicate"} {
		if got := clickhouse.InsertSetting(setting); got != "0" {
			t.Errorf("inserts send %s = %q, want 0", setting, got)
		}
	}
}
