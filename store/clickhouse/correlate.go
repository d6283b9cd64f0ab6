package clickhouse

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/metricstream/metricstream/correlation"
)

// comment says in ClickHouse's query log whose statement this is: what it is for, and the request, where there is one, or
// the requests. It is a setting of the statement, so nothing in it can become part of another.
func comment(ctx context.Context, what string) string {
	if id := correlation.ID(ctx); id != "" {
		return "metricstream " + what + " correlation_id=" + id
	}
	return "metricstream " + what
}

// statementSpan begins the span of a statement. Only the statement itself should be run in its context.
func statementSpan(ctx context.Context, name, of string) (context.Context, trace.Span) {
	ctx, span := correlation.Span(ctx, "clickhouse")
	if span.IsRecording() {
		span.SetName(name + " " + of)
		span.SetAttributes(attribute.String("db.system.name", "clickhouse"), attribute.String("db.operation.name", name), attribute.String("statement", of))
	}
	return ctx, span
}

// endStatement ends it.
func endStatement(span trace.Span, rows int, err error) {
	if span.IsRecording() {
		span.SetAttributes(attribute.Int("rows", rows))
	}
	correlation.End(span, err)
}
