package tracing

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// receiver is a collector that can refuse.
func receiver(t *testing.T) (endpoint string, names func() string, status *atomic.Int32) {
	t.Helper()
	var got atomic.Value
	got.Store("")
	status = &atomic.Int32{}
	status.Store(200)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &request); err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		if code := int(status.Load()); code != 200 {
			w.WriteHeader(code)
			return
		}
		for _, resource := range request.ResourceSpans {
			for _, a := range resource.Resource.Attributes {
				if a.Key == "service.name" {
					got.Store(got.Load().(string) + " " + a.Value.GetStringValue())
				}
			}
			for _, scope := range resource.ScopeSpans {
				for _, span := range scope.Spans {
					got.Store(got.Load().(string) + " " + span.Name)
				}
			}
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), func() string { return got.Load().(string) }, status
}

func TestExport(t *testing.T) {
	endpoint, names, status := receiver(t)
	for _, c := range []struct {
		status                  int
		ended, exported, failed float64
		want                    string
	}{
		{200, 1, 1, 0, " metricstream-receiver one"},
		{400, 1, 0, 1, ""},
	} {
		status.Store(int32(c.status))
		r := prometheus.NewRegistry()
		e, err := New(t.Context(), Config{Endpoint: endpoint, SampleRatio: 1, Insecure: true}, Options{Role: "receiver", Logger: slog.New(slog.DiscardHandler), Registerer: r})
		if err != nil {
			t.Fatal(err)
		}
		_, span := e.Tracer().Start(t.Context(), "one")
		span.End()
		if err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
		m := e.counted.metrics
		if a, b, d := testutil.ToFloat64(m.ended), testutil.ToFloat64(m.exported), testutil.ToFloat64(m.failed); a != c.ended || b != c.exported || d != c.failed {
			t.Errorf("status %d: ended %v, exported %v, failed %v", c.status, a, b, d)
		}
		if c.want != "" && names() != c.want {
			t.Errorf("got %q, want %q", names(), c.want)
		}
	}
}

// TestSampling: the ratio decides only where nobody else did.
func TestSampling(t *testing.T) {
	e, err := New(t.Context(), Config{Endpoint: "127.0.0.1:1", Insecure: true}, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	_, span := e.Tracer().Start(t.Context(), "never")
	if span.IsRecording() {
		t.Error("sample_ratio 0 records")
	}
	_ = e.Close(t.Context())

	t.Setenv("OTEL_TRACES_SAMPLER", "always_on")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	e, err = New(t.Context(), Config{}, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil || e == nil {
		t.Fatalf("the variable does not stand for the endpoint: %v", err)
	}
	if _, span = e.Tracer().Start(t.Context(), "always"); !span.IsRecording() {
		t.Error("OTEL_TRACES_SAMPLER is not honoured")
	}
	_ = e.Close(t.Context())
}

func TestOff(t *testing.T) {
	e, err := New(t.Context(), DefaultConfig(), Options{})
	if e != nil || err != nil || e.Tracer() != nil || e.Close(t.Context()) != nil {
		t.Errorf("%v, %v", e, err)
	}
	e.ServeGlobal()
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for want, c := range map[string]Config{
		"tracing.endpoint":     {Endpoint: "http://jaeger"},
		"tracing.sample_ratio": {SampleRatio: 1.5},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
