package cache

import (
	"context"
	"time"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/plan"
	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/timestamp"
	prom "github.com/prometheus/prometheus/promql"
)

// instantQuery is evaluated once for all who ask for the same within a second.
type instantQuery struct {
	prom.Query
	engine *Engine
	opts   prom.QueryOpts
	text   string
	at     time.Time

	cached plan.Cached
}

// Cached says, after Exec, whether the answer was remembered.
func (q *instantQuery) Cached() plan.Cached { return q.cached }

// Plan returns the plan of the query.
func (q *instantQuery) Plan() *plan.Plan { return planOf(q.Query) }

// Exec answers the query. Those that leave the time to the server share an answer whatever their times are.
func (q *instantQuery) Exec(ctx context.Context) *prom.Result {
	q.cached = plan.Cached{Result: bypass, Steps: 1}
	if store.Fresh(ctx) || promql.NoStore(ctx) || q.opts != nil && q.opts.EnablePerStepStats() {
		return q.Query.Exec(ctx)
	}
	numbers := []int64{int64(plan.ResolutionOf(ctx))}
	if !promql.Newest(ctx) {
		numbers = append(numbers, timestamp.FromTime(q.at))
	}
	f, mine := q.engine.hot.join(flightKey{q.engine.identity(ctx, q.opts, q.text, numbers...), promql.Line(ctx)})
	if mine {
		return q.lead(ctx, f)
	}
	source := remembered
	if !f.ended() {
		source = joined
	}
	select {
	case <-f.done:
	case <-ctx.Done():
	}
	if f.ended() && f.answer != nil {
		q.count(source)
		return &prom.Result{Value: f.answer}
	}
	q.count(evaluatedNow)
	return q.Query.Exec(ctx) // the other one failed, or is not to be shared
}

// lead answers the query for all who wait for it, and for other queriers.
func (q *instantQuery) lead(ctx context.Context, f *flight) *prom.Result {
	e, key := q.engine, f.key.what+hotSuffix
	var others hotShared
	if e.shared != nil && e.hot.near(q.at) {
		others = e.shared.hot(ctx, key)
	}
	if others.vector != nil {
		q.count(fromShared)
		f.answer = others.vector
		e.hot.end(f, e.Now().Add(-others.age))
		return &prom.Result{Value: others.vector}
	}
	res, kept := q.evaluate(ctx, f)
	if kept && others.atMs > 0 {
		e.shared.putHot(ctx, key, f.answer, others.atMs)
	}
	return res
}

// evaluate evaluates the query for all who wait for it.
func (q *instantQuery) evaluate(ctx context.Context, f *flight) (res *prom.Result, kept bool) {
	begun := q.engine.Now()
	defer func() { kept = q.engine.hot.end(f, begun) }()
	q.count(evaluatedNow)
	res = q.Query.Exec(ctx)
	if res.Err == nil && len(res.Warnings) == 0 {
		f.answer = copyOf(res.Value)
	}
	return res, false
}

func (q *instantQuery) count(source string) {
	q.engine.metrics.hot.WithLabelValues(source).Inc()
	q.cached.Result = miss
	if source != evaluatedNow {
		q.cached.Result, q.cached.Remembered = hit, 1
	}
}
