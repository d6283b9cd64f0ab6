// Package plan decides, before a query is evaluated, which of its selectors a tier answers. It owns the walk over the
// parsed expression, the times at which each selector is evaluated, the choice between raw and the tiers, and the
// expression that the engine gets instead. It is pure: what is covered by which tier is an argument, and computing and
// serving what it plans is left to packages kernel and adapter.
//
// The engine stays the only evaluator. A call such as rate(m[5m]) whose selector a tier answers becomes the instant
// selector m, marked by the identity of its matchers, for which the adapter returns the values of the call at the
// times of its evaluation. Everything above it is evaluated as ever.
package plan

import (
	"context"
	"time"

	"github.com/metricstream/metricstream/store/rollup"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/timestamp"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// Query is what of a query matters beside its expression.
type Query struct {
	// Start, End and Step are those of a range query. An instant query has a Step of 0 and Start equal to End.
	Start, End time.Time
	Step       time.Duration

	// Lookback is how far instant selectors look back; SubqueryStep is the step of a subquery that names none.
	Lookback, SubqueryStep time.Duration

	// NoStarts says that rate and its kin must not look at start timestamps, which are folded into the tiers.
	NoStarts bool

	// Force is a resolution that every selector has to be answered from.
	Force Resolution

	// Others are, for a query of several tenants, what is covered of those after the first. Rows are completed for each
	// tenant by themselves, so a tier may be taken that only some have.
	Others []rollup.Coverage
}

// Plan is a query whose routes are decided.
type Plan struct {
	// Expr is for the engine, which preprocesses it as any other.
	Expr parser.Expr

	// Selectors are those of the query from left to right.
	Selectors []*Selector

	byMatcher map[*labels.Matcher]*Selector
}

// Preprocess resolves durations, start() and end() of a parsed expression, which it changes.
func Preprocess(expr parser.Expr, q Query) (parser.Expr, error) {
	return promql.PreprocessExpr(expr, q.Start, q.End, q.Step)
}

// New plans a query; expr is what [Preprocess] returned. It changes expr, which is the plan's from then on. covered
// may be empty: then every selector is read from raw.
func New(expr parser.Expr, q Query, covered rollup.Coverage) (*Plan, error) {
	p := &Plan{Selectors: selectors(expr, q), byMatcher: map[*labels.Matcher]*Selector{}}
	for _, s := range p.Selectors {
		all := append([]rollup.Coverage{covered}, q.Others...)
		s.Expired = expired(s.raw(all).missing)
		if err := s.choose(q.Force, all); err != nil {
			return nil, err
		}
		if len(s.Matchers) > 0 {
			p.byMatcher[s.Matchers[0]] = s
		}
	}
	p.Expr = p.rewrite(expr)
	return p, nil
}

// Of returns the selector that the engine means by these matchers, nil where the plan knows of none.
func (p *Plan) Of(matchers []*labels.Matcher) *Selector {
	if p == nil || len(matchers) == 0 {
		return nil
	}
	return p.byMatcher[matchers[0]]
}

type contextKey struct{}

// NewContext returns a context in which a plan is executed.
func NewContext(ctx context.Context, p *Plan) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// FromContext returns the plan that is executed, nil without one.
func FromContext(ctx context.Context) *Plan {
	p, _ := ctx.Value(contextKey{}).(*Plan)
	return p
}

func milliseconds(d time.Duration) int64 { return int64(d / time.Millisecond) }

// grid returns the times at which the query is evaluated.
func (q Query) grid() Times {
	t := Times{FirstMs: timestamp.FromTime(q.Start), StepMs: milliseconds(q.Step), Count: 1}
	if t.StepMs > 0 {
		t.Count = int((timestamp.FromTime(q.End)-t.FirstMs)/t.StepMs) + 1
	}
	return t
}

// expired tells from when to when the spans are.
func expired(spans []rollup.Span) string {
	if len(spans) == 0 {
		return ""
	}
	return "from " + clock(spans[0].FromMs) + " to " + clock(spans[len(spans)-1].ToMs)
}
