package admin

import (
	"net/http"

	"github.com/metricstream/metricstream/tenant/auth"
	"github.com/metricstream/metricstream/tenant/db"
)

// settingEndpoints are those of what is set for the whole service.
func (a *API) settingEndpoints() []Endpoint {
	return []Endpoint{
		a.endpoint("GET /api/v1/admin/settings", auth.Operator, a.settings),
		a.endpoint("PUT /api/v1/admin/settings", auth.Operator, a.setSettings),
	}
}

func (a *API) settings(r *http.Request) (any, error) { return a.db.Settings(r.Context(), actor(r)) }

func (a *API) setSettings(r *http.Request) (any, error) {
	var s db.Settings
	if err := decode(r, &s); err != nil {
		return nil, err
	}
	if err := a.db.SetSettings(r.Context(), actor(r), s); err != nil {
		return nil, err
	}
	return a.settings(r)
}
