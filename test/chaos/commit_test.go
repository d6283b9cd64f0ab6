package chaos

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
)

// unanswered are the tables whose inserts are committed and not answered, in this order.
var unanswered = []string{
	"series", "samples", "starts", "histograms", "exemplars", "metric_metadata", "ingest_progress",
	"samples", "series", "ingest_progress",
}

// TestCommittedNotAnswered kills ClickHouse after an insert is committed and before the consumer hears of it.
func TestCommittedNotAnswered(t *testing.T) {
	t.Parallel()
	var table table
	defer table.print(t, "ClickHouse, before its answer")
	rounds(t, func(t *testing.T, round int) { killBeforeAnswers(t, round, &table) })
}

func killBeforeAnswers(t *testing.T, round int, rows *table) {
	t.Helper()
	own := testenv.StartOwnEngine(t, "")
	dsn, err := url.Parse(own.DSN())
	if err != nil {
		t.Fatal(err)
	}
	var tables *database
	var newest uint64
	proxy := startProxy(t, dsn.Host, func(table string) { newest = tables.newestPart(table) }, func(table string) {
		if now := tables.newestPart(table); now <= newest {
			t.Errorf("the newest part of %s is %d, as before the insert that was to be committed", table, now)
		}
		own.Kill()
	})
	dsn.Host, dsn.Path = proxy.address, "/metricstream"
	n := newNode(t, "all", "--clickhouse.dsn="+dsn.String())
	n.startReady(t)
	tables = openDatabase(t, own.DSN())
	n.tables = tables
	l := startLoad(t, n.address, label("begin", round))
	for i, table := range unanswered {
		name := "commit in " + table
		n.awaitLoad(t, l)
		before := own.PID()
		hit := proxy.arm(table)
		l.mark(label(name, round*len(unanswered)+i)) // new series
		select {
		case <-hit:
		case <-time.After(within):
			t.Fatalf("there was no insert into %s", table)
		}
		rows.row(name).kills++
		eventually(t, "ClickHouse is back", func() error {
			if now := own.PID(); now == 0 || now == before {
				return fmt.Errorf("it is process %d", now)
			}
			return nil
		})
		n.awaitReady(t)
	}
	l.finish(t)
	verify(t, n.url(), l, rows)
	n.replay(t, len(l.acked)*perRequest)
}

// newestPart is the number of a table's newest part: it grows with each insert, and with nothing else.
func (d *database) newestPart(table string) uint64 {
	var n int64
	q := "SELECT max(max_block_number) FROM system.parts WHERE active AND database = currentDatabase() AND table = '" + table + "'"
	if err := d.QueryRow(d.t.Context(), q).Scan(&n); err != nil {
		d.t.Errorf("cannot ask for the parts of %s: %v", table, err)
	}
	return uint64(n)
}
