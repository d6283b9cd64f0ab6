package main

import (
	"context"

	"github.com/prometheus/common/version"
	"go.opentelemetry.io/otel/trace"

	"github.com/metricstream/metricstream/cmd/metricstream/internal/tracing"
)

// openTracing returns what makes the spans of requests and of flushes, nil where nothing is traced. It is opened first,
// so that it is closed last: until then there may be spans.
func (n *node) openTracing(ctx context.Context) (trace.Tracer, error) {
	exporter, err := tracing.New(ctx, n.config.Tracing, tracing.Options{
		Role: n.role.name, Version: version.Version, Logger: n.logger, Registerer: n.registry,
	})
	if err != nil {
		return nil, err
	}
	exporter.ServeGlobal()
	n.stack.Push("the export of traces", exporter.Close)
	return exporter.Tracer(), nil
}
