package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/metricstream/metricstream/correlation"
	"github.com/metricstream/metricstream/tenant"
)

// maxShownQuery is how much of an expression is shown in spans and in log lines.
const maxShownQuery = 2000

func shownQuery(r *http.Request) string {
	text := r.FormValue("query")
	return strings.ToValidUTF8(text[:min(len(text), maxShownQuery)], "")
}

// nameSpan names the span of a request by its endpoint, and says whose request it is.
func nameSpan(r *http.Request, endpoint string) {
	span := trace.SpanFromContext(r.Context())
	if !span.IsRecording() {
		return
	}
	route := r.URL.Path
	switch endpoint {
	case "label_values":
		before, _, _ := strings.Cut(route, "/label/")
		route = before + "/label/{name}/values"
	case "unknown":
		route = "unknown"
	}
	span.SetName(r.Method + " " + route)
	span.SetAttributes(attribute.String("http.route", route))
	if id, err := tenant.FromReadRequest(r); err == nil {
		span.SetAttributes(attribute.String("tenant", id))
	}
}

// execute evaluates a query in a span, and logs it where it took longer than query.slow_log.
func (a *API) execute(ctx context.Context, r *http.Request, q promql.Query) *promql.Result {
	ctx, span := correlation.Span(ctx, "execute")
	begin := time.Now()
	res := q.Exec(ctx)
	took := time.Since(begin)
	slow := a.Config.SlowLog > 0 && took >= a.Config.SlowLog
	if !slow && !span.IsRecording() {
		return res
	}
	series, read, tiers := resultSeries(res), int64(0), ""
	if p, ok := q.(planned); ok {
		read, tiers = p.Plan().RowsRead(), p.Plan().Tiers()
	}
	if span.IsRecording() {
		span.SetAttributes(attribute.String("query", shownQuery(r)), attribute.String("tiers", tiers), attribute.Int64("rows", read), attribute.Int("series", series))
	}
	correlation.End(span, res.Err)
	if slow {
		line := []any{"tenant", tenant.FromContext(ctx), "path", r.URL.Path, "query", shownQuery(r),
			"start", r.FormValue("start"), "end", r.FormValue("end"), "step", r.FormValue("step"),
			"took", took, "rows", read, "tiers", tiers, "series", series}
		if res.Err != nil {
			line = append(line, "err", res.Err)
		}
		a.Logger.WarnContext(ctx, "slow query", line...)
	}
	return res
}

// resultSeries counts the series of a result.
func resultSeries(res *promql.Result) int {
	switch v := res.Value.(type) {
	case promql.Matrix:
		return len(v)
	case promql.Vector:
		return len(v)
	case nil:
		return 0
	}
	return 1
}
