package tiered_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/adapter"
	"github.com/metricstream/metricstream/promql/tiered"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse"
	"github.com/metricstream/metricstream/store/memory"
	"github.com/metricstream/metricstream/store/rollup"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// openClickHouse opens a new database of the engine that the tests share.
func openClickHouse(t testing.TB) *clickhouse.Store {
	t.Helper()
	u, err := url.Parse(testenv.StartEngine(t))
	if err != nil {
		t.Fatal(err)
	}
	u.Path = fmt.Sprintf("/tiered_%d", time.Now().UnixNano())
	cfg := clickhouse.DefaultConfig()
	cfg.DSN = u.String()
	s, err := clickhouse.Open(t.Context(), cfg, clickhouse.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// overClickHouse are the stock engine over the reference store, and the one that answers from the tables.
func overClickHouse(m *memory.Store, s *clickhouse.Store) *engines {
	tiers := tiered.Remember(s, nil)
	return &engines{
		stock: promql.NewEngine(promql.DefaultConfig(), nil, nil), raw: adapter.NewQueryable(m, adapter.Limits{}),
		tiered:    tiered.New(tiered.Options{Config: promql.DefaultConfig(), Tiers: tiers}),
		withTiers: adapter.NewTieredQueryable(s, rollup.NewStitch(tiers, s), adapter.Limits{}),
	}
}

// TestClickHouse is the whole way of the tiers: samples are written, folded by the downsampler and read from the tables;
// then some come late, and are in the answers at once. All answers are those of the engine over the reference store.
func TestClickHouse(t *testing.T) {
	s, m := openClickHouse(t), memory.New()
	write := func(b *store.Batch) {
		t.Helper()
		for _, w := range []store.Writer{s, m} {
			if err := w.Write(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	write(randomBatch(rng))
	d := rollup.NewDownsampler(rollup.DefaultConfig(), rollup.Options{Tables: s})
	// The last two hours stay as they are.
	if err := d.FoldHours(t.Context(), rollup.Span{FromMs: baseMs, ToMs: baseMs + spanMs - 2*hourMs}, func(int64) {}); err != nil {
		t.Fatal(err)
	}
	compare(t, overClickHouse(m, s), rng)

	late := &store.Batch{}
	for _, old := range randomBatch(rng).Series[:4] {
		old.MinMs, old.MaxMs = baseMs+2*hourMs, baseMs+3*hourMs
		late.Series = append(late.Series, old)
		for at := old.MinMs + 7; at < old.MaxMs; at += 11 * minuteMs {
			late.Samples.Append(old.Key, at, store.Decimal{Mant: rng.Int64N(500)})
		}
	}
	write(late)
	compare(t, overClickHouse(m, s), rng)
}

func compare(t *testing.T, e *engines, rng *rand.Rand) {
	t.Helper()
	g := &grammar{rng}
	for range 150 {
		e.check(t, g.query(), 1e-10)
	}
	t.Logf("%d queries, %d with an answer, %v selectors from raw, 1m, 1h", e.checked, e.answers, e.tiers)
	if e.answers < 40 || e.tiers[1] < 5 || e.tiers[2] < 3 {
		t.Errorf("%d of %d queries have an answer; selectors from raw, 1m and 1h: %v", e.answers, e.checked, e.tiers)
	}
}
