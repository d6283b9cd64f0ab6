package admin

import (
	"context"
	"net/http"

	"github.com/metricstream/metricstream/tenant/auth"
	"github.com/metricstream/metricstream/tenant/db"
	"github.com/metricstream/metricstream/tenant/limits"
)

// limitEndpoints are those of limits: what a PUT has replaces what was set, what a PATCH has stands beside it.
func (a *API) limitEndpoints() []Endpoint {
	return []Endpoint{
		a.endpoint("GET /api/v1/admin/limits", auth.Operator, a.defaultLimits),
		a.endpoint("PUT /api/v1/admin/limits", auth.Operator, changed(a.setDefaultLimits, a.defaultLimits)),
		a.endpoint("PATCH /api/v1/admin/limits", auth.Operator, changed(a.patchDefaultLimits, a.defaultLimits)),
		a.endpoint("GET /api/v1/admin/tenants/{id}/limits", auth.Admin, a.tenantLimits),
		a.endpoint("PUT /api/v1/admin/tenants/{id}/limits", auth.Operator, changed(of(a.db.SetTenantLimits), a.tenantLimits)),
		a.endpoint("PATCH /api/v1/admin/tenants/{id}/limits", auth.Operator, changed(of(a.db.PatchTenantLimits), a.tenantLimits)),
		a.endpoint("GET /api/v1/admin/keys/{id}/limits", auth.Admin, a.keyLimits),
		a.endpoint("PUT /api/v1/admin/keys/{id}/limits", auth.Admin, changed(of(a.db.SetKeyLimits), a.keyLimits)),
		a.endpoint("PATCH /api/v1/admin/keys/{id}/limits", auth.Admin, changed(of(a.db.PatchKeyLimits), a.keyLimits)),
	}
}

// changed returns a handler that answers, after a change with the body of a request, what there is then.
func changed[T limits.Overrides | limits.Patch](change func(r *http.Request, body T) error, show handler) handler {
	return func(r *http.Request) (any, error) {
		var body T
		if err := decode(r, &body); err != nil {
			return nil, err
		}
		if err := change(r, body); err != nil {
			return nil, err
		}
		return show(r)
	}
}

// of returns a change of what the path names.
func of[T any](change func(ctx context.Context, by db.Actor, id string, body T) error) func(*http.Request, T) error {
	return func(r *http.Request, body T) error { return change(r.Context(), actor(r), r.PathValue("id"), body) }
}

func (a *API) defaultLimits(r *http.Request) (any, error) {
	return a.db.DefaultLimits(r.Context(), actor(r))
}

func (a *API) setDefaultLimits(r *http.Request, o limits.Overrides) error {
	return a.db.SetDefaultLimits(r.Context(), actor(r), o)
}

func (a *API) patchDefaultLimits(r *http.Request, p limits.Patch) error {
	return a.db.PatchDefaultLimits(r.Context(), actor(r), p)
}

func (a *API) tenantLimits(r *http.Request) (any, error) {
	return a.db.TenantLimits(r.Context(), actor(r), r.PathValue("id"))
}

func (a *API) keyLimits(r *http.Request) (any, error) {
	return a.db.KeyLimits(r.Context(), actor(r), r.PathValue("id"))
}
