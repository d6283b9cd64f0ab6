package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/prometheus/prometheus/promql"

	"github.com/metricstream/metricstream/promql/fair"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant/limits"
)

// errorType is the machine-readable half of an error response.
type errorType string

const (
	badData     errorType = "bad_data"
	execution   errorType = "execution"
	canceled    errorType = "canceled"
	timeout     errorType = "timeout"
	internal    errorType = "internal"
	notFound    errorType = "not_found"
	unavailable errorType = "unavailable"
	tooMany     errorType = "too_many_requests"
)

// statusClientClosed is nginx' code for a client that went away.
const statusClientClosed = 499

// code is the status of an error response. Grafana reads the message only of 400, 422 and 503.
func (t errorType) code() int {
	switch t {
	case badData:
		return http.StatusBadRequest
	case execution:
		return http.StatusUnprocessableEntity
	case canceled:
		return statusClientClosed
	case internal:
		return http.StatusInternalServerError
	case notFound:
		return http.StatusNotFound
	case tooMany:
		return http.StatusTooManyRequests
	default: // timeout, unavailable
		return http.StatusServiceUnavailable
	}
}

// queueTimeout is the engine's error for a query whose turn did not come in time.
const queueTimeout = promql.ErrQueryTimeout("query queue")

// apiError is an error whose type is known.
type apiError struct {
	typ errorType
	err error
}

func (e *apiError) Error() string { return string(e.typ) + ": " + e.err.Error() }
func (e *apiError) Unwrap() error { return e.err }

// retryAfterSeconds is when a client may try again that found the queue full, or whose answer was not there in time.
const retryAfterSeconds = "5"

func (e *apiError) setHeaders(w http.ResponseWriter) {
	if code := e.typ.code(); code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfterSeconds)
	}
}

func badRequest(err error) error { return &apiError{badData, err} }

func invalidParam(name string, err error) error {
	return badRequest(fmt.Errorf("invalid parameter %q: %w", name, err))
}

// storeError is for an error that a reader returned, with the names of the limits that it is about. Where the request's own context has ended, that is the
// reason, whatever the reader made of it.
func (a *API) storeError(ctx context.Context, err error) *apiError {
	err = a.reading(ctx).Name(err)
	ended := ctx.Err()
	switch {
	case errors.Is(ended, context.DeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return &apiError{timeout, err}
	case ended != nil, errors.Is(err, context.Canceled):
		return &apiError{canceled, err}
	}
	return &apiError{kindType(err), err}
}

func kindType(err error) errorType {
	switch store.KindOf(err) {
	case store.KindLimit:
		return execution
	case store.KindInvalid:
		return badData
	default:
		return unavailable
	}
}

// classify is the table from errors to types. An error of the engine that is none of the engine's kinds, nor of
// the store's, is a fault of the query, such as two series for one label set.
func classify(err error) *apiError {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e
	}
	if _, ok := errors.AsType[*fair.FullError](err); ok {
		return &apiError{tooMany, err}
	}
	if _, ok := errors.AsType[promql.ErrQueryCanceled](err); ok {
		return &apiError{canceled, err}
	}
	if _, ok := errors.AsType[promql.ErrQueryTimeout](err); ok {
		return &apiError{timeout, err}
	}
	if e, ok := errors.AsType[promql.ErrStorage](err); ok {
		return &apiError{kindType(e.Err), err}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &apiError{timeout, err}
	}
	if errors.Is(err, context.Canceled) {
		return &apiError{canceled, err}
	}
	if store.KindOf(err) == store.KindInvalid {
		return &apiError{badData, err}
	}
	return &apiError{execution, err}
}

// limitOf names the limit that ended a request, for a metric; empty where it was none.
func limitOf(err error) string {
	if r, ok := errors.AsType[*limits.Reached](err); ok {
		return strings.TrimPrefix(r.Limit, "query.")
	}
	if _, ok := errors.AsType[*fair.FullError](err); ok {
		return "queue"
	}
	if t, ok := errors.AsType[promql.ErrQueryTimeout](err); ok && t == queueTimeout {
		return "concurrency"
	}
	if _, ok := errors.AsType[promql.ErrTooManySamples](err); ok {
		return "max_samples"
	}
	if store.KindOf(err) == store.KindLimit {
		return "limit"
	}
	return ""
}
