package correlation

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Scope is the name under which the spans of this program are made.
const Scope = "github.com/metricstream/metricstream"

// Span begins a span below that of the context, where that one is recorded; it may have ended, as that of somebody who
// did not wait. Else it returns the context as it is and a
// span that does nothing, and allocates nothing: whoever calls it gives attributes only to a span that IsRecording.
func Span(ctx context.Context, name string) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.SpanContext().IsSampled() {
		return ctx, parent // its methods do nothing
	}
	return parent.TracerProvider().Tracer(Scope).Start(ctx, name)
}

// End ends a span, as failed where err is not nil.
func End(span trace.Span, err error) {
	if err != nil && span.IsRecording() {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}
