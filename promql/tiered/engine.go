// Package tiered owns the engine that answers from tiers: it plans a query, hands the engine what the plan made of the
// expression, and tells what was decided and read. It leaves the decisions to package plan, the values to packages
// kernel and adapter, and all evaluation to the stock engine.
package tiered

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/metricstream/metricstream/correlation"
	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/plan"
	"github.com/metricstream/metricstream/store/rollup"
	"github.com/metricstream/metricstream/tenant"
	"github.com/prometheus/client_golang/prometheus"
	prom "github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// Options are what an [Engine] works with. Tiers is needed; each query asks it what is covered, see [Remember]. The
// queryables that queries are given have to be of adapter.NewTieredQueryable over the same.
type Options struct {
	Config promql.Config
	Tiers  rollup.Reader

	// Turns are what evaluations wait for; nil for none.
	Turns      *promql.Turns
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Engine is a promql.QueryEngine.
type Engine struct {
	config promql.Config
	parser parser.Parser
	engine *promql.ExprEngine
	tiers  rollup.Reader
}

// New returns an engine for a configuration that is valid. Close it when no query runs any more.
func New(o Options) *Engine {
	return &Engine{
		config: o.Config,
		parser: promql.NewParser(),
		engine: promql.NewExprEngine(o.Config, o.Turns, o.Logger, o.Registerer),
		tiers:  o.Tiers,
	}
}

// Close ends the engine.
func (e *Engine) Close() error { return e.engine.Close() }

// NewInstantQuery implements promql.QueryEngine. The tenant and the resolution, see [plan.WithResolution], are those of the
// context.
func (e *Engine) NewInstantQuery(ctx context.Context, q storage.Queryable, opts prom.QueryOpts, text string, at time.Time) (prom.Query, error) {
	p, err := e.plan(ctx, opts, text, plan.Query{Start: at, End: at})
	if err != nil {
		return nil, err
	}
	query, err := e.engine.InstantQuery(ctx, q, opts, text, p.Expr, at)
	return planned(query, err, p, text)
}

// NewRangeQuery implements promql.QueryEngine; see NewInstantQuery.
func (e *Engine) NewRangeQuery(ctx context.Context, q storage.Queryable, opts prom.QueryOpts, text string, start, end time.Time, step time.Duration) (prom.Query, error) {
	p, err := e.plan(ctx, opts, text, plan.Query{Start: start, End: end, Step: step})
	if err != nil {
		return nil, err
	}
	query, err := e.engine.RangeQuery(ctx, q, opts, text, p.Expr, start, end, step)
	return planned(query, err, p, text)
}

func (e *Engine) plan(ctx context.Context, opts prom.QueryOpts, text string, q plan.Query) (p *plan.Plan, err error) {
	ctx, span := correlation.Span(ctx, "plan")
	defer func() { correlation.End(span, err) }()
	expr, err := e.parser.ParseExpr(text)
	if err != nil {
		return nil, err
	}
	if expr, err = plan.Preprocess(expr, q); err != nil {
		return nil, err
	}
	q.Lookback, q.SubqueryStep, q.Force = e.config.LookbackDelta, promql.SubqueryStep, plan.ResolutionOf(ctx)
	if opts != nil {
		if d := opts.LookbackDelta(); d > 0 {
			q.Lookback = d
		}
		q.NoStarts = opts.UseStartTimestamps() != nil && !*opts.UseStartTimestamps()
	}
	var covered []rollup.Coverage
	for _, id := range tenant.Split(tenant.FromContext(ctx)) {
		c, err := e.tiers.Coverage(ctx, id)
		if err != nil {
			return nil, coverageError(ctx, err)
		}
		covered = append(covered, c)
	}
	q.Others = covered[1:]
	return plan.New(expr, q, covered[0])
}

func planned(q prom.Query, err error, p *plan.Plan, text string) (prom.Query, error) {
	if err != nil {
		return nil, err
	}
	return &Query{Query: q, plan: p, text: text}, nil
}

// Query is a planned query.
type Query struct {
	prom.Query
	plan *plan.Plan
	text string
}

// Plan returns what was decided and, after Exec, what was read.
func (q *Query) Plan() *plan.Plan { return q.plan }

// String returns the text of the query.
func (q *Query) String() string { return q.text }

// Exec runs the query. What the answer cannot see because raw samples have expired, and what is approximate
// because of it, is among its warnings.
func (q *Query) Exec(ctx context.Context) *prom.Result {
	res := q.Query.Exec(plan.NewContext(ctx, q.plan))
	for _, s := range q.plan.Selectors {
		if s.Approximate != nil {
			res.Warnings.Add(fmt.Errorf("%w: %s: %s", annotations.PromQLWarning, s.Text, s.Approximate.How))
		}
		if s.Missing != "" {
			res.Warnings.Add(fmt.Errorf("%w: %s: %s", annotations.PromQLWarning, s.Text, s.Missing))
		}
	}
	return res
}
