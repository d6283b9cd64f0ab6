package erasure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant"
	"github.com/metricstream/metricstream/tenant/auth"
	"github.com/metricstream/metricstream/tenant/db"
)

// Requests is where requests are put, see [db.DB].
type Requests interface {
	CreateErasure(ctx context.Context, by db.Actor, e db.Erasure) (db.Erasure, error)
	DeleteTenant(ctx context.Context, by db.Actor, id, reason string) (db.Erasure, error)
	Erasures(ctx context.Context, by db.Actor, limit int) ([]db.Erasure, error)
	Erasure(ctx context.Context, by db.Actor, id string) (db.Erasure, error)
}

// API is what is asked over HTTP. Package auth lets requests in.
type API struct {
	requests Requests
	logger   *slog.Logger
}

// NewAPI returns the API over a database.
func NewAPI(r Requests, logger *slog.Logger) *API { return &API{r, logger} }

// Endpoint is one endpoint with what a key needs for it.
type Endpoint struct {
	Pattern string // as for [http.ServeMux]
	Need    auth.Need
	Handler http.Handler
}

// prefixes are where Prometheus' own endpoints are.
var prefixes = []string{"", "/prometheus"}

// Endpoints returns all endpoints.
func (a *API) Endpoints() []Endpoint {
	e := func(pattern string, need auth.Need, h func(*http.Request) (any, error)) Endpoint {
		return Endpoint{pattern, need, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.answer(w, r, h) })}
	}
	all := []Endpoint{
		e("GET /api/v1/admin/erasures", auth.Admin, a.list),
		e("POST /api/v1/admin/erasures", auth.Admin, a.create),
		e("GET /api/v1/admin/erasures/{id}", auth.Admin, a.one),
		e("DELETE /api/v1/admin/tenants/{id}", auth.Operator, a.deleteTenant),
	}
	for _, prefix := range prefixes {
		for _, method := range []string{http.MethodPost, http.MethodPut} {
			all = append(all,
				Endpoint{method + " " + prefix + "/api/v1/admin/tsdb/delete_series", auth.Admin, http.HandlerFunc(a.deleteSeries)},
				Endpoint{method + " " + prefix + "/api/v1/admin/tsdb/clean_tombstones", auth.Admin, http.HandlerFunc(cleanTombstones)})
		}
	}
	return all
}

// deleteSeries is Prometheus' endpoint. What it asks for is accepted when it answers, and done a little later: Location
// says where to look.
func (a *API) deleteSeries(w http.ResponseWriter, r *http.Request) {
	e, err := a.deletion(r)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	w.Header().Set("Location", "/api/v1/admin/erasures/"+e.ID)
	w.WriteHeader(http.StatusNoContent)
}

func (a *API) deletion(r *http.Request) (db.Erasure, error) {
	if err := r.ParseForm(); err != nil {
		return db.Erasure{}, store.Invalidf("cannot read the form: %w", err)
	}
	id, err := tenant.FromRequest(r)
	if err != nil {
		return db.Erasure{}, store.Invalidf("%w", err)
	}
	e := db.Erasure{Tenant: id, Selectors: r.Form["match[]"], Reason: "delete_series"}
	if len(e.Selectors) == 0 {
		return e, store.Invalidf("no match[] parameter provided")
	}
	for name, to := range map[string]*time.Time{"start": &e.Start, "end": &e.End} {
		if *to, err = parseTime(r.FormValue(name)); err != nil {
			return e, store.Invalidf("%s: %w", name, err)
		}
	}
	return a.requests.CreateErasure(r.Context(), auth.ActorFrom(r.Context()), e)
}

// cleanTombstones has nothing to do: what is erased is gone.
func cleanTombstones(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// parseTime reads a time as Prometheus does, Unix seconds or RFC 3339; nothing is the zero time.
func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && !math.IsNaN(f) {
		// Prometheus' own clients write the least and the greatest time so.
		const most = 1e12
		f = max(-most, min(f, most))
		seconds, rest := math.Modf(f)
		return time.Unix(int64(seconds), int64(math.Round(rest*1000))*int64(time.Millisecond)).UTC(), nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return t, fmt.Errorf("%q is neither a time such as 2026-08-01T00:00:00Z nor Unix seconds", s)
	}
	return t.UTC(), nil
}

// NewErasure is the body of a request for an erasure.
type NewErasure struct {
	// Tenant is the one that the request is for, where it is left out.
	Tenant string `json:"tenant"`

	// Selectors choose the series, each of them.
	Selectors []string `json:"selectors"`

	// Start and End are RFC 3339 or Unix seconds; left out, they are no bound.
	Start string `json:"start,omitempty"`
	End   string `json:"end,omitempty"`

	Reason string `json:"reason"`
}

func (a *API) create(r *http.Request) (any, error) {
	var n NewErasure
	if err := decode(r, &n); err != nil {
		return nil, err
	}
	e := db.Erasure{Tenant: n.Tenant, Selectors: n.Selectors, Reason: n.Reason}
	var err error
	if n.Reason == "" {
		return nil, store.Invalidf("reason: is empty; it is for the report and the audit log")
	}
	if n.Tenant == "" {
		if e.Tenant, err = tenant.FromRequest(r); err != nil {
			return nil, store.Invalidf("%w", err)
		}
	} else if err := tenant.Validate(n.Tenant); err != nil {
		return nil, store.Invalidf("tenant: %w", err)
	}
	if e.Start, err = parseTime(n.Start); err != nil {
		return nil, store.Invalidf("start: %w", err)
	}
	if e.End, err = parseTime(n.End); err != nil {
		return nil, store.Invalidf("end: %w", err)
	}
	return a.requests.CreateErasure(r.Context(), auth.ActorFrom(r.Context()), e)
}

const (
	maxListed = 1000
	maxBody   = 256 << 10
)

func (a *API) list(r *http.Request) (any, error) {
	return a.requests.Erasures(r.Context(), auth.ActorFrom(r.Context()), maxListed)
}

func (a *API) one(r *http.Request) (any, error) {
	return a.requests.Erasure(r.Context(), auth.ActorFrom(r.Context()), r.PathValue("id"))
}

func (a *API) deleteTenant(r *http.Request) (any, error) {
	return a.requests.DeleteTenant(r.Context(), auth.ActorFrom(r.Context()), r.PathValue("id"), "the tenant is deleted")
}

// decode reads a body. Pages of other sites cannot send this content type without leave.
func decode(r *http.Request, to any) error {
	if r.Header.Get("Content-Type") != "application/json" {
		return store.Invalidf("Content-Type: is %q, has to be application/json", r.Header.Get("Content-Type"))
	}
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return store.Invalidf("cannot read the body: %w", err)
	}
	return nil
}

// statusOf is the table from errors to statuses.
func statusOf(err error) (code int, typ string) {
	switch {
	case errors.Is(err, db.ErrNotFound):
		return http.StatusNotFound, "not_found"
	case errors.Is(err, db.ErrForbidden):
		return http.StatusForbidden, "forbidden"
	}
	switch store.KindOf(err) {
	case store.KindInvalid:
		return http.StatusBadRequest, "bad_data"
	case store.KindLimit:
		return http.StatusUnprocessableEntity, "execution"
	default:
		return http.StatusServiceUnavailable, "unavailable"
	}
}

// answer writes the envelope of the Prometheus API.
func (a *API) answer(w http.ResponseWriter, r *http.Request, h func(*http.Request) (any, error)) {
	data, err := h(r)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": data}) // a client that is gone hears nothing
}

func (a *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	code, typ := statusOf(err)
	text := err.Error()
	if code == http.StatusServiceUnavailable {
		a.logger.ErrorContext(r.Context(), "cannot answer a request of the administration", "path", r.URL.Path, "err", err)
		text = "the metadata database does not answer; try again later" // the log says why, with hosts and users
		w.Header().Set("Retry-After", "5")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "error", "errorType": typ, "error": text})
}
