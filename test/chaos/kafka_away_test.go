package chaos

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
)

// leastAway is how long ClickHouse is away at least; with -for it is as long as that says.
const leastAway = 20 * time.Second

// smallBatches lets a consumer read little ahead, so that a short outage shows that it stops reading.
const smallBatches = "flush_age: 200ms\n  flush_rows: 3000"

// mostMemory is what a consumer may take while it waits for ClickHouse, in bytes: it must not grow with the outage.
const mostMemory = 300 << 20

// TestClickHouseAway takes ClickHouse away from consumers that run, for a while, and brings it back as it was; then with
// the tables of an earlier moment, under consumers that run and under such that do not.
func TestClickHouseAway(t *testing.T) {
	t.Parallel()
	own := testenv.StartOwnEngine(t, "")
	direct, err := url.Parse(ownDatabase(t, own.DSN()))
	if err != nil {
		t.Fatal(err)
	}
	gate := startGate(t, direct.Host)
	through := *direct
	through.Host = gate.address
	kafka := testenv.StartKafka(t)
	c := startClusterOn(t, []string{kafka.Address}, through.String())
	c.readLittleAhead(t)
	c.tables = openDatabase(t, direct.String())
	var table table
	defer table.print(t, "ClickHouse behind a gate, Kafka")

	away := max(leastAway, *atLeast)
	absent := fmt.Sprintf("away for %v", away)
	first := startLoad(t, c.receiver.address, label(absent, 0))
	c.awaitVisible(t, absent)
	c.awaitNoLag(t)
	c.tables.copyTables()
	gate.shut()
	own.Kill()
	c.watchLag(t, away)
	gate.open()
	c.finish(t, first, &table)
	c.awaitNoLag(t)
	table.row(absent).kills++

	const under, between = "an earlier moment's tables, under consumers", "an earlier moment's tables, between runs"
	second := startLoad(t, c.receiver.address, label(under, 0))
	c.receiver.awaitLoad(t, second)
	c.awaitVisible(t, under)
	gate.shut()
	c.awaitRetries(t)
	c.tables.restoreTables()
	gate.open()
	c.receiver.awaitLoad(t, second)
	c.finish(t, second, &table)
	verify(t, c.querier.url(), first, newTable())

	third := startLoad(t, c.receiver.address, label(between, 0))
	c.receiver.awaitLoad(t, third)
	for _, consumer := range c.consumers {
		consumer.stop(t)
	}
	c.tables.restoreTables()
	for _, consumer := range c.consumers {
		consumer.startReady(t)
	}
	c.finish(t, third, &table)
	for _, l := range []*load{first, second} {
		verify(t, c.querier.url(), l, newTable())
	}
	if keys := c.tables.keys(); keys != c.total {
		t.Errorf("the tables have %d samples, acknowledged were %d", keys, c.total)
	}
}

// newTable is a table that is not shown: of samples that are counted already.
func newTable() *table { return &table{} }

// readLittleAhead starts the consumers again with small batches.
func (c *cluster) readLittleAhead(t *testing.T) {
	t.Helper()
	for _, n := range c.consumers {
		n.stop(t)
		text := strings.Replace(config, "flush_age: 200ms", smallBatches, 1)
		if err := os.WriteFile(filepath.Join(n.dir, "config.yml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		n.startReady(t)
	}
}

// lag returns how far the consumers are behind: records in all, and the seconds of the partition that is worst. It fails
// while they have not shared the partitions yet.
func (c *cluster) lag() (records, seconds float64, err error) {
	for _, n := range c.consumers {
		got, err := n.metrics(lagRecords, lagSeconds)
		if err != nil {
			return 0, 0, err
		}
		if has := len(got[lagRecords]); has != partitions/len(c.consumers) {
			return 0, 0, fmt.Errorf("%s has %d of %d partitions", n.address, has, partitions)
		}
		for _, v := range got[lagRecords] {
			records += v
		}
		seconds = max(seconds, slices.Max(append(got[lagSeconds], 0)))
	}
	return records, seconds, nil
}

// awaitNoLag waits until the consumers are as near to the end of the log as they are in ordinary times.
func (c *cluster) awaitNoLag(t *testing.T) {
	t.Helper()
	eventually(t, "the consumers catch up", func() error {
		records, seconds, err := c.lag()
		if err == nil && (records > 500 || seconds > 3) {
			err = fmt.Errorf("%v records and %v s are left", records, seconds)
		}
		return err
	})
}

// watchLag checks that the lag grows in records and in seconds while ClickHouse is away, and the memory does not.
func (c *cluster) watchLag(t *testing.T, away time.Duration) {
	t.Helper()
	const memory = "process_resident_memory_bytes"
	halfRecords, halfSeconds := 0.0, 0.0
	for i, at := range []time.Duration{away / 2, away} {
		time.Sleep(away / 2)
		records, seconds, err := c.lag()
		if err != nil {
			t.Errorf("cannot read the lag while ClickHouse is away: %v", err)
		}
		// A few seconds may pass before the last commit's records are old.
		if records < halfRecords*1.2 || records < 100 || seconds < halfSeconds || seconds < at.Seconds()*0.7 {
			t.Errorf("after %v the lag is %v records and %v s, at the half it was %v and %v", at, records, seconds, halfRecords, halfSeconds)
		}
		halfRecords, halfSeconds = records, seconds
		for _, n := range c.consumers {
			got, err := n.metrics(memory)
			if err != nil || len(got[memory]) != 1 || got[memory][0] > mostMemory {
				t.Errorf("after %v a consumer has %v bytes: %v", at, got[memory], err)
			}
			if i == 1 {
				t.Logf("after %v: lag %v records, %.1f s; a consumer has %v MB", at, records, seconds, int(got[memory][0])>>20)
			}
		}
	}
}

// awaitVisible waits until queries see some samples of a point.
func (c *cluster) awaitVisible(t *testing.T, name string) {
	t.Helper()
	visible := fmt.Sprintf(`count(last_over_time(chaos{point=%q}[5d]))`, label(name, 0))
	eventually(t, "samples are visible", func() error {
		n, err := number(c.querier.url(), visible, time.Now().UnixMilli())
		if err == nil && n == 0 {
			err = fmt.Errorf("there are none")
		}
		return err
	})
}

// awaitRetries waits until both consumers have noticed that ClickHouse is away.
func (c *cluster) awaitRetries(t *testing.T) {
	t.Helper()
	const retries = "metricstream_consumer_retries_total"
	before := map[*node]float64{}
	eventually(t, "the consumers notice", func() error {
		for _, n := range c.consumers {
			got, err := n.metrics(retries)
			if err != nil || len(got[retries]) != 1 {
				return fmt.Errorf("%v: %v", got, err)
			}
			if _, ok := before[n]; !ok {
				before[n] = got[retries][0]
			}
			if got[retries][0] == before[n] {
				return fmt.Errorf("%v retries, as before", before[n])
			}
		}
		return nil
	})
}
