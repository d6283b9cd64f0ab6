package kafka

import (
	"context"
	"time"

	"github.com/IBM/sarama"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/metricstream/metricstream/correlation"
)

// Headers of a record: the request that it came with, and where the spans of that go on; the second only where they are
// recorded.
const (
	HeaderCorrelation = "correlation-id"
	HeaderTrace       = "traceparent"
)

// appendHeaders appends what a record carries of the context's request. All the records of a request share it.
func appendHeaders(ctx context.Context, dst []sarama.RecordHeader) []sarama.RecordHeader {
	if id := correlation.ID(ctx); id != "" {
		dst = append(dst, sarama.RecordHeader{Key: []byte(HeaderCorrelation), Value: []byte(id)})
	}
	if trace.SpanContextFromContext(ctx).IsSampled() {
		carrier := propagation.MapCarrier{}
		propagation.TraceContext{}.Inject(ctx, carrier)
		dst = append(dst, sarama.RecordHeader{Key: []byte(HeaderTrace), Value: []byte(carrier[HeaderTrace])})
	}
	return dst
}

// headerOf returns the value of a record's header, nil where it has none.
func headerOf(m *sarama.ConsumerMessage, key string) []byte {
	for _, h := range m.Headers {
		if string(h.Key) == key {
			return h.Value
		}
	}
	return nil
}

// ofRecord returns a context of the request that a record came with.
func ofRecord(ctx context.Context, m *sarama.ConsumerMessage) context.Context {
	var one correlation.List
	one.Add(headerOf(m, HeaderCorrelation))
	if id := one.String(); id != "" {
		return correlation.WithID(ctx, id)
	}
	return ctx
}

// maxTraces is in how many traces a flush appears, and how many spans of requests it names.
const maxTraces = 64

// flushSpans are the spans of one flush. Nearly always there is none or one: the flush belongs to the first trace that
// had rows in it, and names the spans of all the requests. In each other trace a span of its own says when the rows were
// written, and where to look for the rest.
type flushSpans []trace.Span

// correlate returns a context for what is done for all the records of a batch: the ids of their requests, and a span
// where some are recorded.
func (c *Consumer) correlate(ctx context.Context, p *pending) (context.Context, flushSpans) {
	var ids correlation.List
	var origins []trace.SpanContext
	for _, m := range p.records {
		ids.Add(headerOf(m, HeaderCorrelation))
		if c.opts.Tracer == nil || len(origins) == maxTraces {
			continue
		}
		if of := headerOf(m, HeaderTrace); of != nil {
			origins = addOrigin(origins, string(of))
		}
	}
	if id := ids.String(); id != "" {
		ctx = correlation.WithID(ctx, id)
	}
	if len(origins) == 0 {
		return ctx, nil
	}
	return c.startSpans(ctx, p, origins)
}

// addOrigin adds the span that a header names, once.
func addOrigin(origins []trace.SpanContext, header string) []trace.SpanContext {
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{HeaderTrace: header})
	of := trace.SpanContextFromContext(ctx)
	if !of.IsSampled() {
		return origins
	}
	for _, known := range origins {
		if known.Equal(of) {
			return origins
		}
	}
	return append(origins, of)
}

func (c *Consumer) startSpans(ctx context.Context, p *pending, origins []trace.SpanContext) (context.Context, flushSpans) {
	begin := time.Now()
	start := func(ctx context.Context, below trace.SpanContext, links []trace.Link) (context.Context, trace.Span) {
		return c.opts.Tracer.Start(trace.ContextWithRemoteSpanContext(ctx, below), "flush", trace.WithTimestamp(begin), trace.WithLinks(links...),
			trace.WithSpanKind(trace.SpanKindConsumer),
			trace.WithAttributes(attribute.Int("records", len(p.records)), attribute.Int("rows", p.rows.rows()), attribute.String("correlation_id", correlation.ID(ctx))))
	}
	links := make([]trace.Link, len(origins))
	for i, of := range origins {
		links[i] = trace.Link{SpanContext: of}
	}
	inner, first := start(ctx, origins[0], links)
	spans := flushSpans{first}
	seen := map[trace.TraceID]struct{}{origins[0].TraceID(): {}}
	for _, of := range origins[1:] {
		if _, known := seen[of.TraceID()]; !known {
			seen[of.TraceID()] = struct{}{}
			_, other := start(ctx, of, []trace.Link{{SpanContext: first.SpanContext()}})
			spans = append(spans, other)
		}
	}
	return inner, spans
}

// end ends the spans.
func (s flushSpans) end(err error) {
	for _, span := range s {
		correlation.End(span, err)
	}
}
