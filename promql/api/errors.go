package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/prometheus/promql"

	"github.com/metricstream/metricstream/store"
)

// errorType is the machine-readable half of an error response.
type errorType string

const (
	badData     errorType = "bad_data"
	execution   errorType = "execution"
	canceled    errorType = "canceled"
	timeout     errorType = "timeout"
	notFound    errorType = "not_found"
	unavailable errorType = "unavailable"
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
	case notFound:
		return http.StatusNotFound
	default: // timeout, unavailable
		return http.StatusServiceUnavailable
	}
}

// apiError is an error whose type is known.
type apiError struct {
	typ errorType
	err error
}

func (e *apiError) Error() string { return string(e.typ) + ": " + e.err.Error() }
func (e *apiError) Unwrap() error { return e.err }

func badRequest(err error) error { return &apiError{badData, err} }

func invalidParam(name string, err error) error {
	return badRequest(fmt.Errorf("invalid parameter %q: %w", name, err))
}

// storageError marks what the store returned, so that it can be told from the engine's own errors.
type storageError struct{ err error }

func (e *storageError) Error() string { return e.err.Error() }
func (e *storageError) Unwrap() error { return e.err }

func fromStore(err error) error {
	if err == nil {
		return nil
	}
	return &storageError{err}
}

// classify is the one table from errors to types.
func classify(err error) *apiError {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e
	}
	if _, ok := errors.AsType[promql.ErrQueryCanceled](err); ok {
		return &apiError{canceled, err}
	}
	if _, ok := errors.AsType[promql.ErrQueryTimeout](err); ok {
		return &apiError{timeout, err}
	}
	_, tagged := errors.AsType[*storageError](err)
	_, wrapped := errors.AsType[promql.ErrStorage](err)
	kind := store.KindOf(err)
	switch {
	case errors.Is(err, context.Canceled):
		return &apiError{canceled, err}
	case errors.Is(err, context.DeadlineExceeded):
		return &apiError{timeout, err}
	case kind == store.KindLimit:
		return &apiError{execution, err}
	case kind == store.KindInvalid:
		return &apiError{badData, err}
	case tagged || wrapped:
		return &apiError{unavailable, err}
	default:
		return &apiError{execution, err}
	}
}

func isLimit(err error) bool { return store.KindOf(err) == store.KindLimit }
