package tiered_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/metricstream/metricstream/store/rollup"
)

// FuzzEquality evaluates random expressions at random times, most of them aligned to a tier, over random data, once
// over raw samples and once over tiers. The seed makes all of it.
func FuzzEquality(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 9))
		e := newEngines(randomStore(t, rng), randomCoverage(rng))
		g := &grammar{rng}
		for range 150 {
			e.check(t, g.query(), 1e-10)
		}
		if e.answers < 40 || e.tiers[0] < 10 || e.tiers[1] < 5 {
			t.Errorf("%d of %d queries have an answer; selectors from raw, 1m and 1h: %v", e.answers, e.checked, e.tiers)
		}
	})
}

// randomCoverage leaves out an hour here and there; what is left out is folded of raw while it is read. Every third is of
// everything.
func randomCoverage(rng *rand.Rand) rollup.Coverage {
	if rng.IntN(3) == 0 {
		return rollup.Coverage{}
	}
	c := rollup.Coverage{rollup.Raw: {{FromMs: 0, ToMs: math.MaxInt64}}}
	for _, tier := range []rollup.Tier{rollup.Minute, rollup.Hour} {
		from := int64(baseMs - 24*hourMs)
		for hour := int64(baseMs); hour < baseMs+spanMs; hour += hourMs {
			if rng.IntN(5) == 0 {
				c[tier] = append(c[tier], rollup.Span{FromMs: from, ToMs: hour})
				from = hour + hourMs
			}
		}
		c[tier] = append(c[tier], rollup.Span{FromMs: from, ToMs: baseMs + spanMs + hourMs})
	}
	return c
}

// grammar makes random queries.
type grammar struct{ rng *rand.Rand }

func (g *grammar) pick(from ...string) string { return from[g.rng.IntN(len(from))] }

func (g *grammar) query() query {
	q := query{expr: g.vector(g.rng.IntN(3)), startMs: baseMs + hourMs + g.rng.Int64N(spanMs)}
	edge := []int64{1, 15_000, minuteMs, minuteMs, hourMs, hourMs}[g.rng.IntN(6)]
	q.startMs -= q.startMs % edge
	q.endMs = q.startMs
	if g.rng.IntN(3) > 0 {
		q.stepMs = max(edge, minuteMs/2) * []int64{1, 1, 2, 5, 60}[g.rng.IntN(5)]
		q.endMs += q.stepMs*g.rng.Int64N(30) + g.rng.Int64N(q.stepMs)
	}
	return q
}

func (g *grammar) duration() string {
	return g.pick("1m", "5m", "7m", "1h", "1h", "2h", "3h", "90s", "61m", "1ms")
}

func (g *grammar) selector() string {
	if g.rng.IntN(20) == 0 {
		return g.pick(`{__name__=~"gauge|counter.*"}`, `{job="a",__name__=~"gauge|hist"}`)
	}
	return metrics[g.rng.IntN(len(metrics))] + g.pick("", "", `{job="a"}`, `{instance=~"0|1"}`, `{nope=""}`, `{job="none"}`)
}

func (g *grammar) modifiers() string {
	out := ""
	if g.rng.IntN(4) == 0 {
		out += " offset " + g.pick("1h", "-1h", "2h", "1m", "-5m", "17s", "-1ms")
	}
	if g.rng.IntN(6) == 0 {
		out += g.pick(" @ start()", " @ end()", fmt.Sprintf(" @ %d", (baseMs+g.rng.Int64N(8)*hourMs)/1000), fmt.Sprintf(" @ %d.5", (baseMs+g.rng.Int64N(spanMs))/1000))
	}
	return out
}

func (g *grammar) call() string {
	names := slices.Sorted(maps.Keys(functions))
	names = append(names, "deriv", "mad_over_time", "ts_of_max_over_time")
	f := names[g.rng.IntN(len(names))]
	extended := ""
	if (f == "rate" || f == "increase" || f == "delta") && g.rng.IntN(15) == 0 {
		extended = g.pick(" anchored", " smoothed")
	}
	return fmt.Sprintf("%s(%s[%s]%s%s)", f, g.selector(), g.duration(), extended, g.modifiers())
}

func (g *grammar) vector(depth int) string {
	if depth == 0 {
		if g.rng.IntN(3) == 0 {
			return g.selector() + g.modifiers()
		}
		return g.call()
	}
	switch g.rng.IntN(9) {
	case 0, 1, 2:
		op := g.pick("sum", "avg", "min", "max", "count", "group")
		return fmt.Sprintf("%s%s (%s)", op, g.pick("", " by (job)", " without (instance)", " by (__name__)", " by (nope, instance)"), g.vector(depth-1))
	case 3:
		return fmt.Sprintf("(%s) %s (%s)", g.vector(depth-1), g.pick("+", "-", "/", "or", "and", "unless", "> bool"), g.vector(depth-1))
	case 4:
		return fmt.Sprintf("(%s) %s %s", g.vector(depth-1), g.pick("*", "+", ">", "== bool"), g.pick("2", "0.5", "7", "-1"))
	case 5:
		return fmt.Sprintf("%s((%s)[%s:%s]%s)", g.pick("max_over_time", "sum_over_time", "rate", "count_over_time", "last_over_time", "changes"),
			g.vector(depth-1), g.pick("1h", "2h", "7m"), g.pick("", "1m", "5m", "30s", "1h"), g.modifiers())
	case 6:
		return fmt.Sprintf("%s(%s)", g.pick("abs", "timestamp", "absent", "histogram_count", "histogram_sum", "-", "sort", "ceil"), g.vector(depth-1))
	case 7:
		return fmt.Sprintf(`label_replace(%s, "new", "$1", "__name__", "(.*)")`, g.vector(depth-1))
	}
	return g.call()
}
