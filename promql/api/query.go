package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/timestamp"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/util/stats"

	"github.com/metricstream/metricstream/promql/plan"
)

// maxSteps is what Prometheus allows of a range query: a minute's resolution for a week.
const maxSteps = 11000

// query is an instant query.
func (a *API) query(r *http.Request) (result, error) {
	limit, err := limitParam(r)
	if err != nil {
		return result{}, err
	}
	ts, err := optionalTime(r, "time", a.Now())
	if err != nil {
		return result{}, err
	}
	if err := a.checkRange(r, ts, ts, 0); err != nil {
		return result{}, err
	}
	return a.evaluate(r, limit, func(ctx context.Context, opts promql.QueryOpts) (promql.Query, error) {
		return a.Engine.NewInstantQuery(ctx, a.Queryable, opts, r.FormValue("query"), ts)
	})
}

// queryRange is a range query.
func (a *API) queryRange(r *http.Request) (result, error) {
	limit, err := limitParam(r)
	if err != nil {
		return result{}, err
	}
	start, end, step, err := a.rangeParams(r)
	if err != nil {
		return result{}, err
	}
	if err := a.checkRange(r, start, end, step); err != nil {
		return result{}, err
	}
	return a.evaluate(r, limit, func(ctx context.Context, opts promql.QueryOpts) (promql.Query, error) {
		return a.Engine.NewRangeQuery(ctx, a.Queryable, opts, r.FormValue("query"), start, end, step)
	})
}

func (a *API) rangeParams(r *http.Request) (start, end time.Time, step time.Duration, err error) {
	if start, err = timeParam(r, "start"); err != nil {
		return
	}
	if end, err = timeParam(r, "end"); err != nil {
		return
	}
	if end.Before(start) {
		err = invalidParam("end", errors.New("end timestamp must not be before start time"))
		return
	}
	if step, err = parseDuration(r.FormValue("step")); err != nil {
		err = invalidParam("step", err)
		return
	}
	if step <= 0 {
		err = invalidParam("step", errors.New("zero or negative query resolution step widths are not accepted. Try a positive integer"))
		return
	}
	if step < time.Millisecond {
		// The engine counts in milliseconds and would divide by zero.
		err = invalidParam("step", fmt.Errorf("the query resolution step width %s is less than 1ms", step))
		return
	}
	// Durations end at 292 years and differences of times are cut there: hence float64 for the longest ranges.
	width := float64(timestamp.FromTime(end)) - float64(timestamp.FromTime(start))
	if end.Sub(start)/step > maxSteps || width/float64(step.Milliseconds()) > maxSteps+1 {
		a.metrics.limits.WithLabelValues("resolution").Inc()
		err = badRequest(errors.New("exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"))
	}
	return
}

// evaluate builds a query, runs it when the engine has a turn for it, and makes the response.
func (a *API) evaluate(r *http.Request, limit int, build func(context.Context, promql.QueryOpts) (promql.Query, error)) (result, error) {
	ctx, cancel, err := withTimeoutParam(r)
	if err != nil {
		return result{}, err
	}
	defer cancel()
	opts, err := queryOpts(r)
	if err != nil {
		return result{}, badRequest(err)
	}

	if err := a.checkQuery(r.FormValue("query")); err != nil {
		return result{}, err
	}
	if ctx, err = withResolution(ctx, r); err != nil {
		return result{}, err
	}
	ctx = withMemory(ctx, r)
	a.metrics.inFlight.Inc()
	defer a.metrics.inFlight.Dec()
	qry, err := build(ctx, opts)
	if err != nil {
		return result{}, constructionError(err)
	}
	if err := checkResolution(ctx, qry); err != nil {
		qry.Close()
		return result{}, err
	}

	res := a.execute(withOrigin(ctx, r), r, qry)
	if res.Err != nil {
		defer qry.Close()
		return result{}, res.Err
	}
	out := a.queryResult(r, qry, res, limit)
	if r.FormValue("explain") == "1" {
		out.explain = explain(qry)
	}
	return out, nil
}

func (a *API) queryResult(r *http.Request, qry promql.Query, res *promql.Result, limit int) result {
	warnings := res.Warnings
	data := queryData{value: res.Value}
	switch v := res.Value.(type) {
	case promql.Matrix:
		if limit > 0 && len(v) > limit {
			data.value = v[:limit]
			warnings.Add(errTruncated)
		}
	case promql.Vector:
		if limit > 0 && len(v) > limit {
			data.value = v[:limit]
			warnings.Add(errTruncated)
		}
	}
	if s := r.FormValue("stats"); s != "" {
		data.stats, _ = json.Marshal(stats.NewQueryStats(qry.Stats())) // numbers only: cannot fail
		if s != "true" && s != "all" {
			warnings.Add(fmt.Errorf("value %q for parameter \"stats\" is deprecated and will be rejected in the next major release, use %q or %q", s, "true", "all"))
		}
	}
	return result{data: data, warnings: warnings, release: qry.Close}
}

// withTimeoutParam applies timeout, which can only shorten the time that the request has anyway.
func withTimeoutParam(r *http.Request) (context.Context, context.CancelFunc, error) {
	ctx := r.Context()
	s := r.FormValue("timeout")
	if s == "" {
		return ctx, func() {}, nil
	}
	d, err := parseDuration(s)
	if err != nil {
		return nil, nil, invalidParam("timeout", err)
	}
	if d <= 0 {
		return nil, nil, invalidParam("timeout", fmt.Errorf("timeout must be positive, got %s", d))
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	return ctx, cancel, nil
}

func queryOpts(r *http.Request) (promql.QueryOpts, error) {
	var lookback time.Duration
	if s := r.FormValue("lookback_delta"); s != "" {
		d, err := parseDuration(s)
		if err != nil {
			return nil, fmt.Errorf("error parsing lookback delta duration: %w", err)
		}
		lookback = d
	}
	var starts *bool
	if s := r.Header.Get("X-Prometheus-Use-Start-Timestamps"); s != "" {
		b, err := strconv.ParseBool(s)
		if err != nil {
			return nil, fmt.Errorf("error parsing X-Prometheus-Use-Start-Timestamps header: %w", err)
		}
		starts = &b
	}
	return promql.NewPrometheusQueryOpts(r.FormValue("stats") == "all", lookback, starts), nil
}

// constructionError is for a query that could not be built, mostly because its text is wrong.
func constructionError(err error) error {
	if _, ok := errors.AsType[promql.ErrQueryTimeout](err); ok {
		return err
	}
	if _, ok := errors.AsType[promql.ErrQueryCanceled](err); ok {
		return err
	}
	if _, ok := errors.AsType[promql.ErrStorage](err); ok {
		return err
	}
	if _, ok := errors.AsType[*plan.RefusedError](err); ok {
		return err
	}
	return invalidParam("query", err)
}

// withOrigin says in the engine's query log where a query came from.
func withOrigin(ctx context.Context, r *http.Request) context.Context {
	ip, _, _ := net.SplitHostPort(r.RemoteAddr)
	return promql.NewOriginContext(ctx, map[string]any{
		"httpRequest": map[string]string{"clientIP": ip, "method": r.Method, "path": r.URL.Path},
	})
}
