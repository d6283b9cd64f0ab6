package correlation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

const traceparent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"

func TestFromRequest(t *testing.T) {
	for _, c := range []struct{ id, traceparent, want string }{
		{id: "order-4711/a:b", want: "order-4711/a:b"},
		{id: "order-4711", traceparent: traceparent, want: "order-4711"},
		{traceparent: traceparent, want: "0123456789abcdef0123456789abcdef"},
		{id: "with space", traceparent: traceparent, want: "0123456789abcdef0123456789abcdef"},
		{id: strings.Repeat("x", 128), want: strings.Repeat("x", 128)},
		// What cannot be used is not repeated anywhere; a new id is made.
		{id: strings.Repeat("x", 129)},
		{id: "a\nb"},
		{id: "a'); DROP TABLE samples --"},
		{id: "ä"},
		{traceparent: "00-00000000000000000000000000000000-0123456789abcdef-01"},
		{traceparent: "nonsense"},
		{},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if c.id != "" {
			r.Header.Set(Header, c.id)
		}
		if c.traceparent != "" {
			r.Header.Set("traceparent", c.traceparent)
		}
		got := FromRequest(r)
		switch {
		case c.want != "" && got != c.want:
			t.Errorf("%+v: %q", c, got)
		case c.want == "" && (len(got) != 32 || got == FromRequest(r)):
			t.Errorf("%+v: %q is not a new id each time", c, got)
		}
	}
}

func TestList(t *testing.T) {
	var l List
	for i := range 8 {
		for range 3 {
			l.Add([]byte(fmt.Sprint("id", i)))
		}
		l.Add([]byte("not an id"))
		l.Add(nil)
	}
	if got := l.String(); got != "id0,id1,id2,id3,id4,id5,id6,id7" {
		t.Errorf("got %s", got)
	}
	l.Add([]byte("id8"))
	l.Add([]byte("id9"))
	if got := l.String(); got != "id0,id1,id2,id3,id4,id5,id6,id7,..." {
		t.Errorf("got %s", got)
	}
	if got := new(List).String(); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestHandler(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(spans))
	var text bytes.Buffer
	logger := slog.New(NewHandler(slog.NewTextHandler(&text, nil))).With("with", 1)
	line := func(ctx context.Context) string {
		text.Reset()
		logger.InfoContext(ctx, "m")
		_, line, _ := strings.Cut(text.String(), "msg=m with=1")
		return strings.TrimSpace(line)
	}
	if got := line(t.Context()); got != "" {
		t.Errorf("without an id: %q", got)
	}
	ctx := WithID(t.Context(), "abc")
	if got := line(ctx); got != "correlation_id=abc" {
		t.Errorf("got %q", got)
	}
	ctx, span := provider.Tracer("").Start(ctx, "s")
	trace := span.SpanContext().TraceID().String()
	if got := line(ctx); got != "correlation_id=abc trace_id="+trace {
		t.Errorf("got %q", got)
	}
	if got := line(WithID(ctx, trace)); got != "correlation_id="+trace {
		t.Errorf("got %q", got)
	}
}

func TestSpan(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(spans))
	ctx, root := provider.Tracer(Scope).Start(t.Context(), "root")
	_, below := Span(ctx, "below")
	End(below, errors.New("it broke"))
	End(root, nil)
	_, later := Span(ctx, "later")
	later.End()
	got := spans.GetSpans()
	if len(got) != 3 || got[2].Parent.SpanID() != root.SpanContext().SpanID() || got[0].Name != "below" || got[0].Parent.SpanID() != root.SpanContext().SpanID() ||
		got[0].Status.Code != codes.Error || got[0].Status.Description != "it broke" || got[1].Status.Code != codes.Unset {
		t.Errorf("got %+v", got)
	}
}

// TestSpanIsFree: where nothing is traced, or not this request, a span costs no memory.
func TestSpanIsFree(t *testing.T) {
	unsampled, _ := sdk.NewTracerProvider(sdk.WithSampler(sdk.NeverSample())).Tracer("").Start(t.Context(), "root")
	for name, ctx := range map[string]context.Context{"off": WithID(t.Context(), "abc"), "not sampled": unsampled} {
		if n := testing.AllocsPerRun(100, func() {
			inner, span := Span(ctx, "below")
			if span.IsRecording() || inner != ctx {
				t.Error("it is recorded")
			}
			End(span, nil)
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
