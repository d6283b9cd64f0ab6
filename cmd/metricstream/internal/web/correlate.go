package web

import (
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/metricstream/metricstream/correlation"
)

// Trace makes spans of requests, but not of those for health, metrics and profiles. It is called before Run; a nil
// tracer makes none.
func (s *Server) Trace(t trace.Tracer) { s.tracer = t }

// correlate gives every request its id, which every answer repeats, refusals too.
func (s *Server) correlate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.tracer != nil && traced(r.URL.Path) {
			s.serveTraced(next, w, r)
			return
		}
		next.ServeHTTP(w, identified(w, r))
	})
}

// identified returns the request with its id in the context, and puts it into the answer's header.
func identified(w http.ResponseWriter, r *http.Request) *http.Request {
	id := correlation.FromRequest(r)
	w.Header().Set(correlation.Header, id)
	return r.WithContext(correlation.WithID(r.Context(), id))
}

func traced(path string) bool {
	return path != "/metrics" && !strings.Contains(path, "/-/") && !strings.HasPrefix(path, "/debug/")
}

// serveTraced serves a request in a span, below the client's where there is one.
func (s *Server) serveTraced(next http.Handler, w http.ResponseWriter, r *http.Request) {
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := s.tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer))
	defer span.End()
	r = identified(w, r.WithContext(ctx))
	if !span.IsRecording() {
		next.ServeHTTP(w, r)
		return
	}
	span.SetAttributes(
		attribute.String("http.request.method", r.Method), attribute.String("url.path", r.URL.Path),
		attribute.String("correlation_id", correlation.ID(r.Context())),
	)
	sw := &statusWriter{ResponseWriter: w, code: http.StatusOK}
	next.ServeHTTP(sw, r)
	span.SetAttributes(attribute.Int("http.response.status_code", sw.code))
	if sw.code >= 500 {
		span.SetStatus(codes.Error, "")
	}
	// The routers wrote the pattern into the request. Below one that is a whole tree, who serves it names the span.
	if route := r.Pattern[strings.IndexByte(r.Pattern, '/')+1:]; route != "" && !strings.HasSuffix(route, "/") {
		span.SetName(r.Method + " /" + route)
		span.SetAttributes(attribute.String("http.route", "/"+route))
	}
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	code int
}

func (w *statusWriter) WriteHeader(code int) {
	w.code = code
	w.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController find the writer below.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
