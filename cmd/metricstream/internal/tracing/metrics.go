package tracing

import (
	"context"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// metrics count spans: of those that ended, what was neither exported nor failed waits in a queue, or was dropped
// because that was full.
type metrics struct{ ended, exported, failed prometheus.Counter }

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "metricstream_tracing_" + name, Help: help})
	}
	m := &metrics{
		ended:    counter("ended_spans_total", "Spans that were recorded. What is neither exported nor failed some seconds later was dropped because the queue was full."),
		exported: counter("exported_spans_total", "Spans that the collector took."),
		failed:   counter("failed_spans_total", "Spans that are lost because the collector did not take them."),
	}
	if r != nil {
		r.MustRegister(m.ended, m.exported, m.failed)
	}
	return m
}

// counted is an exporter that counts, and that logs a fault once until another one comes or it is over.
type counted struct {
	sdk.SpanExporter
	metrics *metrics
	logger  *slog.Logger

	mu   sync.Mutex
	last string
}

// ExportSpans implements sdk.SpanExporter.
func (c *counted) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := c.SpanExporter.ExportSpans(ctx, spans)
	if err != nil {
		c.metrics.failed.Add(float64(len(spans)))
		c.Handle(err)
		return nil // it is told already
	}
	c.metrics.exported.Add(float64(len(spans)))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != "" {
		c.last = ""
		c.logger.Info("traces can be exported again")
	}
	return nil
}

// Handle implements otel.ErrorHandler.
func (c *counted) Handle(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if text := err.Error(); text != c.last {
		c.last = text
		c.logger.Warn("cannot export traces; spans are lost, nothing else is", "err", err)
	}
}

// ended is a span processor that counts.
type ended struct{ spans prometheus.Counter }

func (e ended) OnStart(context.Context, sdk.ReadWriteSpan) {}
func (e ended) OnEnd(s sdk.ReadOnlySpan) {
	if s.SpanContext().IsSampled() {
		e.spans.Inc()
	}
}
func (e ended) Shutdown(context.Context) error   { return nil }
func (e ended) ForceFlush(context.Context) error { return nil }
