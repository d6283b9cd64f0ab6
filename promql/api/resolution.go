package api

import (
	"context"
	"net/http"

	"github.com/prometheus/prometheus/promql"

	"github.com/metricstream/metricstream/promql/plan"
)

// resolutionHeader asks for one resolution: raw, 1m, 1h or auto. A tier that cannot give the exact answer is refused
// with 422 and the reason, so that nobody takes what it would give for the answer.
const resolutionHeader = "X-MetricStream-Resolution"

func withResolution(ctx context.Context, r *http.Request) (context.Context, error) {
	resolution, err := plan.ParseResolution(r.Header.Get(resolutionHeader))
	if err != nil {
		return nil, invalidParam(resolutionHeader, err)
	}
	return plan.WithResolution(ctx, resolution), nil
}

// planned is a query of an engine that answers from tiers.
type planned interface{ Plan() *plan.Plan }

// cached is a query of an engine that remembers answers.
type cached interface{ Cached() plan.Cached }

// checkResolution refuses to answer from a tier where the engine knows of none.
func checkResolution(ctx context.Context, q promql.Query) error {
	if _, ok := q.(planned); ok {
		return nil
	}
	return plan.ResolutionOf(ctx).WithoutTiers()
}

// explain says what was decided and read, selector by selector. An engine without tiers has nothing to decide.
func explain(q promql.Query) payload {
	if p, ok := q.(planned); ok {
		e := p.Plan().Explain()
		if c, ok := q.(cached); ok {
			was := c.Cached()
			e.Cache = &was
		}
		return jsonData{e}
	}
	return jsonData{plan.Explanation{Selectors: []plan.SelectorExplanation{}}}
}
