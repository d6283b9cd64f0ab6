package admin

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant"
	"github.com/metricstream/metricstream/tenant/auth"
	"github.com/metricstream/metricstream/tenant/db"
)

// prefixes are where Prometheus' own endpoints are.
var prefixes = []string{"", "/prometheus"}

// erasureEndpoints are those by which data is erased, Prometheus' own among them.
func (a *API) erasureEndpoints() []Endpoint {
	all := []Endpoint{
		a.endpoint("GET /api/v1/admin/erasures", auth.Admin, a.erasures),
		a.endpoint("POST /api/v1/admin/erasures", auth.Admin, a.createErasure),
		a.endpoint("GET /api/v1/admin/erasures/{id}", auth.Admin, a.erasure),
		a.endpoint("DELETE /api/v1/admin/tenants/{id}", auth.Operator, a.deleteTenant),
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
	return a.db.CreateErasure(r.Context(), actor(r), e)
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

func (a *API) createErasure(r *http.Request) (any, error) {
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
	return a.db.CreateErasure(r.Context(), actor(r), e)
}

const maxErasures = 1000

func (a *API) erasures(r *http.Request) (any, error) {
	return a.db.Erasures(r.Context(), actor(r), maxErasures)
}

func (a *API) erasure(r *http.Request) (any, error) {
	return a.db.Erasure(r.Context(), actor(r), r.PathValue("id"))
}

func (a *API) deleteTenant(r *http.Request) (any, error) {
	return a.db.DeleteTenant(r.Context(), actor(r), r.PathValue("id"), "the tenant is deleted")
}
