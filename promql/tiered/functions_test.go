package tiered_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/adapter"
	"github.com/metricstream/metricstream/promql/tiered"
	"github.com/metricstream/metricstream/promql/tiertest"
	"github.com/metricstream/metricstream/store/memory"
	"github.com/metricstream/metricstream/store/rollup"
	prom "github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
)

// functions are those that tiers answer, with the relative error that they may have. What counts and picks is exact to
// the bit; what adds up is added in another order. The variances of the engine itself are off by more than the others
// where the mean is large.
var functions = map[string]float64{
	"count_over_time": 0, "present_over_time": 0, "absent_over_time": 0, "min_over_time": 0, "max_over_time": 0,
	"first_over_time": 0, "last_over_time": 0, "ts_of_first_over_time": 0, "ts_of_last_over_time": 0, "resets": 0,
	"changes": 0, "delta": 0, "irate": 0, "idelta": 0, "rate": 1e-12, "increase": 1e-12,
	"sum_over_time": 1e-12, "avg_over_time": 1e-12, "stddev_over_time": 1e-10, "stdvar_over_time": 1e-10,
}

var metrics = []string{"counter_total", "gauge", "odd", "hist", "gauge_hist", "mixed", "custom", "sparse_total"}

// engines are the stock engine over raw samples and the one that answers from tiers, over one store.
type engines struct {
	stock, tiered    prom.QueryEngine
	raw, withTiers   storage.Queryable
	checked, answers int
	tiers            [3]int
}

// covered says what the tiers have; nothing is everything.
func newEngines(s *memory.Store, covered rollup.Coverage) *engines {
	tiers := &tiertest.Reader{Store: s, Covered: covered}
	stock := promql.NewEngine(promql.DefaultConfig(), nil, nil)
	e := tiered.New(tiered.Options{Config: promql.DefaultConfig(), Tiers: tiers})
	return &engines{
		stock: stock, tiered: e, raw: adapter.NewQueryable(s, adapter.Limits{}),
		withTiers: adapter.NewTieredQueryable(s, rollup.NewStitch(tiers, s), adapter.Limits{}),
	}
}

// check evaluates a query over raw and over tiers.
func (e *engines) check(t testing.TB, q query, tolerance float64) {
	t.Helper()
	ctx := context.Background()
	want := q.run(t, ctx, e.stock, e.raw)
	got := q.run(t, ctx, e.tiered, e.withTiers)
	for tier, n := range tiersOf(got.plan) {
		e.tiers[tier] += n
	}
	if len(want.points) > 0 {
		e.answers++
	}
	e.checked++
	if diff := differences(want, got, tolerance); len(diff) > 0 {
		t.Errorf("%s:\n%s", q, strings.Join(diff, "\n"))
	}
}

// TestFunctions: every function of every metric, at aligned times, from the tier that it is aligned to.
func TestFunctions(t *testing.T) {
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 5))
		e := newEngines(randomStore(t, rng), rollup.Coverage{})
		for _, name := range slices.Sorted(maps.Keys(functions)) {
			for _, metric := range metrics {
				for _, times := range []struct{ stepMs, rangeMs int64 }{
					{0, 1}, {0, 7}, {0, 60}, {0, 180}, {1, 1}, {1, 5}, {5, 3}, {60, 60}, {60, 120}, {60, 1}, {120, 60},
				} {
					q := query{stepMs: times.stepMs * minuteMs}
					q.expr = fmt.Sprintf("%s(%s[%dm])", name, metric, times.rangeMs)
					q.startMs = baseMs + (1+rng.Int64N(3))*hourMs
					if q.stepMs < hourMs && times.rangeMs < 60 {
						q.startMs += rng.Int64N(60) * minuteMs
					}
					q.endMs = min(q.startMs+40*q.stepMs, baseMs+spanMs+hourMs)
					e.check(t, q, functions[name])
					if times.rangeMs == 60 { // a selector alone
						q.expr = metric
						e.check(t, q, 0)
					}
				}
			}
		}
		t.Logf("%d queries, %d with an answer, %v selectors from raw, 1m, 1h", e.checked, e.answers, e.tiers)
		if e.tiers[0] > 0 || e.tiers[1] < e.checked/3 || e.tiers[2] < e.checked/4 || e.answers < e.checked/2 {
			t.Errorf("%d queries, %d with an answer; selectors from raw, 1m and 1h: %v", e.checked, e.answers, e.tiers)
		}
	}
}
