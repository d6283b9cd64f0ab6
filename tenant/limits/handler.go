package limits

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/metricstream/metricstream/tenant"
)

// Handler answers GET requests with what the request's tenant and key are held to: under the names that Mimir's
// user_limits has, and as they are set here. nil is that nobody is limited.
func Handler(of func(ctx context.Context, tenantID string) Grant) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := tenant.FromRequest(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		g := Grant{Tenant: id}
		if of != nil {
			g = of(r.Context(), id)
		}
		body := struct {
			IngestionRate  int64   `json:"ingestion_rate"`
			IngestionBurst int64   `json:"ingestion_burst_size"`
			Series         int64   `json:"max_global_series_per_user"`
			QuerySeries    int64   `json:"max_fetched_series_per_query"`
			Limits         Limits  `json:"limits"`
			KeyLimits      *Limits `json:"key_limits,omitempty"`
		}{g.Limits.SamplesPerSecond, g.Limits.Burst(), g.Limits.ActiveSeries, g.Limits.QuerySeries, g.Limits, nil}
		if g.Key != "" {
			body.KeyLimits = &g.KeyLimits
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(body) // a client that is gone hears nothing
	}
}
