package remotewrite

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/metricstream/metricstream/tenant"
)

// cached counts the cached series of each tenant, at most every few seconds: it looks at all of them.
type cached struct {
	mu   sync.Mutex
	at   time.Time
	each map[string]int
}

const countAgain = 10 * time.Second

func (c *cached) of(id string, now time.Time, used func(sinceMs int64, yield func(string, uint64))) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if age := now.Sub(c.at); c.each == nil || age > countAgain || age < 0 {
		c.at, c.each = now, make(map[string]int)
		used(now.Add(-time.Hour).UnixMilli(), func(tenant string, _ uint64) { c.each[tenant]++ })
	}
	return c.each[id]
}

// UserStats answers GET requests with what the request's tenant sends, in the shape of Mimir's user_stats and with the
// rate of new series beside it. Rates are those of this receiver; series are those of all receivers where they are limited,
// else this one's.
func (h *Handler) UserStats(w http.ResponseWriter, r *http.Request) {
	id, err := tenant.FromRequest(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	st := h.quota.Stats(id)
	if st.ActiveSeries < 0 {
		st.ActiveSeries = h.cached.of(id, h.now(), h.cache.Used)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(struct { // a client that is gone hears nothing
		IngestionRate      float64 `json:"ingestionRate"`
		NumSeries          int     `json:"numSeries"`
		APIIngestionRate   float64 `json:"APIIngestionRate"`
		RuleIngestionRate  float64 `json:"RuleIngestionRate"`
		NewSeriesPerMinute float64 `json:"newSeriesPerMinute"`
	}{st.SamplesPerSecond, st.ActiveSeries, st.SamplesPerSecond, 0, 60 * st.NewSeriesPerSecond})
}
