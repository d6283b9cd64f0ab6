package rollup_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/store/clickhouse"
	"github.com/metricstream/metricstream/store/rollup"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// TestOnClickHouse: what is written to ClickHouse is folded, written into late and folded again. The tables have what raw
// makes of it, field by field, and stitched rows are those of raw all the time.
func TestOnClickHouse(t *testing.T) {
	cfg := clickhouse.DefaultConfig()
	u, err := url.Parse(testenv.StartEngine(t))
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/downsampler"
	cfg.DSN = u.String()
	s, err := clickhouse.Open(context.Background(), cfg, clickhouse.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	w := &world{T: t, tables: s, kinds: []string{"counter", "counter starts", "odd", "constant", "float histogram", "schemas", "custom histogram", "mixed"}}
	later := func(d time.Duration) { w.nowMs = time.Now().Add(d).UnixMilli() }
	all := rollup.Span{FromMs: beginMs - hour, ToMs: beginMs + 6*hour}
	parts := rollup.Span{FromMs: beginMs + 17*minute + 1, ToMs: beginMs + 3*hour - 5}
	stitched := func() {
		t.Helper()
		for _, span := range []rollup.Span{all, parts} {
			w.stitched(rollup.Minute, span)
			w.stitched(rollup.Hour, span)
		}
	}
	w.parts = []rollup.Partition{{Next: 1, End: 2, MaxMs: beginMs + 4*hour + rollup.GraceMs}} // the rest of the day is empty
	w.write(1, 3)
	stitched()
	later(0)
	w.cycle()
	for _, c := range w.coverage(rollup.Hour) {
		if c.FromMs < beginMs+3*hour && c.ToMs > beginMs {
			t.Errorf("hours are folded while they are written into: %v", c)
		}
	}
	later(time.Minute)
	w.cycle()
	if c := w.coverage(rollup.Hour); len(c) != 1 || c[0].FromMs > beginMs || c[0].ToMs < beginMs+3*hour {
		t.Fatalf("covered are %v", c)
	}
	stitched()
	w.write(2, 2)
	if c := w.coverage(rollup.Hour); len(c) == 1 && c[0].FromMs <= beginMs && c[0].ToMs >= beginMs+2*hour {
		t.Error("hours that were written into late are covered")
	}
	stitched()
	later(2 * time.Minute)
	w.cycle()
	if c := w.coverage(rollup.Minute); len(c) != 1 {
		t.Errorf("covered are %v", c)
	}
	stitched()
	closed := 0
	for end := int64(beginMs); end <= beginMs+4*hour; end += hour {
		ok, err := rollup.Verify(context.Background(), s, end, func(d rollup.Difference) { t.Errorf("%s", d) })
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			closed++
		}
	}
	if closed != 5 {
		t.Errorf("%d hours are closed, want 5", closed)
	}
}
