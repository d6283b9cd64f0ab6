package api

import (
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// TestSpanNames: what clients can choose freely is in no name, because names are counted.
func TestSpanNames(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	tracer := sdk.NewTracerProvider(sdk.WithSyncer(spans)).Tracer("")
	for _, c := range []struct{ path, endpoint string }{
		{"/api/v1/query", "query"},
		{"/prometheus/api/v1/label/some/label/values", "label_values"},
		{"/api/v1/whatever/17", "unknown"},
	} {
		ctx, span := tracer.Start(t.Context(), "GET")
		nameSpan(httptest.NewRequest("GET", c.path, nil).WithContext(ctx), c.endpoint)
		span.End()
	}
	var got []string
	for _, s := range spans.GetSpans() {
		got = append(got, s.Name)
	}
	if d := cmp.Diff([]string{"GET /api/v1/query", "GET /prometheus/api/v1/label/{name}/values", "GET unknown"}, got); d != "" {
		t.Error(d)
	}
}
