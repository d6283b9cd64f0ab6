package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/util/annotations"

	"github.com/metricstream/metricstream/correlation"
	"github.com/metricstream/metricstream/tenant"
	"github.com/metricstream/metricstream/tenant/limits"
)

// maxFormBytes limits the body of a POST, as net/http does on its own.
const maxFormBytes = 10 << 20

// maxAnnotations of each kind are shown in a response.
const maxAnnotations = 10

// result is what a handler returns.
type result struct {
	// data is nil for 204 No Content.
	data     payload
	warnings annotations.Annotations

	// explain, where not nil, stands beside the data.
	explain payload

	// release, where not nil, is called when data has been written.
	release func()
}

type handler func(r *http.Request) (result, error)

// endpoint is a path below /api/v1 with the methods that it answers.
type endpoint struct {
	get, post bool
	handle    handler

	// serve, where not nil, answers instead of handle and does everything itself.
	serve http.HandlerFunc
}

func (e endpoint) allows(method string) bool {
	return method == http.MethodGet && e.get || method == http.MethodPost && e.post
}

func (e endpoint) methods() string {
	var ms []string
	if e.get {
		ms = append(ms, http.MethodGet)
	}
	if e.post {
		ms = append(ms, http.MethodPost)
	}
	return strings.Join(append(ms, http.MethodOptions), ", ")
}

// run calls a handler and writes its response.
func (a *API) run(w http.ResponseWriter, r *http.Request, h handler) {
	if r.Body != nil {
		r.Body = http.MaxBytesReader(w, r.Body, maxFormBytes)
	}
	if err := r.ParseForm(); err != nil {
		a.respondError(w, r, badRequest(fmt.Errorf("error parsing form values: %w", err)))
		return
	}
	ctx, cancel := a.withTimeout(r.Context())
	defer cancel()
	r = r.WithContext(ctx)
	res, err := h(r)
	if res.release != nil {
		defer res.release()
	}
	switch {
	case err != nil:
		a.respondError(w, r, err)
	case res.data == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		a.respond(w, r, res)
	}
}

func (a *API) respond(w http.ResponseWriter, r *http.Request, res result) {
	_, span := correlation.Span(r.Context(), "encode")
	defer span.End()
	warnings, infos := res.warnings.AsStrings(r.FormValue("query"), maxAnnotations, maxAnnotations)
	w.Header().Set("Content-Type", "application/json")
	e := newEncoder(w)
	e.raw(`{"status":"success","data":`)
	if err := res.data.encode(e); err != nil {
		// Payloads that can fail do so before anything of them was sent: the status is still ours to choose.
		e.buf = e.buf[:0]
		_ = e.close()
		a.respondError(w, r, &apiError{internal, fmt.Errorf("cannot encode the response: %w", err)})
		return
	}
	if res.explain != nil {
		e.raw(`,"explain":`)
		_ = res.explain.encode(e) // strings and numbers only: cannot fail
	}
	if len(warnings) > 0 {
		e.raw(`,"warnings":`)
		_ = stringsData(warnings).encode(e)
	}
	if len(infos) > 0 {
		e.raw(`,"infos":`)
		_ = stringsData(infos).encode(e)
	}
	e.raw(`}`)
	if err := e.close(); err != nil {
		a.Logger.DebugContext(r.Context(), "cannot write a response", "path", r.URL.Path, "err", err)
	}
}

func (a *API) respondError(w http.ResponseWriter, r *http.Request, err error) {
	e := a.judge(r, err)
	e.setHeaders(w)
	a.writeError(w, e.typ.code(), e)
}

// judge classifies an error, counts the limits that were hit and tells the operator of what is not the client's
// fault.
func (a *API) judge(r *http.Request, err error) *apiError {
	e := nameDuration(r.Context(), classify(err))
	if name := limitOf(e); name != "" {
		a.metrics.limits.WithLabelValues(name).Inc()
	}
	if e.typ == unavailable || e.typ == internal {
		a.Logger.ErrorContext(r.Context(), "cannot answer a request", "path", r.URL.Path, "tenant", tenant.FromContext(r.Context()), "err", e.err)
	}
	return e
}

func (a *API) writeError(w http.ResponseWriter, code int, e *apiError) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	b := append([]byte(nil), `{"status":"error","errorType":`...)
	b = appendString(b, string(e.typ))
	b = append(b, `,"error":`...)
	b = appendString(b, e.err.Error())
	b = append(b, '}')
	if _, err := w.Write(b); err != nil {
		a.Logger.Debug("cannot write an error response", "err", err)
	}
}

// statusWriter remembers the status for the metric.
type statusWriter struct {
	http.ResponseWriter
	code int
}

func (w *statusWriter) WriteHeader(code int) {
	if w.code == 0 {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController find the writer below.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *statusWriter) status() string {
	if w.code == 0 {
		return "200"
	}
	return strconv.Itoa(w.code)
}

// observe measures one request.
func (a *API) observe(name string, w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) {
	start := time.Now()
	sw := &statusWriter{ResponseWriter: w}
	nameSpan(r, name)
	defer func() {
		a.metrics.duration.WithLabelValues(name, sw.status()).Observe(time.Since(start).Seconds())
	}()
	serve(sw, r)
}

// withTenant puts the request's tenant, or the name of several, in its context, and what it is held to.
func (a *API) withTenant(r *http.Request) (*http.Request, error) {
	id, err := tenant.FromReadRequest(r)
	if err != nil {
		return r, badRequest(err)
	}
	ctx := tenant.NewContext(r.Context(), id)
	return r.WithContext(limits.NewContext(ctx, a.grant(ctx, id))), nil
}
