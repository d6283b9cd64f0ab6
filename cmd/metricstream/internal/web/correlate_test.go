package web

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/metricstream/metricstream/correlation"
	"github.com/metricstream/metricstream/tenant/auth"
)

// serve answers one request as the server does.
func serve(s *Server, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	s.correlate(s.always).ServeHTTP(w, r)
	return w.Result()
}

func request(path string, header ...string) *http.Request {
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// withThings is a server with one endpoint that says what id its request has.
func withThings(guard *auth.Guard) *Server {
	s := New(Config{ReadTimeout: time.Minute}, guard, http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	mux := NewRouter(guard)
	mux.Handle("GET /api/v1/thing/{id}", auth.Read, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") == "broken" {
			w.WriteHeader(500)
		}
		io.WriteString(w, correlation.ID(r.Context()))
	}))
	s.Open(mux, nil)
	return s
}

func TestEveryAnswerHasAnID(t *testing.T) {
	locked := auth.New(auth.Config{Enabled: true}, auth.Options{})
	for _, c := range []struct {
		guard *auth.Guard
		path  string
		code  int
	}{
		{open(), "/api/v1/thing/1", 200},
		{open(), "/api/v1/nothing", 404},
		{open(), "/-/healthy", 200},
		{locked, "/api/v1/thing/1", 503},
		{locked, "/metrics", 503},
	} {
		s := withThings(c.guard)
		got := serve(s, request(c.path, "X-Correlation-ID", "abc"))
		if got.StatusCode != c.code || got.Header.Get("X-Correlation-ID") != "abc" {
			t.Errorf("%s: %d, %v", c.path, got.StatusCode, got.Header)
		}
		if made := serve(s, request(c.path)).Header.Get("X-Correlation-ID"); len(made) != 32 {
			t.Errorf("%s: made %q", c.path, made)
		}
	}
	body, _ := io.ReadAll(serve(withThings(open()), request("/api/v1/thing/1", "X-Correlation-ID", "abc")).Body)
	if string(body) != "abc" {
		t.Errorf("the handler's id is %q", body)
	}
}

func TestSpansOfRequests(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(spans), sdk.WithSampler(sdk.ParentBased(sdk.NeverSample())))
	s := withThings(open())
	s.Trace(provider.Tracer(correlation.Scope))
	sampled := "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
	for _, path := range []string{"/api/v1/thing/1", "/api/v1/thing/broken", "/-/ready", "/metrics", "/debug/pprof/"} {
		serve(s, request(path, "traceparent", sampled))
		serve(s, request(path)) // the client has not decided, and the ratio is 0
	}
	var got []string
	for _, span := range spans.GetSpans() {
		got = append(got, span.Name+" "+span.Status.Code.String()+" "+span.SpanContext.TraceID().String()+" "+span.Parent.SpanID().String())
	}
	want := []string{
		"GET /api/v1/thing/{id} Unset 0123456789abcdef0123456789abcdef 0123456789abcdef",
		"GET /api/v1/thing/{id} Error 0123456789abcdef0123456789abcdef 0123456789abcdef",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	// The trace is the id, where the client gave none.
	if id := serve(s, request("/api/v1/thing/1", "traceparent", sampled)).Header.Get("X-Correlation-ID"); id != "0123456789abcdef0123456789abcdef" {
		t.Errorf("got %q", id)
	}
}

// BenchmarkCorrelate measures what a request pays for its id, and nothing else, where nothing is traced.
func BenchmarkCorrelate(b *testing.B) {
	s := New(Config{ReadTimeout: time.Minute}, open(), http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	r := request("/api/v1/write")
	for name, h := range map[string]http.Handler{"without": nothing, "with": s.correlate(nothing)} {
		b.Run(name, func(b *testing.B) {
			w := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
}
