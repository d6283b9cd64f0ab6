package retention

import (
	"encoding/json"
	"math"
	"net/http"
	"time"

	"github.com/prometheus/common/model"

	"github.com/metricstream/metricstream/store/rollup"
)

// status is the answer of [Status]: what a tenant has, tier by tier.
type status struct {
	Class uint8        `json:"class"`
	Tiers []tierStatus `json:"tiers"`
}

type tierStatus struct {
	Tier string `json:"tier"`

	// Keep is for how long the tier is kept; 0s is that there is none.
	Keep model.Duration `json:"keep"`

	// Spans are the times that the tier has, as Unix seconds. A span of raw has no end.
	Spans []spanStatus `json:"spans"`
}

type spanStatus struct {
	From float64  `json:"from"`
	To   *float64 `json:"to,omitempty"`
}

// Status returns a handler that tells a tenant what it has from when: for each tier how long it is kept, and the spans of time
// that can be read. tenantOf returns a request's tenant.
func Status(p *Policies, tiers rollup.Reader, tenantOf func(*http.Request) (string, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		tenant, err := tenantOf(r)
		if err != nil {
			answer(w, http.StatusBadRequest, map[string]any{"status": "error", "errorType": "bad_data", "error": err.Error()})
			return
		}
		covered, err := tiers.Coverage(r.Context(), tenant)
		if err != nil {
			w.Header().Set("Retry-After", "5")
			answer(w, http.StatusServiceUnavailable, map[string]any{"status": "error", "errorType": "unavailable", "error": err.Error()})
			return
		}
		class := p.ClassOf(tenant)
		policy := p.Of(class)
		s := status{Class: class}
		for tier, keep := range []model.Duration{policy.Raw, policy.Minute, policy.Hour} {
			s.Tiers = append(s.Tiers, tierStatus{Tier: rollup.Tier(tier).String(), Keep: keep, Spans: spansOf(covered[tier])})
		}
		answer(w, http.StatusOK, map[string]any{"status": "success", "data": s})
	}
}

func spansOf(spans []rollup.Span) []spanStatus {
	out := []spanStatus{}
	for _, s := range spans {
		if s.FromMs == math.MaxInt64 {
			continue // nothing yet
		}
		one := spanStatus{From: seconds(s.FromMs)}
		if s.ToMs != math.MaxInt64 {
			to := seconds(s.ToMs)
			one.To = &to
		}
		out = append(out, one)
	}
	return out
}

func seconds(ms int64) float64 { return float64(ms) / float64(time.Second/time.Millisecond) }

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}
