package adapter

import (
	"context"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/metricstream/metricstream/correlation"
	"github.com/metricstream/metricstream/promql/plan"
	"github.com/metricstream/metricstream/tenant"
)

// endSelect ends the span of a selector, with what was read for it.
func endSelect(ctx context.Context, span trace.Span, matchers []*labels.Matcher, series int, err error) {
	if span.IsRecording() {
		tier, selector := "raw", fmt.Sprint(matchers)
		if p := plan.FromContext(ctx).Of(matchers); p != nil {
			tier, selector = p.Tier.String(), p.Text
			span.SetAttributes(attribute.Int64("rows", p.Read.Rows.Load()+p.Read.RawSamples.Load()))
		}
		span.SetAttributes(attribute.String("tenant", tenant.FromContext(ctx)), attribute.String("selector", selector),
			attribute.String("tier", tier), attribute.Int("series", series))
	}
	correlation.End(span, err)
}
