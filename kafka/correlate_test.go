package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/IBM/sarama"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/metricstream/metricstream/correlation"
	"github.com/metricstream/metricstream/store"
)

// caught is a log that keeps what is sent.
type caught struct {
	sarama.SyncProducer
	messages []*sarama.ProducerMessage
}

func (c *caught) SendMessages(ms []*sarama.ProducerMessage) error {
	for _, m := range ms {
		one := *m
		one.Headers = slices.Clone(m.Headers)
		c.messages = append(c.messages, &one)
	}
	return nil
}

// consumed are the messages as a consumer gets them.
func (c *caught) consumed() []*sarama.ConsumerMessage {
	var all []*sarama.ConsumerMessage
	for _, m := range c.messages {
		value, _ := m.Value.Encode()
		one := &sarama.ConsumerMessage{Partition: m.Partition, Value: value}
		for _, h := range m.Headers {
			one.Headers = append(one.Headers, &h)
		}
		all = append(all, one)
	}
	return all
}

func TestRecordsNameTheirRequest(t *testing.T) {
	log := &caught{}
	p := NewProducer(DefaultConfig(), log, ProducerOptions{Partitions: 4})
	provider := sdk.NewTracerProvider()
	for _, id := range []string{"", "order-1", "order-2"} {
		ctx := t.Context()
		if id != "" {
			ctx = correlation.WithID(ctx, id)
		}
		want := ""
		if id == "order-2" {
			inner, span := provider.Tracer("").Start(ctx, "request")
			ctx, want = inner, span.SpanContext().TraceID().String()
		}
		log.messages = nil
		if err := p.Write(ctx, batchOf(50, 1_700_000_000_000)); err != nil {
			t.Fatal(err)
		}
		if len(log.messages) != 4 {
			t.Fatalf("%d records", len(log.messages))
		}
		for _, m := range log.consumed() {
			if got := string(headerOf(m, HeaderCorrelation)); got != id {
				t.Errorf("the id is %q, want %q", got, id)
			}
			if got := string(headerOf(m, HeaderTrace)); want == "" && got != "" || want != "" && (len(got) != 55 || got[3:35] != want) {
				t.Errorf("traceparent is %q, want %q", got, want)
			}
		}
	}
}

// flushed runs one flush of records in the spans of requests, and returns the spans.
func flushed(t *testing.T, write store.WriterFunc, contexts []context.Context, spans *tracetest.InMemoryExporter, provider *sdk.TracerProvider) tracetest.SpanStubs {
	t.Helper()
	log := &caught{}
	p := NewProducer(DefaultConfig(), log, ProducerOptions{Partitions: 2})
	for _, ctx := range contexts {
		if err := p.Write(ctx, batchOf(10, 1_700_000_000_000)); err != nil {
			t.Fatal(err)
		}
	}
	spans.Reset()
	c := NewConsumer(DefaultConfig(), ConsumerOptions{Writer: write, Tracer: provider.Tracer(correlation.Scope)})
	batch := &pending{records: log.consumed()}
	ctx, of := c.correlate(t.Context(), batch)
	of.end(c.writeBatch(ctx, batch))
	return spans.GetSpans()
}

func TestFlushSpans(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(spans))
	var contexts []context.Context
	for i := range 3 {
		ctx, _ := provider.Tracer("").Start(correlation.WithID(t.Context(), fmt.Sprint("r", i)), "request")
		contexts = append(contexts, ctx)
	}
	var once sync.Once
	var ids string
	write := store.WriterFunc(func(ctx context.Context, _ *store.Batch) error {
		once.Do(func() {
			ids = correlation.ID(ctx)
			_, span := correlation.Span(ctx, "insert")
			span.End()
		})
		return nil
	})
	got := flushed(t, write, contexts, spans, provider)
	if ids != "r0,r1,r2" {
		t.Errorf("the writer's id is %q", ids)
	}
	byTrace := map[string][]string{}
	for _, span := range got {
		trace := span.SpanContext.TraceID().String()
		byTrace[trace] = append(byTrace[trace], fmt.Sprintf("%s of %d requests' spans", span.Name, len(span.Links)))
		if span.Name == "flush" && !span.Parent.IsRemote() {
			t.Errorf("%s is not below the span of a request", span.Name)
		}
	}
	if len(got) != 4 || len(byTrace) != 3 {
		t.Errorf("%d spans in %d traces: %v", len(got), len(byTrace), byTrace)
	}
	// Each of the three requests has one span of "produce" for its two records, so the first flush has three links.
	first := byTrace[got[0].SpanContext.TraceID().String()]
	if !slices.Equal(first, []string{"insert of 0 requests' spans", "flush of 3 requests' spans"}) {
		t.Errorf("the first trace has %v", first)
	}
}

// TestFlushWithoutTraces: records of requests that nobody records make no spans.
func TestFlushWithoutTraces(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(spans))
	none := store.WriterFunc(func(context.Context, *store.Batch) error { return nil })
	if got := flushed(t, none, []context.Context{correlation.WithID(t.Context(), "a")}, spans, provider); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestFailedFlushSpan(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(spans))
	ctx, _ := provider.Tracer("").Start(t.Context(), "request")
	failing := store.WriterFunc(func(context.Context, *store.Batch) error { return errRestored })
	got := flushed(t, failing, []context.Context{ctx}, spans, provider)
	if len(got) != 1 || got[0].Status.Description != errRestored.Error() {
		t.Errorf("got %+v", got)
	}
}

// TestDeadLetterNamesItsRequest also holds for an id that somebody else wrote into the log.
func TestDeadLetterNamesItsRequest(t *testing.T) {
	for id, want := range map[string]string{"order-1": "order-1", "not an id": ""} {
		letters := &caughtLetter{}
		c := NewConsumer(DefaultConfig(), ConsumerOptions{DeadLetter: letters})
		m := &sarama.ConsumerMessage{Headers: []*sarama.RecordHeader{{Key: []byte(HeaderCorrelation), Value: []byte(id)}}}
		if err := c.deadLetter(t.Context(), m, errors.New("unreadable")); err != nil {
			t.Fatal(err)
		}
		back := &sarama.ConsumerMessage{}
		for _, h := range letters.last.Headers {
			back.Headers = append(back.Headers, &h)
		}
		if l := letterOf(back); l.CorrelationID != want || l.Error != "unreadable" {
			t.Errorf("%q: %+v", id, l)
		}
	}
}

type caughtLetter struct {
	sarama.SyncProducer
	last *sarama.ProducerMessage
}

func (c *caughtLetter) SendMessage(m *sarama.ProducerMessage) (int32, int64, error) {
	c.last = m
	return 0, 0, nil
}

// BenchmarkCorrelatedProducer measures what a request costs until it is sent, without a log behind it: without an id, as before
// there were any; with one, as every request has; and traced.
func BenchmarkCorrelatedProducer(b *testing.B) {
	traced, _ := sdk.NewTracerProvider().Tracer("").Start(correlation.WithID(b.Context(), "0123456789abcdef0123456789abcdef"), "request")
	for _, c := range []struct {
		name string
		ctx  context.Context
	}{
		{"plain", b.Context()},
		{"id", correlation.WithID(b.Context(), "0123456789abcdef0123456789abcdef")},
		{"traced", traced},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := NewProducer(DefaultConfig(), discarding{}, ProducerOptions{Partitions: 16})
			batch := batchOf(2000, 1_700_000_000_000)
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Write(c.ctx, batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

type discarding struct{ sarama.SyncProducer }

func (discarding) SendMessages([]*sarama.ProducerMessage) error { return nil }
