package remotewrite

import (
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/metricstream/metricstream/tenant"
)

// describe gives a request's span what became of the request.
func describe(r *http.Request, a answer) {
	span := trace.SpanFromContext(r.Context())
	if !span.IsRecording() {
		return
	}
	if id, err := tenant.FromRequest(r); err == nil {
		span.SetAttributes(attribute.String("tenant", id))
	}
	span.SetAttributes(attribute.Int("samples", a.accepted.Samples), attribute.Int("histograms", a.accepted.Histograms))
	if a.produced != "" && len(a.produced) <= maxProducedBytes {
		span.SetAttributes(attribute.String("produced_offsets", a.produced))
	}
}
