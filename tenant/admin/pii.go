package admin

import (
	"net/http"

	"github.com/metricstream/metricstream/pii"
	"github.com/metricstream/metricstream/tenant/auth"
	"github.com/metricstream/metricstream/tenant/db"
)

// piiEndpoints are those of personal data: what is done with it, and what was found.
func (a *API) piiEndpoints() []Endpoint {
	return []Endpoint{
		a.endpoint("GET /api/v1/admin/tenants/{id}/pii", auth.Admin, a.tenantPII),
		a.endpoint("PUT /api/v1/admin/tenants/{id}/pii", auth.Operator, a.setTenantPII),
		a.endpoint("DELETE /api/v1/admin/tenants/{id}/pii", auth.Operator, a.clearTenantPII),
		a.endpoint("GET /api/v1/admin/pii/findings", auth.Admin, a.piiFindings),
	}
}

func (a *API) tenantPII(r *http.Request) (any, error) {
	return a.db.TenantPII(r.Context(), actor(r), r.PathValue("id"))
}

func (a *API) setTenantPII(r *http.Request) (any, error) {
	var o pii.Overrides
	if err := decode(r, &o); err != nil {
		return nil, err
	}
	return a.replaceTenantPII(r, o)
}

func (a *API) clearTenantPII(r *http.Request) (any, error) { return a.replaceTenantPII(r, "") }

func (a *API) replaceTenantPII(r *http.Request, o pii.Overrides) (any, error) {
	if err := a.db.SetTenantPII(r.Context(), actor(r), r.PathValue("id"), o); err != nil {
		return nil, err
	}
	return a.tenantPII(r)
}

func (a *API) piiFindings(r *http.Request) (any, error) {
	limit, err := number(r, "limit", 100)
	if err != nil {
		return nil, err
	}
	return a.db.PIIFindings(r.Context(), actor(r), r.FormValue("tenant"), int(min(limit, db.MaxPIIFindings)))
}
