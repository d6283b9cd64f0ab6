package api

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/prometheus/prometheus/model/timestamp"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/metricstream/metricstream/tenant"
	"github.com/metricstream/metricstream/tenant/limits"
)

// grant returns what a request of a tenant, or of several, is held to.
func (a *API) grant(ctx context.Context, id string) limits.Grant {
	if !tenant.Several(id) {
		return a.Grant(ctx, id)
	}
	var all []limits.Grant
	for _, one := range tenant.Split(id) {
		all = append(all, a.Grant(ctx, one))
	}
	return limits.Smallest(id, all)
}

// reading returns what a request may read.
func (a *API) reading(ctx context.Context) limits.Reading {
	return limits.FromContext(ctx).Reading(
		limits.Bound{Most: int64(a.Config.MaxSeries), Name: "query.max_series"},
		limits.Bound{Most: int64(a.Config.MaxSamples), Name: "query.max_samples"})
}

// withTimeout returns a context that ends when the request's time is over. Its cause is the limit where that is one of
// tenant or key.
func (a *API) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	b := limits.FromContext(ctx).Duration()
	d := time.Duration(b.Most)
	if b.Most <= 0 || d >= a.Config.Timeout {
		return context.WithTimeout(ctx, a.Config.Timeout)
	}
	return context.WithTimeoutCause(ctx, d, b.Errorf("it took longer than %s; ask for less, or raise %s", d, b))
}

// nameDuration adds the limit that ended a request's context to the error that came of it.
func nameDuration(ctx context.Context, e *apiError) *apiError {
	if cause, ok := context.Cause(ctx).(*limits.Reached); ok && e.typ == timeout {
		return &apiError{timeout, fmt.Errorf("%w: %w", e.err, cause)}
	}
	return e
}

// inTurn returns a handler that waits for its turn before it reads.
func (a *API) inTurn(h handler) handler {
	return func(r *http.Request) (result, error) {
		leave, err := a.turn(r.Context())
		if err != nil {
			return result{}, err
		}
		defer leave()
		return h(r)
	}
}

// turn waits until a read may run and returns what it must call at its end.
func (a *API) turn(ctx context.Context) (leave func(), err error) {
	a.metrics.inFlight.Inc()
	end, err := a.Turns.Take(ctx)
	if err != nil {
		a.metrics.inFlight.Dec()
		return nil, err
	}
	return func() {
		end()
		a.metrics.inFlight.Dec()
	}, nil
}

// checkRange refuses a query over more time than the limits allow: from its start to its end, or in the ranges of its
// expression, and by how much lookback_delta is more than usual. The ranges of subqueries and what is inside them add up.
// What is wrong with the request otherwise is left to the engine.
func (a *API) checkRange(r *http.Request, start, end time.Time, step time.Duration) error {
	g := limits.FromContext(r.Context())
	if g.Range().Most <= 0 {
		return nil
	}
	text := r.FormValue("query")
	if err := a.checkQuery(text); err != nil {
		return err
	}
	longest := end.Sub(start)
	if expr, err := a.Parser.ParseExpr(text); err == nil {
		if expr, err = promql.PreprocessExpr(expr, start, end, step); err == nil {
			longest = max(longest, longestRange(expr))
		}
	}
	if d, err := parseDuration(r.FormValue("lookback_delta")); err == nil {
		longest = sum(longest, max(0, d-a.Config.LookbackDelta))
	}
	return g.CheckRange(longest)
}

// checkExemplarRange is checkRange for exemplars. What is not yet is no part of a range: old clients of Grafana ask with
// milliseconds for seconds whether there are exemplars.
func (a *API) checkExemplarRange(r *http.Request, start, end time.Time) error {
	from, to := timestamp.FromTime(start), min(timestamp.FromTime(end), timestamp.FromTime(a.Now()))
	if from > to {
		return nil
	}
	return limits.FromContext(r.Context()).CheckRange(between(from, to))
}

// sum adds two durations, as far as a duration goes.
func sum(a, b time.Duration) time.Duration {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

func longestRange(expr parser.Expr) time.Duration {
	longest := time.Duration(0)
	parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
		sum := time.Duration(0)
		for _, n := range append(path[:len(path):len(path)], node) {
			switch n := n.(type) {
			case *parser.SubqueryExpr:
				sum += n.Range
			case *parser.MatrixSelector:
				sum += n.Range
			}
		}
		longest = max(longest, sum)
		return nil
	})
	return longest
}

// between returns the time between two, in milliseconds, as far as a duration goes.
func between(fromMs, toMs int64) time.Duration {
	if d := float64(toMs) - float64(fromMs); d > float64(math.MaxInt64)/float64(time.Millisecond) {
		return math.MaxInt64
	}
	return time.Duration(toMs-fromMs) * time.Millisecond
}
