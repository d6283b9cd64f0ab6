package admin

import (
	"net/http"

	"github.com/metricstream/metricstream/tenant/auth"
	"github.com/metricstream/metricstream/tenant/limits"
)

// limitEndpoints are those of limits: what a PUT has replaces what was set.
func (a *API) limitEndpoints() []Endpoint {
	return []Endpoint{
		a.endpoint("GET /api/v1/admin/limits", auth.Operator, a.defaultLimits),
		a.endpoint("PUT /api/v1/admin/limits", auth.Operator, a.setDefaultLimits),
		a.endpoint("GET /api/v1/admin/tenants/{id}/limits", auth.Admin, a.tenantLimits),
		a.endpoint("PUT /api/v1/admin/tenants/{id}/limits", auth.Operator, a.setTenantLimits),
		a.endpoint("GET /api/v1/admin/keys/{id}/limits", auth.Admin, a.keyLimits),
		a.endpoint("PUT /api/v1/admin/keys/{id}/limits", auth.Admin, a.setKeyLimits),
	}
}

func (a *API) defaultLimits(r *http.Request) (any, error) {
	return a.db.DefaultLimits(r.Context(), actor(r))
}

func (a *API) setDefaultLimits(r *http.Request) (any, error) {
	var o limits.Overrides
	if err := decode(r, &o); err != nil {
		return nil, err
	}
	if err := a.db.SetDefaultLimits(r.Context(), actor(r), o); err != nil {
		return nil, err
	}
	return a.defaultLimits(r)
}

func (a *API) tenantLimits(r *http.Request) (any, error) {
	return a.db.TenantLimits(r.Context(), actor(r), r.PathValue("id"))
}

func (a *API) setTenantLimits(r *http.Request) (any, error) {
	var o limits.Overrides
	if err := decode(r, &o); err != nil {
		return nil, err
	}
	if err := a.db.SetTenantLimits(r.Context(), actor(r), r.PathValue("id"), o); err != nil {
		return nil, err
	}
	return a.tenantLimits(r)
}

func (a *API) keyLimits(r *http.Request) (any, error) {
	return a.db.KeyLimits(r.Context(), actor(r), r.PathValue("id"))
}

func (a *API) setKeyLimits(r *http.Request) (any, error) {
	var o limits.Overrides
	if err := decode(r, &o); err != nil {
		return nil, err
	}
	if err := a.db.SetKeyLimits(r.Context(), actor(r), r.PathValue("id"), o); err != nil {
		return nil, err
	}
	return a.keyLimits(r)
}
