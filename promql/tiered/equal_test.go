package tiered_test

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metricstream/metricstream/promql/plan"
	"github.com/metricstream/metricstream/promql/tiered"
	"github.com/prometheus/prometheus/model/histogram"
	prom "github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
)

// query is an expression with its times; an instant query has no step.
type query struct {
	expr                   string
	startMs, endMs, stepMs int64
}

func (q query) String() string {
	return fmt.Sprintf("%s @ %+d..%+d step %d", q.expr, q.startMs-baseMs, q.endMs-baseMs, q.stepMs)
}

// answer is what an engine made of a query.
type answer struct {
	err         string
	points      map[string]map[int64]point
	annotations []string
	plan        *plan.Plan
}

type point struct {
	v float64
	h *histogram.FloatHistogram
}

func (q query) run(t testing.TB, ctx context.Context, e prom.QueryEngine, from storage.Queryable) answer {
	t.Helper()
	var built prom.Query
	var err error
	if q.stepMs == 0 {
		built, err = e.NewInstantQuery(ctx, from, nil, q.expr, time.UnixMilli(q.startMs))
	} else {
		built, err = e.NewRangeQuery(ctx, from, nil, q.expr, time.UnixMilli(q.startMs), time.UnixMilli(q.endMs), time.Duration(q.stepMs)*time.Millisecond)
	}
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	defer built.Close()
	a := answer{points: map[string]map[int64]point{}}
	if planned, ok := built.(*tiered.Query); ok {
		a.plan = planned.Plan()
	}
	res := built.Exec(ctx)
	if res.Err != nil {
		a.err = res.Err.Error()
		return a
	}
	warnings, infos := res.Warnings.AsStrings(q.expr, 0, 0)
	a.annotations = append(warnings, infos...)
	for i, text := range a.annotations {
		a.annotations[i] = occurrences.ReplaceAllString(text, "")
	}
	slices.Sort(a.annotations)
	add := func(name string, timeMs int64, p point) {
		if a.points[name] == nil {
			a.points[name] = map[int64]point{}
		}
		if p.h != nil {
			p.h = p.h.Copy().Compact(0)
		}
		a.points[name][timeMs] = p
	}
	switch v := res.Value.(type) {
	case prom.Vector:
		for _, s := range v {
			add(s.Metric.String(), s.T, point{s.F, s.H})
		}
	case prom.Matrix:
		for _, s := range v {
			for _, p := range s.Floats {
				add(s.Metric.String(), p.T, point{p.F, nil})
			}
			for _, p := range s.Histograms {
				add(s.Metric.String(), p.T, point{0, p.H})
			}
		}
	case prom.Scalar:
		add("scalar", v.T, point{v.V, nil})
	}
	return a
}

// tiersOf counts the selectors of a plan by tier.
func tiersOf(p *plan.Plan) (n [3]int) {
	for _, s := range p.Selectors {
		n[s.Tier]++
	}
	return n
}

// differences tells raw from tier. Values have to be equal but for a relative error of tolerance, NaN to NaN.
func differences(want, got answer, tolerance float64) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if want.err != got.err {
		say("error %q, from tiers %q", want.err, got.err)
	}
	if !slices.Equal(want.annotations, got.annotations) {
		say("annotations\n  %s\nfrom tiers\n  %s", strings.Join(want.annotations, "\n  "), strings.Join(got.annotations, "\n  "))
	}
	for name, points := range want.points {
		for timeMs, w := range points {
			g, ok := got.points[name][timeMs]
			switch {
			case !ok:
				say("%s at %+d: %s, from tiers nothing", name, timeMs-baseMs, w)
			case !equal(w, g, tolerance):
				say("%s at %+d: %s, from tiers %s", name, timeMs-baseMs, w, g)
			}
		}
	}
	for name, points := range got.points {
		for timeMs, g := range points {
			if _, ok := want.points[name][timeMs]; !ok {
				say("%s at %+d: nothing, from tiers %s", name, timeMs-baseMs, g)
			}
		}
	}
	if len(out) > 5 {
		out = append(out[:5], fmt.Sprintf("and %d more", len(out)-5))
	}
	return out
}

func (p point) String() string {
	if p.h != nil {
		return p.h.String()
	}
	return fmt.Sprintf("%v (%016x)", p.v, math.Float64bits(p.v))
}

func equal(a, b point, tolerance float64) bool {
	if a.h == nil || b.h == nil {
		return a.h == b.h && near(a.v, b.v, tolerance)
	}
	x, y := a.h, b.h
	if x.Schema != y.Schema || !slices.Equal(x.PositiveSpans, y.PositiveSpans) || !slices.Equal(x.NegativeSpans, y.NegativeSpans) ||
		!slices.Equal(x.CustomValues, y.CustomValues) || x.ZeroThreshold != y.ZeroThreshold {
		return false
	}
	return near(x.Count, y.Count, tolerance) && near(x.Sum, y.Sum, tolerance) && near(x.ZeroCount, y.ZeroCount, tolerance) &&
		slices.EqualFunc(x.PositiveBuckets, y.PositiveBuckets, func(a, b float64) bool { return near(a, b, tolerance) }) &&
		slices.EqualFunc(x.NegativeBuckets, y.NegativeBuckets, func(a, b float64) bool { return near(a, b, tolerance) })
}

func near(a, b, tolerance float64) bool {
	switch {
	case math.IsNaN(a) || math.IsNaN(b):
		return math.IsNaN(a) && math.IsNaN(b)
	case math.Float64bits(a) == math.Float64bits(b):
		return true
	case tolerance == 0 || math.IsInf(a, 0) || math.IsInf(b, 0):
		return false
	}
	return math.Abs(a-b) <= tolerance*max(math.Abs(a), math.Abs(b))
}

// occurrences is how often the engine would say the same of one series; rows do not tell.
var occurrences = regexp.MustCompile(` \(\d+ occurrences\)`)
