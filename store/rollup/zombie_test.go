package rollup_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/store/clickhouse"
	"github.com/metricstream/metricstream/store/rollup"
)

// versions notes what a fold wrote.
type versions struct {
	tables
	seen []uint64
}

func (v *versions) WriteRollups(ctx context.Context, b *rollup.Batch) error {
	v.seen = append(v.seen, b.Version)
	return v.tables.WriteRollups(ctx, b)
}

// TestZombieOnClickHouse: an owner that was stopped after it had read raw goes on when samples came late and a new owner has
// folded the hour with them. Its rows come last, and are of no account: before merges and after them every row is what raw
// makes of the hour.
func TestZombieOnClickHouse(t *testing.T) {
	u, err := url.Parse(testenv.StartEngine(t))
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/zombie"
	cfg := clickhouse.DefaultConfig()
	cfg.DSN = u.String()
	s, err := clickhouse.Open(context.Background(), cfg, clickhouse.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	w := &world{T: t, tables: s, kinds: []string{"counter starts", "histogram", "mixed"}}
	later := func(d time.Duration) { w.nowMs = time.Now().Add(d).UnixMilli() }
	w.write(1, 1)
	later(time.Minute)

	fold := func(tables rollup.Tables) {
		t.Helper()
		hourOnly := rollup.Span{FromMs: beginMs, ToMs: beginMs + hour}
		if err := w.downsampler(tables).FoldHours(context.Background(), hourOnly, func(int64) {}); err != nil {
			t.Fatal(err)
		}
	}
	old := &versions{tables: s}
	var newest uint64
	zombie := &slow{tables: old, meanwhile: func() {
		w.write(2, 1)
		later(2 * time.Minute)
		fold(s)
		states, err := s.Hours(context.Background(), rollup.Span{FromMs: beginMs, ToMs: beginMs + hour})
		if err != nil || len(states) != 1 || states[0].State != rollup.Closed {
			t.Fatalf("the new owner did not close the hour: %+v, %v", states, err)
		}
		newest = states[0].Version
		old.seen = nil
	}}
	fold(zombie)
	if len(old.seen) == 0 || newest == 0 || old.seen[0] >= newest {
		t.Fatalf("the zombie wrote the versions %d after %d", old.seen, newest)
	}
	check := func(when string) {
		t.Helper()
		closed, err := rollup.Verify(context.Background(), s, beginMs+hour, func(d rollup.Difference) { t.Errorf("%s: %s", when, d) })
		if err != nil || !closed {
			t.Errorf("%s: the hour is closed: %v, %v", when, closed, err)
		}
		w.stitched(rollup.Minute, rollup.Span{FromMs: beginMs - hour, ToMs: beginMs + 3*hour})
		w.stitched(rollup.Hour, rollup.Span{FromMs: beginMs - hour, ToMs: beginMs + 3*hour})
	}
	check("before merges")
	merge(t, u)
	check("after merges")
}

// merge lets the engine merge all rows of tiers.
func merge(t *testing.T, dsn *url.URL) {
	t.Helper()
	o, err := ch.ParseDSN(dsn.String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := ch.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, table := range []string{"rollup_1m", "rollup_1h", "rollup_histograms_1m", "rollup_histograms_1h"} {
		if err := conn.Exec(context.Background(), "OPTIMIZE TABLE "+table+" FINAL"); err != nil {
			t.Fatal(err)
		}
	}
}
