package federation_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/adapter"
	"github.com/metricstream/metricstream/promql/plan"
	"github.com/metricstream/metricstream/promql/tiered"
	"github.com/metricstream/metricstream/promql/tiertest"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/memory"
	"github.com/metricstream/metricstream/store/rollup"
	"github.com/metricstream/metricstream/tenant"
	"github.com/metricstream/metricstream/tenant/access"
	"github.com/metricstream/metricstream/tenant/federation"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	prom "github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
)

const (
	hourMs = 3_600_000
	baseMs = 480_000 * hourMs // the data lies in the six hours from here on
)

// covered are tiers of which each tenant has its own part.
type covered struct {
	rollup.Reader
	of map[string]rollup.Coverage
}

func (c covered) Coverage(_ context.Context, id string) (rollup.Coverage, error) {
	if tenant.Several(id) {
		return rollup.Coverage{}, fmt.Errorf("there is no tenant %s", id)
	}
	return c.of[id], nil
}

// hours returns the span from one hour of the data to another.
func hours(from, to int64) []rollup.Span {
	return []rollup.Span{{FromMs: baseMs + from*hourMs, ToMs: baseMs + to*hourMs}}
}

// engines evaluates over a store of single tenants.
type engines struct {
	engine    *tiered.Engine
	queryable storage.Queryable
}

func newEngines(t testing.TB, m *memory.Store, of map[string]rollup.Coverage) engines {
	t.Helper()
	tiers := covered{&tiertest.Reader{Store: m}, of}
	e := tiered.New(tiered.Options{Config: promql.DefaultConfig(), Tiers: tiers})
	t.Cleanup(func() { _ = e.Close() })
	spans := federation.NewTiers(rollup.NewStitch(tiers, m))
	return engines{e, adapter.NewTieredQueryable(federation.New(access.New(stored{m})), spans, adapter.Limits{})}
}

// result is what a query returned, and from which tiers.
type result struct {
	points   map[string]float64
	warnings []string
	tiers    string
}

func (e engines) run(t testing.TB, id, expr string, start, end time.Time, step time.Duration) result {
	t.Helper()
	ctx := tenant.NewContext(t.Context(), id)
	var q prom.Query
	var err error
	if step == 0 {
		q, err = e.engine.NewInstantQuery(ctx, e.queryable, nil, expr, end)
	} else {
		q, err = e.engine.NewRangeQuery(ctx, e.queryable, nil, expr, start, end, step)
	}
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	defer q.Close()
	res := q.Exec(ctx)
	if res.Err != nil {
		t.Fatalf("%s: %v", expr, res.Err)
	}
	r := result{points: map[string]float64{}, tiers: q.(*tiered.Query).Plan().Tiers()}
	warnings, _ := res.Warnings.AsStrings(expr, 0, 0)
	r.warnings = slices.Sorted(slices.Values(warnings))
	add := func(ls labels.Labels, at int64, v float64, h *histogram.FloatHistogram) {
		if h != nil {
			v = h.Count*1000 + h.Sum
		}
		r.points[fmt.Sprint(ls, at)] = v
	}
	switch v := res.Value.(type) {
	case prom.Vector:
		for _, s := range v {
			add(s.Metric, s.T, s.F, s.H)
		}
	case prom.Matrix:
		for _, s := range v {
			for _, p := range s.Floats {
				add(s.Metric, p.T, p.F, nil)
			}
			for _, p := range s.Histograms {
				add(s.Metric, p.T, 0, p.H)
			}
		}
	}
	return r
}

// fillHours writes random series of each tenant, and the same with their tenant as a label to the tenant joined.
func fillHours(t testing.TB, m *memory.Store, rng *rand.Rand) {
	t.Helper()
	b := &store.Batch{}
	for _, id := range []string{"a", "b", "c"} {
		for i := range 4 {
			pairs := []string{"__name__", "x_total", "i", fmt.Sprint(i), "job", pickOf(rng, "x", "y")}
			if i == 3 {
				pairs = append(pairs, "__tenant_id__", "its own")
			}
			ls := labels.FromStrings(pairs...)
			marked := labels.NewBuilder(ls).Set("original___tenant_id__", ls.Get("__tenant_id__")).Set("__tenant_id__", id).Labels()
			copies := []store.Series{{Tenant: id, Labels: ls}, {Tenant: "joined", Labels: marked}}
			for j := range copies {
				copies[j].Key = store.KeyOf(copies[j].Tenant, copies[j].Labels)
				copies[j].MinMs, copies[j].MaxMs, copies[j].Has = baseMs, baseMs+6*hourMs, store.HasHistograms
			}
			b.Series = append(b.Series, copies...)
			points(rng, b, copies, i == 2)
		}
	}
	if err := m.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// points adds the same random samples to some series; now and then histograms, if it may.
func points(rng *rand.Rand, b *store.Batch, copies []store.Series, histograms bool) {
	v, h := 0.0, histogram.Histogram{PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{0}}
	for at := int64(baseMs) + rng.Int64N(30_000); at < baseMs+6*hourMs; at += 15_000 + rng.Int64N(30_000) {
		if v += float64(rng.IntN(10)); rng.IntN(200) == 0 {
			v = 0
		}
		h.Count, h.Sum, h.PositiveBuckets[0] = h.Count+2, h.Sum+3, h.PositiveBuckets[0]+2
		d, _ := store.DecimalOf(v, 0)
		if rng.IntN(100) == 0 {
			d, _ = store.DecimalOf(math.Float64frombits(value.StaleNaN), 0)
		}
		for _, c := range copies {
			if histograms {
				b.Histograms = append(b.Histograms, store.Histogram{Key: c.Key, TimeMs: at, Count: float64(h.Count), Sum: h.Sum, Blob: store.AppendHistogram(nil, &h)})
				continue
			}
			b.Samples.Append(c.Key, at, d)
		}
	}
}

var expressions = []string{
	`x_total`, `sum by (__tenant_id__) (rate(x_total[1h]))`, `sum(rate(x_total[1h]))`, `avg by (job) (increase(x_total{__tenant_id__!="b"}[10m]))`,
	`max_over_time(x_total{__tenant_id__=~"a|c"}[1h])`, `count by (__tenant_id__, job) (x_total)`, `rate(x_total{original___tenant_id__="its own"}[30m])`,
	`count_over_time({__tenant_id__="b"}[1h])`, `absent_over_time(x_total{__tenant_id__="nobody"}[1h])`, `absent(x_total{__tenant_id__="a"})`,
	`quantile_over_time(0.5, x_total{__tenant_id__!~"a|b",i!="2"}[1h])`, `sum by (i) (x_total{__tenant_id__="a"}) + on (i) sum by (i) (x_total{__tenant_id__="b"})`,
	`topk(2, sum_over_time(x_total{i="1"}[1h]))`, `max_over_time(rate(x_total[10m])[1h:10m])`, `last_over_time(x_total{__tenant_id__=""}[1h])`, `min by (__tenant_id__) (delta(x_total{i="0"}[1h]))`,
}

// TestQueriesLikeOneTenant evaluates over several tenants and over one that has all their series with the label, from
// raw and from tiers, of which the tenants have different parts.
func TestQueriesLikeOneTenant(t *testing.T) {
	all := rollup.Coverage{hours(-24, 24), hours(0, 6), hours(0, 6)}
	tiers := map[string]int{}
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 0))
		m := memory.New()
		fillHours(t, m, rng)
		part := func() []rollup.Span {
			from := rng.Int64N(5)
			return hours(from, from+rng.Int64N(7-from))
		}
		e := newEngines(t, m, map[string]rollup.Coverage{"a": all, "b": {hours(-24, 24), part(), part()}, "c": {hours(-24, 24), part(), hours(0, 0)}, "joined": all})
		for _, expr := range expressions {
			end := time.UnixMilli(baseMs + (3+rng.Int64N(3))*hourMs)
			step := []time.Duration{0, time.Minute, 10 * time.Minute, time.Hour, 7 * time.Minute}[rng.IntN(5)]
			want := e.run(t, "joined", expr, end.Add(-2*time.Hour), end, step)
			got := e.run(t, "a|b|c", expr, end.Add(-2*time.Hour), end, step)
			tiers[got.tiers]++
			same(t, fmt.Sprintf("seed %d: %s every %v", seed, expr, step), want, got)
		}
	}
	if tiers["1m"] == 0 || tiers["1h"] == 0 || tiers["raw"] == 0 {
		t.Errorf("the queries were answered from %v", tiers)
	}
}

func same(t *testing.T, what string, want, got result) {
	t.Helper()
	if len(want.points) != len(got.points) || !slices.Equal(want.warnings, got.warnings) {
		t.Errorf("%s (%s, %s): %d points %v, want %d %v", what, want.tiers, got.tiers, len(got.points), got.warnings, len(want.points), want.warnings)
		return
	}
	for at, w := range want.points {
		g, ok := got.points[at]
		if !ok || math.Abs(w-g) > 1e-9*max(1, math.Abs(w)) {
			t.Errorf("%s (%s, %s): %s is %v (%t), want %v", what, want.tiers, got.tiers, at, g, ok, w)
			return
		}
	}
}

// TestWhatOneTenantMisses: of several tenants the answer warns of what is gone of any, and a resolution that one does not
// have is refused. A tenant with less data than another is no reason to warn.
func TestWhatOneTenantMisses(t *testing.T) {
	m := memory.New()
	fillHours(t, m, rand.New(rand.NewPCG(1, 1)))
	e := newEngines(t, m, map[string]rollup.Coverage{
		"a": {hours(0, 24), hours(0, 6), hours(0, 6)}, // everything
		"b": {hours(4, 24), nil, hours(0, 6)},         // raw has expired, hours have not
		"c": {hours(4, 24), nil, nil},                 // came later
	})
	end := time.UnixMilli(baseMs + 5*hourMs)
	for _, c := range []struct {
		tenants, expr string
		warns         bool
	}{
		{"a|c", `quantile_over_time(0.5, x_total[4h])`, false}, {"a|b", `quantile_over_time(0.5, x_total[4h])`, true}, {"b|c", `quantile_over_time(0.5, x_total[4h])`, true},
		{"a|b", `rate(x_total[4h])`, false}, {"a|c", `rate(x_total[4h])`, false}, {"b|c", `rate(x_total[4h])`, false}, {"b|c", `rate(x_total[90m])`, true},
		{"b|c", `rate(x_total[3h20m])`, true},
	} {
		got := e.run(t, c.tenants, c.expr, end, end, 0)
		warned := slices.ContainsFunc(got.warnings, func(w string) bool { return strings.Contains(w, "approximately from tier 1h") })
		if warned != c.warns {
			t.Errorf("%s of %s from %s: %v", c.expr, c.tenants, got.tiers, got.warnings)
		}
	}
	ctx := plan.WithResolution(tenant.NewContext(t.Context(), "a|c"), plan.OnlyHour)
	if _, err := e.engine.NewInstantQuery(ctx, e.queryable, nil, `rate(x_total[4h])`, end); err != nil {
		t.Errorf("a resolution that folds of raw can stand in for: %v", err)
	}
	ctx = plan.WithResolution(tenant.NewContext(t.Context(), "b|c"), plan.OnlyMinute)
	if _, err := e.engine.NewInstantQuery(ctx, e.queryable, nil, `rate(x_total[4h])`, end); err == nil {
		t.Error("minutes that no tenant has were not refused")
	}
}
