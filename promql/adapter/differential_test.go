package adapter_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/histogram"
	prom "github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/adapter"
)

// FuzzAgainstPrometheus evaluates random expressions over random data with one engine over two stores: the adapter
// over the reference store, and Prometheus' own database. The seed makes both the data and the expressions.
func FuzzAgainstPrometheus(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s := randomStores(t, rng)
		engine := promql.NewEngine(promql.DefaultConfig(), nil, nil)
		ours := adapter.NewQueryable(s.memory, adapter.Limits{})
		g := newGrammar(rng)
		answered := 0
		for range 40 {
			q := randomQuery(g)
			want, got := compared(q, engine, s.prom, ours)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%+v: Prometheus (-), ours (+):\n%s", q, diff)
			}
			if strings.Contains(want, "\n") {
				answered++
			}
		}
		if answered < 5 {
			t.Errorf("only %d expressions of 40 have an answer", answered)
		}
	})
}

// tries bounds how often an expression is evaluated until both stores answer the same. The engine keeps the series
// between two functions in a map, so the last digits of a sum, and which of several warnings or errors comes first,
// are different from one evaluation to the next over one and the same store.
const tries = 25

func compared(q query, engine *prom.Engine, theirs, ours storage.Queryable) (want, got string) {
	for range tries {
		if want, got = q.run(engine, theirs), q.run(engine, ours); want == got {
			break
		}
	}
	return want, got
}

// query is an expression with its times; an instant query has no step.
type query struct {
	expr           string
	startMs, endMs int64
	step           time.Duration
}

func randomQuery(g *grammar) query {
	q := query{expr: g.vector(1 + g.rng.IntN(3)), startMs: g.rng.Int64N(spanMs+600_000) - 300_000}
	if g.rng.IntN(2) == 0 {
		q.startMs -= q.startMs % 15_000 // on the beat, where both ends of a window matter
	}
	if g.rng.IntN(10) == 0 {
		q.expr = g.matrix(1)
		return q
	}
	if g.rng.IntN(2) == 0 {
		q.step = []time.Duration{15 * time.Second, time.Minute, 37 * time.Second, 7 * time.Minute}[g.rng.IntN(4)]
		q.endMs = q.startMs + g.rng.Int64N(20)*q.step.Milliseconds()
	}
	return q
}

// run returns the result as text: an error, or a line a series, sorted, and the annotations.
func (q query) run(engine *prom.Engine, from storage.Queryable) string {
	ctx := context.Background()
	var built prom.Query
	var err error
	if q.step == 0 {
		built, err = engine.NewInstantQuery(ctx, from, nil, q.expr, time.UnixMilli(q.startMs))
	} else {
		built, err = engine.NewRangeQuery(ctx, from, nil, q.expr, time.UnixMilli(q.startMs), time.UnixMilli(q.endMs), q.step)
	}
	if err != nil {
		return "cannot parse: " + err.Error()
	}
	defer built.Close()
	res := built.Exec(ctx)
	if res.Err != nil {
		return "error: " + res.Err.Error()
	}
	var lines []string
	switch v := res.Value.(type) {
	case prom.Vector:
		for _, s := range v {
			lines = append(lines, s.Metric.String()+formatPoint(s.T, s.F, s.H))
		}
	case prom.Matrix:
		for _, s := range v {
			lines = append(lines, formatSeries(s))
		}
	default:
		lines = append(lines, v.String())
	}
	slices.Sort(lines)
	warnings, infos := res.Warnings.AsStrings(q.expr, 0, 0)
	slices.Sort(warnings)
	slices.Sort(infos)
	return strings.Join(append(lines, fmt.Sprint("warnings ", withoutCollisions(warnings)), fmt.Sprint("infos ", infos)), "\n")
}

// withoutCollisions leaves out what depends on where Prometheus happened to cut its chunks.
func withoutCollisions(warnings []string) []string {
	return slices.DeleteFunc(warnings, func(w string) bool { return strings.Contains(w, "conflicting counter resets") })
}

func formatSeries(s prom.Series) string {
	line := s.Metric.String()
	for _, p := range s.Floats {
		line += formatPoint(p.T, p.F, nil)
	}
	for _, p := range s.Histograms {
		line += formatPoint(p.T, 0, p.H)
	}
	return line
}

func formatPoint(timeMs int64, v float64, h *histogram.FloatHistogram) string {
	if h == nil {
		return fmt.Sprintf(" %d=%.13g", timeMs, v)
	}
	// Prometheus stores a chunk's histograms with the buckets of all of them, empty ones too.
	h = h.Copy().Compact(0)
	return fmt.Sprintf(" %d=%s", timeMs, h)
}
