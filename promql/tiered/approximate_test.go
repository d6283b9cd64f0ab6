package tiered_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/adapter"
	"github.com/metricstream/metricstream/promql/tiered"
	"github.com/metricstream/metricstream/promql/tiertest"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/memory"
	"github.com/metricstream/metricstream/store/retention"
	"github.com/metricstream/metricstream/store/rollup"
	prom "github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
)

// aged is a store of random data whose raw samples have expired until rawMs, and whose minutes until minutesMs.
type aged struct {
	full, left storage.Queryable
	engine     prom.QueryEngine
}

func newAged(t *testing.T, rawMs, minutesMs int64) *aged {
	t.Helper()
	all := since(randomBatch(rand.New(rand.NewPCG(7, 8))), 0) // floats
	full, left := memory.New(), memory.New()
	tiers := &tiertest.Reader{Store: full, Covered: rollup.Coverage{
		{{FromMs: baseMs + rawMs, ToMs: 1 << 60}}, {{FromMs: baseMs + minutesMs, ToMs: baseMs + spanMs}}, {{FromMs: baseMs, ToMs: baseMs + spanMs}},
	}}
	for s, b := range map[*memory.Store]*store.Batch{full: all, left: since(all, baseMs+rawMs)} {
		if err := s.Write(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}
	return &aged{
		full: adapter.NewQueryable(full, adapter.Limits{}), left: adapter.NewTieredQueryable(left, rollup.NewStitch(tiers, left), adapter.Limits{}),
		engine: tiered.New(tiered.Options{Config: promql.DefaultConfig(), Tiers: tiers}),
	}
}

// TestApproximateWindows: where raw has expired and windows are none of a tier, they are answered as windows of whole hours,
// which are what raw would say of those; what can be exact is exact, and a warning says which is which.
func TestApproximateWindows(t *testing.T) {
	const rawMs = 5 * hourMs
	newAged(t, rawMs, 7*hourMs).checkWindows(t, rawMs)
}

// TestApproximateOverClickHouse does so over tables of which only the hours are left.
func TestApproximateOverClickHouse(t *testing.T) {
	s, full, all := openClickHouse(t), memory.New(), since(randomBatch(rand.New(rand.NewPCG(7, 8))), 0)
	for _, w := range []store.Writer{s, full} {
		if err := w.Write(t.Context(), all); err != nil {
			t.Fatal(err)
		}
	}
	d := rollup.NewDownsampler(rollup.DefaultConfig(), rollup.Options{Tables: s})
	if err := d.FoldHours(t.Context(), rollup.Span{FromMs: baseMs, ToMs: baseMs + spanMs}, func(int64) {}); err != nil {
		t.Fatal(err)
	}
	parts, err := s.Partitions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if p.Kind == retention.Hour {
			continue
		}
		if err := errors.Join(s.Expire(t.Context(), p, retention.Drop), s.Drop(t.Context(), p)); err != nil {
			t.Fatal(err)
		}
	}
	e := overClickHouse(full, s)
	w := &aged{full: e.raw, left: e.withTiers, engine: e.tiered}
	w.checkWindows(t, spanMs)
}

// checkWindows compares answers of which raw is gone until rawMs, and minutes too where a window reaches before that.
func (w *aged) checkWindows(t *testing.T, rawMs int64) {
	t.Helper()
	stock := promql.NewEngine(promql.DefaultConfig(), nil, nil)
	const rangeMs = hourMs + 15_000
	const stepMs = 25 * minuteMs
	for _, c := range []struct {
		expr  string
		scale bool
	}{
		{"rate(counter_total[%s])", false}, {"increase(counter_total[%s])", true}, {"max_over_time(gauge[%s])", false},
		{"sum_over_time(gauge[%s])", true}, {"count_over_time(gauge[%s])", true}, {"sum by (job) (rate(counter_total[%s]))", false},
		{"count(rate(counter_total[%s]))", false}, {"absent_over_time(nothing[%s])", false}, {"last_over_time(gauge[%s])", false},
		{"ts_of_last_over_time(gauge[%s])", false}, {"stddev_over_time(gauge[%s])", false},
	} {
		q := query{expr: fmt.Sprintf(c.expr, "1h15s"), startMs: baseMs + 2*hourMs + 7*minuteMs + 3, endMs: baseMs + 7*hourMs + 59*minuteMs, stepMs: stepMs}
		got := q.run(t, t.Context(), w.engine, w.left)
		if got.err != "" {
			t.Fatalf("%s: %s", q, got.err)
		}
		sel := got.plan.Selectors[0]
		if sel.Approximate == nil || sel.Tier != rollup.Hour || sel.Missing != "" {
			t.Fatalf("%s: read from %s, %+v, missing %q", q, sel.Tier, sel.Approximate, sel.Missing)
		}
		if !hasWarning(got, "answered approximately from tier 1h until") {
			t.Errorf("%s: no warning in %q", q, got.annotations)
		}
		want := answer{points: map[string]map[int64]point{}}
		for at, i := q.startMs, 0; at <= q.endMs; at, i = at+stepMs, i+1 {
			one, factor := query{expr: q.expr, startMs: at}, 1.0
			if exact := at-rangeMs >= baseMs+rawMs; exact != (i >= sel.Approximate.Count) {
				t.Fatalf("%s: %d times are approximate", q, sel.Approximate.Count)
			} else if !exact {
				one = query{expr: fmt.Sprintf(c.expr, "1h"), startMs: at / hourMs * hourMs}
				if c.scale {
					factor = float64(rangeMs) / hourMs
				}
			}
			for name, points := range one.run(t, t.Context(), stock, w.full).points {
				if want.points[name] == nil {
					want.points[name] = map[int64]point{}
				}
				for _, p := range points {
					p.v *= factor
					want.points[name][at] = p
				}
			}
		}
		got.annotations = nil
		if d := differences(want, got, 1e-10); len(d) > 0 || len(got.points) == 0 {
			t.Errorf("%s: %d series\n%s", q, len(got.points), strings.Join(d, "\n"))
		}
	}
}

// TestApproximateInstants: an instant selector sees the last sample of the last full hour where it would see nothing.
func TestApproximateInstants(t *testing.T) {
	w := newAged(t, 5*hourMs, 8*hourMs)
	stock := promql.NewEngine(promql.DefaultConfig(), nil, nil)
	const stepMs = 25 * minuteMs
	q := query{expr: "gauge", startMs: baseMs + 2*hourMs + 7*minuteMs + 3, endMs: baseMs + 7*hourMs + 59*minuteMs, stepMs: stepMs}
	got := q.run(t, t.Context(), w.engine, w.left)
	a := got.plan.Selectors[0].Approximate
	if a == nil || !hasWarning(got, "answered approximately from tier 1h until") {
		t.Fatalf("%+v, %q", a, got.annotations)
	}
	approximate := 0
	for at, i := q.startMs, 0; at <= q.endMs; at, i = at+stepMs, i+1 {
		hour := at / hourMs * hourMs
		exact := query{expr: "gauge", startMs: at}.run(t, t.Context(), stock, w.full)
		last := query{expr: "last_over_time(gauge[1h])", startMs: hour}.run(t, t.Context(), stock, w.full)
		for name := range got.points {
			p, ok := got.points[name][at]
			want, is := exact.points[name][at]
			if at > baseMs+5*hourMs && (i >= a.Count || is) {
				if ok != is || p != want {
					t.Errorf("%s at %+d: %v, want exactly %v", name, at-baseMs, p, want)
				}
				continue
			}
			// The hour may end with a stale marker, behind which there is nothing.
			if want = last.points[name][hour]; ok && p != want {
				t.Errorf("%s at %+d: %v, want %v", name, at-baseMs, p, want)
			}
			if ok {
				approximate++
			}
		}
	}
	if approximate < 10 {
		t.Errorf("%d points are approximate", approximate)
	}
}

// TestApproximateFunctions: a function that no tier knows is evaluated over the last sample of each bucket, and over all
// samples where there are all.
func TestApproximateFunctions(t *testing.T) {
	w := newAged(t, 5*hourMs, 0)
	stock := promql.NewEngine(promql.DefaultConfig(), nil, nil)
	q := query{expr: "quantile_over_time(0.5, gauge[1h])", startMs: baseMs + 2*hourMs + 1, endMs: baseMs + 8*hourMs, stepMs: 10 * minuteMs}
	got := q.run(t, t.Context(), w.engine, w.left)
	sel := got.plan.Selectors[0]
	if a := sel.Approximate; a == nil || sel.Tier != rollup.Minute || !hasWarning(got, "quantile_over_time of the last sample of each 1m") {
		t.Fatalf("%+v, %q", a, got.annotations)
	}
	n, exact := 0, q.run(t, t.Context(), stock, w.full)
	inner := query{expr: "quantile_over_time(0.5, last_over_time(gauge[1m])[1h:1m])", startMs: baseMs, stepMs: minuteMs}
	for name, points := range got.points {
		for at, p := range points {
			want := exact.points[name][at]
			if at-hourMs < baseMs+5*hourMs {
				if at > baseMs+5*hourMs {
					continue // of both
				}
				inner.startMs, inner.endMs = at/minuteMs*minuteMs, at/minuteMs*minuteMs
				inner.stepMs = 0
				want = inner.run(t, t.Context(), stock, w.full).points[name][inner.startMs]
				n++
			}
			if !near(p.v, want.v, 1e-9) {
				t.Errorf("%s at %+d: %v, want %v", name, at-baseMs, p, want)
			}
		}
	}
	if n < 10 {
		t.Errorf("%d points are approximate", n)
	}
}

func hasWarning(a answer, text string) bool {
	for _, one := range a.annotations {
		if strings.Contains(one, text) {
			return true
		}
	}
	return false
}

// TestApproximateAnything: random queries over series of all kinds have an answer where the engine over all samples has one.
func TestApproximateAnything(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	m := randomStore(t, rng)
	e := newEngines(m, rollup.Coverage{
		{{FromMs: baseMs + 5*hourMs, ToMs: 1 << 60}}, {{FromMs: baseMs + 4*hourMs, ToMs: baseMs + spanMs}}, {{FromMs: baseMs, ToMs: baseMs + spanMs}},
	})
	g, approximate := &grammar{rng}, 0
	for range 300 {
		q := g.query()
		want, got := q.run(t, t.Context(), e.stock, e.raw), q.run(t, t.Context(), e.tiered, e.withTiers)
		if got.err != "" && want.err == "" {
			t.Errorf("%s: %s", q, got.err)
		}
		for _, s := range got.plan.Selectors {
			if s.Approximate != nil {
				approximate++
			}
		}
	}
	if approximate < 50 {
		t.Errorf("%d selectors are approximate", approximate)
	}
}
