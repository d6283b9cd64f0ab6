// Package admin owns the HTTP API by which tenants, keys, users and limits are administered and data is erased, /api/v1/admin, and its description in
// OpenAPI. It leaves to package db what may be changed by whom, and to package auth who comes in.
package admin

import (
	"embed"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant/auth"
	"github.com/metricstream/metricstream/tenant/db"
	"github.com/prometheus/common/model"
)

// API answers requests that package auth has let in.
type API struct {
	db     *db.DB
	logger *slog.Logger
}

// New returns an API over a database.
func New(d *db.DB, logger *slog.Logger) *API { return &API{db: d, logger: logger} }

// Endpoint is one endpoint of the API with what a key needs for it.
type Endpoint struct {
	Pattern string // as for [http.ServeMux]
	Need    auth.Need
	Handler http.Handler
}

// handler returns the data of an answer.
type handler func(r *http.Request) (any, error)

// endpoint returns one that answers what h returns.
func (a *API) endpoint(pattern string, need auth.Need, h handler) Endpoint {
	return Endpoint{pattern, need, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.answer(w, r, h) })}
}

// Endpoints returns all endpoints.
func (a *API) Endpoints() []Endpoint {
	return slices.Concat([]Endpoint{
		a.endpoint("GET /api/v1/admin/tenants", auth.Admin, a.tenants),
		a.endpoint("POST /api/v1/admin/tenants", auth.Operator, a.createTenant),
		a.endpoint("GET /api/v1/admin/tenants/{id}", auth.Admin, a.tenant),
		a.endpoint("PATCH /api/v1/admin/tenants/{id}", auth.Operator, a.updateTenant),
		a.endpoint("GET /api/v1/admin/keys", auth.Admin, a.keys),
		a.endpoint("POST /api/v1/admin/keys", auth.Admin, a.createKey),
		a.endpoint("GET /api/v1/admin/keys/{id}", auth.Admin, a.key),
		a.endpoint("POST /api/v1/admin/keys/{id}/rotate", auth.Admin, a.rotateKey),
		a.endpoint("DELETE /api/v1/admin/keys/{id}", auth.Admin, a.revokeKey),
		a.endpoint("GET /api/v1/admin/audit", auth.Admin, a.audit),
		{"GET /api/v1/admin/openapi.yaml", auth.Open, http.HandlerFunc(describe)},
	}, a.settingEndpoints(), a.piiEndpoints(), a.limitEndpoints(), a.userEndpoints(), a.erasureEndpoints())
}

//go:embed openapi.yaml
var files embed.FS

// describe serves the description of the API, which is no secret.
func describe(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	http.ServeFileFS(w, r, files, "openapi.yaml")
}

func actor(r *http.Request) db.Actor { return auth.ActorFrom(r.Context()) }

func (a *API) tenants(r *http.Request) (any, error) { return a.db.Tenants(r.Context(), actor(r)) }

func (a *API) tenant(r *http.Request) (any, error) {
	return a.db.Tenant(r.Context(), actor(r), r.PathValue("id"))
}

// newTenant is the body of a request for a tenant.
type newTenant struct {
	ID          string `json:"id"`
	Description string `json:"description"`
}

func (a *API) createTenant(r *http.Request) (any, error) {
	var n newTenant
	if err := decode(r, &n); err != nil {
		return nil, err
	}
	return a.db.CreateTenant(r.Context(), actor(r), n.ID, n.Description)
}

// tenantChange is the body of a request to change one. What is left out stays.
type tenantChange struct {
	Description    *string `json:"description"`
	Disabled       *bool   `json:"disabled"`
	RetentionClass *uint8  `json:"retention_class"`
}

func (a *API) updateTenant(r *http.Request) (any, error) {
	var c tenantChange
	if err := decode(r, &c); err != nil {
		return nil, err
	}
	return a.db.UpdateTenant(r.Context(), actor(r), r.PathValue("id"), func(t *db.Tenant) {
		if c.Description != nil {
			t.Description = *c.Description
		}
		if c.RetentionClass != nil {
			t.RetentionClass = *c.RetentionClass
		}
		t.Disabled = since(c.Disabled, t.Disabled)
	})
}

func (a *API) keys(r *http.Request) (any, error) { return a.db.Keys(r.Context(), actor(r)) }

func (a *API) key(r *http.Request) (any, error) {
	return a.db.Key(r.Context(), actor(r), r.PathValue("id"))
}

// newKey is the body of a request for a key.
type newKey struct {
	Tenant      string         `json:"tenant"`
	Description string         `json:"description"`
	Scopes      []string       `json:"scopes"`
	Tenants     []string       `json:"tenants"`
	Selector    string         `json:"selector"`
	ExpiresIn   model.Duration `json:"expires_in"`
}

// madeKey is the answer to it: the only one that has the secret.
type madeKey struct {
	*db.Key
	Secret string `json:"key"`
}

func (a *API) createKey(r *http.Request) (any, error) {
	var n newKey
	if err := decode(r, &n); err != nil {
		return nil, err
	}
	by := actor(r)
	s := db.Spec{Tenant: n.Tenant, Description: n.Description, Scopes: n.Scopes, Tenants: n.Tenants, Selector: n.Selector, Lifetime: time.Duration(n.ExpiresIn)}
	if n.Tenant == "" {
		s.Tenant = by.Home()
	}
	k, secret, err := a.db.CreateKey(r.Context(), by, s)
	return madeKey{k, secret}, err
}

// rotation is the body of a request for a rotation.
type rotation struct {
	// Overlap is how long the old key stays good.
	Overlap model.Duration `json:"overlap"`

	// ExpiresIn is when the new one expires; left out, after as long as the old one was asked for.
	ExpiresIn *model.Duration `json:"expires_in"`
}

func (a *API) rotateKey(r *http.Request) (any, error) {
	o := rotation{Overlap: model.Duration(24 * time.Hour)}
	if err := decode(r, &o); err != nil {
		return nil, err
	}
	k, secret, err := a.db.RotateKey(r.Context(), actor(r), r.PathValue("id"), db.Rotation{Overlap: time.Duration(o.Overlap), Lifetime: (*time.Duration)(o.ExpiresIn)})
	return madeKey{k, secret}, err
}

func (a *API) revokeKey(r *http.Request) (any, error) {
	if err := a.db.RevokeKey(r.Context(), actor(r), r.PathValue("id")); err != nil {
		return nil, err
	}
	return a.db.Key(r.Context(), actor(r), r.PathValue("id"))
}

func (a *API) audit(r *http.Request) (any, error) {
	limit, err := number(r, "limit", 100)
	if err != nil {
		return nil, err
	}
	before, err := number(r, "before", 0)
	if err != nil {
		return nil, err
	}
	return a.db.Audit(r.Context(), actor(r), before, int(min(limit, db.MaxAudit)))
}

func number(r *http.Request, name string, otherwise int64) (int64, error) {
	s := r.FormValue(name)
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, store.Invalidf("%s: %q is not a positive number", name, s)
	}
	return n, nil
}

const maxBody = 256 << 10

// decode reads a body. The content type is asked for because a page of another site cannot send it without leave,
// while a browser would add the password that it remembers.
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
	case errors.Is(err, db.ErrExists):
		return http.StatusConflict, "conflict"
	case errors.Is(err, db.ErrForbidden):
		return http.StatusForbidden, "forbidden"
	case errors.Is(err, db.ErrNoConsumer):
		return http.StatusServiceUnavailable, "unavailable"
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
func (a *API) answer(w http.ResponseWriter, r *http.Request, h handler) {
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
	if code == http.StatusServiceUnavailable && !errors.Is(err, db.ErrNoConsumer) {
		a.logger.ErrorContext(r.Context(), "cannot answer a request of the administration", "path", r.URL.Path, "err", err)
		text = "the metadata database does not answer; try again later" // the log says why, with hosts and users
		w.Header().Set("Retry-After", "5")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "error", "errorType": typ, "error": text})
}
