package clickhouse

import (
	"context"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// usageAge is how long what was asked last is shown, so that a scrape does not always ask.
	usageAge = 30 * time.Second
	// usageTimeout is how long a scrape waits for the server.
	usageTimeout = 3 * time.Second
)

// usage shows what the tables take and what the disks have left. While ClickHouse does not answer there is nothing to
// show; metricstream_clickhouse_up says so.
type usage struct {
	conn                                    clickhouse.Conn
	up, parts, rows, bytes, free, diskBytes *prometheus.Desc

	mu    sync.Mutex
	asked time.Time
	shown []prometheus.Metric
}

func newUsage(conn clickhouse.Conn) *usage {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("metricstream_clickhouse_"+name, help, labels, nil)
	}
	return &usage{
		conn:      conn,
		up:        desc("up", "1 where ClickHouse answered when it was asked last for the sizes of the tables, at most half a minute ago."),
		parts:     desc("table_parts", "Active parts of a table. Inserts are slowed down, then refused, where a partition has thousands.", "table"),
		rows:      desc("table_rows", "Rows of a table, those that wait to be merged with their duplicates included.", "table"),
		bytes:     desc("table_bytes", "Bytes of a table's active parts on the disk.", "table"),
		free:      desc("disk_free_bytes", "Free bytes of a disk of the ClickHouse server.", "disk"),
		diskBytes: desc("disk_size_bytes", "Size of a disk of the ClickHouse server.", "disk"),
	}
}

// Describe implements prometheus.Collector.
func (u *usage) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{u.up, u.parts, u.rows, u.bytes, u.free, u.diskBytes} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (u *usage) Collect(ch chan<- prometheus.Metric) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if time.Since(u.asked) >= usageAge {
		u.ask()
	}
	for _, m := range u.shown {
		ch <- m
	}
}

// ask asks the server anew.
func (u *usage) ask() {
	ctx, cancel := context.WithTimeout(context.Background(), usageTimeout)
	defer cancel()
	u.shown = u.shown[:0]
	up := 1.0
	if u.askTables(ctx) != nil || u.askDisks(ctx) != nil {
		u.shown, up = u.shown[:0], 0
	}
	u.shown = append(u.shown, prometheus.MustNewConstMetric(u.up, prometheus.GaugeValue, up))
	u.asked = time.Now()
}

func (u *usage) add(d *prometheus.Desc, value uint64, label string) {
	u.shown = append(u.shown, prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), label))
}

func (u *usage) askTables(ctx context.Context) error {
	rows, err := u.conn.Query(ctx, "SELECT table, count(), sum(rows), sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table ORDER BY table")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var table string
		var parts, count, bytes uint64
		if err := rows.Scan(&table, &parts, &count, &bytes); err != nil {
			return err
		}
		u.add(u.parts, parts, table)
		u.add(u.rows, count, table)
		u.add(u.bytes, bytes, table)
	}
	return rows.Err()
}

func (u *usage) askDisks(ctx context.Context) error {
	rows, err := u.conn.Query(ctx, "SELECT name, free_space, total_space FROM system.disks ORDER BY name")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var disk string
		var free, size uint64
		if err := rows.Scan(&disk, &free, &size); err != nil {
			return err
		}
		u.add(u.free, free, disk)
		u.add(u.diskBytes, size, disk)
	}
	return rows.Err()
}
