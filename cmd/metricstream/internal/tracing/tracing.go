// Package tracing owns the export of spans: who makes them gets a tracer of it, and what is sampled goes in batches to a
// collector by OTLP. A collector that is away or slow costs spans, and never a request. What travels in contexts is
// package correlation's business.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/metricstream/metricstream/correlation"
)

// Options are what an [Exporter] works with beside its configuration.
type Options struct {
	// Role and Version say which process the spans are of.
	Role, Version string
	Logger        *slog.Logger
	Registerer    prometheus.Registerer
}

// Exporter makes tracers and sends what they record. A nil one makes nothing.
type Exporter struct {
	provider *sdk.TracerProvider
	counted  *counted
}

// closeTimeout bounds how long the end of a process waits for a collector.
const closeTimeout = 5 * time.Second

// New returns an exporter, nil where none is configured. It does not connect: a collector may come up later. Close it,
// after everything that makes spans.
func New(ctx context.Context, c Config, o Options) (*Exporter, error) {
	metrics := newMetrics(o.Registerer)
	if !c.enabled() {
		return nil, nil
	}
	client, err := otlptracehttp.New(ctx, c.options()...)
	if err != nil {
		return nil, fmt.Errorf("cannot set up the export of traces (tracing.endpoint %q): %w", c.Endpoint, err)
	}
	from, err := describe(ctx, o)
	if err != nil {
		return nil, err
	}
	e := &Exporter{counted: &counted{SpanExporter: client, metrics: metrics, logger: o.Logger}}
	options := []sdk.TracerProviderOption{sdk.WithBatcher(e.counted), sdk.WithSpanProcessor(ended{metrics.ended}), sdk.WithResource(from)}
	if os.Getenv("OTEL_TRACES_SAMPLER") == "" {
		options = append(options, sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(c.SampleRatio))))
	}
	e.provider = sdk.NewTracerProvider(options...)
	return e, nil
}

func (c Config) options() []otlptracehttp.Option {
	var options []otlptracehttp.Option
	if c.Endpoint != "" {
		options = append(options, otlptracehttp.WithEndpoint(c.Endpoint))
	}
	if c.Insecure {
		options = append(options, otlptracehttp.WithInsecure())
	}
	return options
}

// describe says whose spans these are. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
func describe(ctx context.Context, o Options) (*resource.Resource, error) {
	host, _ := os.Hostname() // without one the process is named by its number
	r, err := resource.New(ctx,
		resource.WithAttributes(
			attribute.String("service.name", "metricstream-"+o.Role),
			attribute.String("service.namespace", "metricstream"),
			attribute.String("service.version", o.Version),
			attribute.String("service.instance.id", fmt.Sprintf("%s:%d", host, os.Getpid())),
		),
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("cannot describe this process for traces; look at OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return r, nil
}

// Tracer returns the tracer of this program, nil where nothing is traced.
func (e *Exporter) Tracer() trace.Tracer {
	if e == nil {
		return nil
	}
	return e.provider.Tracer(correlation.Scope)
}

// ServeGlobal makes the exporter that of libraries which know only OpenTelemetry's global one: the PromQL engine, whose
// stages are spans then. It is for the one that sets up the process.
func (e *Exporter) ServeGlobal() {
	if e == nil {
		return
	}
	otel.SetErrorHandler(e.counted)
	otel.SetTracerProvider(e.provider)
}

// Close sends what was recorded, as far as the collector takes it within some seconds. What cannot be sent is lost, and
// is counted.
func (e *Exporter) Close(ctx context.Context) error {
	if e == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	_ = e.provider.Shutdown(ctx) // logged and counted already; a collector that is away is no failure of this process
	return nil
}
