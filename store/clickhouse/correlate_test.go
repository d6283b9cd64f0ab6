package clickhouse_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/metricstream/metricstream/correlation"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse"
)

// TestStatementsNameTheirRequest looks at what the server itself sees of a statement.
func TestStatementsNameTheirRequest(t *testing.T) {
	s := open(t)
	for _, add := range []string{"samples", "series"} {
		if err := s.Exec(t.Context(), "ALTER TABLE "+add+" ADD COLUMN asked String DEFAULT getSetting('log_comment')"); err != nil {
			t.Fatal(err)
		}
	}
	ctx := correlation.WithID(t.Context(), "order-1,order-2")
	if err := s.Write(ctx, batchOf("t", 0, labels.FromStrings("__name__", "m"))); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"samples", "series"} {
		var got string
		if err := s.Scan(t.Context(), "SELECT any(asked) FROM "+table, &got); err != nil || got != "metricstream write correlation_id=order-1,order-2" {
			t.Errorf("%s: %q, %v", table, got, err)
		}
	}

	for want, ctx := range map[string]context.Context{
		"metricstream admin correlation_id=order-1,order-2": ctx, "metricstream admin": t.Context(), "metricstream erase correlation_id=order-1,order-2": clickhouse.Long(ctx),
	} {
		var got string
		if err := s.ScanSmall(ctx, "SELECT getSetting('log_comment')", &got); err != nil || got != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}

	ctx, cancel := context.WithCancel(correlation.WithID(t.Context(), "order-3"))
	ended := make(chan error, 1)
	go func() { ended <- s.Sleep(ctx) }()
	eventually(t, "the statement runs under its request's id", func() bool {
		var n uint64
		if err := s.Scan(t.Context(), "SELECT count() FROM system.processes WHERE Settings['log_comment'] = 'metricstream select sleep correlation_id=order-3'", &n); err != nil {
			t.Fatal(err)
		}
		return n == 1
	})
	cancel()
	<-ended
}

// TestStatementsAreSpans, with how many rows they had.
func TestStatementsAreSpans(t *testing.T) {
	s := open(t)
	spans := tracetest.NewInMemoryExporter()
	ctx, request := sdk.NewTracerProvider(sdk.WithSyncer(spans)).Tracer("").Start(t.Context(), "request")
	if err := s.Write(ctx, batchOf("t", 0, labels.FromStrings("__name__", "m"))); err != nil {
		t.Fatal(err)
	}
	sel := store.Selection{Tenant: "t", Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "m")}, MinMs: 0, MaxMs: 1 << 40}
	if err := s.Select(ctx, sel, func(*store.SeriesData) error { return nil }); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, span := range spans.GetSpans() {
		rows := ""
		for _, a := range span.Attributes {
			if a.Key == "rows" {
				rows = a.Value.String()
			}
		}
		if span.Parent.SpanID() != request.SpanContext().SpanID() {
			t.Errorf("%s is not right below the request", span.Name)
		}
		got = append(got, fmt.Sprint(span.Name, " ", rows))
	}
	for _, want := range []string{"insert series 1", "insert samples 1", "select series 1", "select samples 1"} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is not among %q", want, got)
		}
	}
}
