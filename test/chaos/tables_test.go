package chaos

import (
	"fmt"
	"maps"
	"strconv"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// dataTables are all tables, with the columns that say what they hold. When metadata was seen is not one of them, nor is
// the latest sample that ingest_progress knows of: forget makes it forget the older ones.
var dataTables = map[string]string{
	"samples": "*", "histograms": "*", "exemplars": "*", "series": "*", "postings": "*", "starts": "*",
	"ingest_progress": "* EXCEPT max_ms", "metric_metadata": "* EXCEPT seen",
}

// database is a ClickHouse that nobody writes to at the time.
type database struct {
	t *testing.T
	clickhouse.Conn
}

func openDatabase(t *testing.T, dsn string) *database {
	t.Helper()
	o, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if o.Auth.Database == "" {
		o.Auth.Database = "metricstream"
	}
	conn, err := clickhouse.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &database{t, conn}
}

// sum is the checksum of a table's rows as they are when merged, and their number.
type sum struct{ hash, rows uint64 }

func (d *database) sums() map[string]sum {
	d.t.Helper()
	d.checkStarts()
	out := map[string]sum{}
	for name, columns := range dataTables {
		var s sum
		q := fmt.Sprintf("SELECT groupBitXor(cityHash64(*)), count() FROM (SELECT %s FROM %s FINAL)", columns, name)
		if err := d.QueryRow(d.t.Context(), q).Scan(&s.hash, &s.rows); err != nil {
			d.t.Fatalf("cannot compute the checksum of %s: %v", name, err)
		}
		if s.rows == 0 {
			d.t.Fatalf("table %s is empty", name)
		}
		out[name] = s
	}
	return out
}

// checkStarts compares the start timestamp that is in force at each sample of the load with the one that it was sent
// with, and looks that there is none in the series that have none.
func (d *database) checkStarts() {
	d.t.Helper()
	const q = `SELECT countIf(x.started AND s.start != intDiv(x.at, {every:Int64}) * {every:Int64} - 1), countIf(NOT x.started AND s.start != 0), countIf(x.started)
FROM
(
    SELECT p.metric AS metric, p.id AS id, p.ts AS at, w.started AS started
    FROM (SELECT metric, id, ts FROM samples UNION ALL SELECT metric, id, ts FROM histograms) AS p
    INNER JOIN
    (
        SELECT metric, id, any(toInt32(labels['writer']) % 2 = 0) AS started
        FROM series
        WHERE startsWith(name, 'chaos')
        GROUP BY metric, id
    ) AS w ON p.metric = w.metric AND p.id = w.id
) AS x
ASOF LEFT JOIN starts AS s ON x.metric = s.metric AND x.id = s.id AND x.at >= s.ts`
	ctx := clickhouse.Context(d.t.Context(), clickhouse.WithParameters(clickhouse.Parameters{"every": strconv.Itoa(startEveryMs)}))
	var wrong, invented, right uint64
	if err := d.QueryRow(ctx, q).Scan(&wrong, &invented, &right); err != nil {
		d.t.Fatalf("cannot look at the start timestamps: %v", err)
	}
	if wrong != 0 || invented != 0 || right == 0 {
		d.t.Errorf("of %d samples with start timestamps %d have another than was sent; %d without have one", right, wrong, invented)
	}
}

// keys is the number of different samples: of pairs of series and time.
func (d *database) keys() int {
	d.t.Helper()
	total := uint64(0)
	for _, name := range []string{"samples", "histograms"} {
		var n uint64
		if err := d.QueryRow(d.t.Context(), "SELECT uniqExact(metric, id, ts) FROM "+name).Scan(&n); err != nil {
			d.t.Fatal(err)
		}
		total += n
	}
	return int(total)
}

// forget empties the table that says how far the log was read.
func (d *database) forget() {
	d.t.Helper()
	if err := d.Exec(d.t.Context(), "TRUNCATE TABLE ingest_progress"); err != nil {
		d.t.Fatal(err)
	}
}

// pretend makes the tables claim more than any log has, so that consumers begin where they committed, and nothing
// but the order of writing and committing keeps samples from being lost. Otherwise the progress in the tables would
// make up for an offset that was committed too early. It ends by forget.
func (d *database) pretend(generation string) {
	d.t.Helper()
	q := fmt.Sprintf("INSERT INTO ingest_progress SELECT 'metricstream', '%s', number, 1000000000000, 0 FROM numbers(%d)", generation, partitions)
	if err := d.Exec(d.t.Context(), q); err != nil {
		d.t.Fatal(err)
	}
}

// generation waits until something was consumed, and returns the generation of the topic that it was in.
func (d *database) generation() string {
	d.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		var generation string
		err := d.QueryRow(d.t.Context(), "SELECT max(generation) FROM ingest_progress").Scan(&generation)
		if err == nil && generation != "" {
			return generation
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("nothing was consumed: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// unchanged fails the test for each table that a replay has changed.
func unchanged(t *testing.T, after string, was, is map[string]sum) {
	t.Helper()
	if maps.Equal(was, is) {
		return
	}
	for name := range was {
		if was[name] != is[name] {
			t.Errorf("%s: table %s has changed: %v, was %v", after, name, is[name], was[name])
		}
	}
}
