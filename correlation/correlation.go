// Package correlation owns what ties together all that is done for one request: its id and its span, as they travel in
// contexts and appear in log lines. It leaves to its callers how both get from one process to another, and whether
// anything is traced at all.
package correlation

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Header is the HTTP header that carries the id of a request, both ways.
const Header = "X-Correlation-ID"

// maxBytes is how long an id may be: it is repeated in log lines, in records of the log and in statements.
const maxBytes = 128

// Valid reports whether an id that somebody else made can be used: 1 to 128 printable characters of ASCII without
// spaces, quotes, backslashes and commas, so that it needs no escaping anywhere and ids can be listed.
func Valid(id string) bool {
	if id == "" || len(id) > maxBytes {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case c <= ' ' || c >= 0x7f, c == '"', c == '\'', c == '\\', c == ',', c == '`':
			return false
		}
	}
	return true
}

// FromRequest returns the id of a request: the one that the client gave, else that of the trace that the context or the
// client's traceparent names, else a new one. An id that is not [Valid] counts as none.
func FromRequest(r *http.Request) string {
	if id := r.Header.Get(Header); Valid(id) {
		return id
	}
	span := trace.SpanContextFromContext(r.Context())
	if !span.IsValid() && r.Header.Get("traceparent") != "" {
		ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(r.Header))
		span = trace.SpanContextFromContext(ctx)
	}
	if span.HasTraceID() {
		return span.TraceID().String()
	}
	return newID()
}

// newID returns a random id in the form of a trace's. Nothing is protected by it, so the fast generator does.
func newID() string {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], rand.Uint64())
	binary.BigEndian.PutUint64(raw[8:], rand.Uint64())
	return hex.EncodeToString(raw[:])
}

type contextKey struct{}

// WithID returns a context of the request with the id.
func WithID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, contextKey{}, id)
}

// ID returns the id of the context's request, empty where there is none. Where one piece of work is for several
// requests it is a list of ids, see [List].
func ID(ctx context.Context) string {
	id, _ := ctx.Value(contextKey{}).(string)
	return id
}
