package remotewrite

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/metricstream/metricstream/remotewrite/codec"
	"github.com/metricstream/metricstream/remotewrite/quota"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant"
	"github.com/metricstream/metricstream/tenant/limits"
)

// Limits of a tenant or a key that the ledger does not count, as values of a metric's label.
const (
	limitRequestBytes quota.Verdict = "request_bytes"
	limitExemplars    quota.Verdict = "exemplars_per_request"
	limitMetadata     quota.Verdict = "metadata_per_request"
)

func newTenantLimited() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "metricstream_remote_write_tenant_limited_total",
		Help: "What limits of tenants and keys refused or dropped, by tenant and limit: requests, or exemplars and metadata for the limits on these. Refused series are in metricstream_remote_write_rejected_total. Beyond 256 tenants they are counted together as <other>.",
	}, []string{"tenant", "limit"})
}

func (m *metrics) limit(id string, v quota.Verdict, n int) {
	if n > 0 {
		m.tenantLimited.WithLabelValues(m.rejected.label(id), string(v)).Add(float64(n))
	}
}

// lower returns the lower of two limits, of which 0 is none.
func lower(a, b int64) int64 {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// openTab says what a request is held to.
func (h *Handler) openTab(s *scratch, r *http.Request, id string) {
	s.grant = limits.Grant{Tenant: id}
	if h.grant != nil {
		s.grant = h.grant(r.Context(), id)
	}
	s.tab = h.quota.Open(&s.grant)
	l, k := &s.grant.Limits, &s.grant.KeyLimits
	s.request.Caps = codec.Caps{
		Labels: int(lower(l.LabelsPerSeries, k.LabelsPerSeries)), NameBytes: int(lower(l.LabelNameBytes, k.LabelNameBytes)),
		ValueBytes: int(lower(l.LabelValueBytes, k.LabelValueBytes)), Exemplars: int(lower(l.ExemplarsPerRequest, k.ExemplarsPerRequest)),
		Metadata: int(lower(l.MetadataPerRequest, k.MetadataPerRequest)),
	}
	s.request.Admit = s.admit
}

// maxBody is how large the request's body may be, and the setting that says so.
func (h *Handler) maxBody(s *scratch) (n int64, setting string) {
	own := lower(s.grant.Limits.RequestBytes, s.grant.KeyLimits.RequestBytes)
	if own > 0 && own < int64(h.config.MaxBodyBytes) {
		return own, "limits.request_bytes"
	}
	return int64(h.config.MaxBodyBytes), "remote_write.max_body_bytes"
}

// tooLarge counts and answers a body that is too large.
func (h *Handler) tooLarge(s *scratch) answer {
	n, setting := h.maxBody(s)
	h.metrics.limited.WithLabelValues(limitBody).Inc()
	if n < int64(h.config.MaxBodyBytes) {
		h.metrics.limit(s.grant.Tenant, limitRequestBytes, 1)
	}
	return answer{status: http.StatusRequestEntityTooLarge, text: fmt.Sprintf("the body has more than %d bytes (%s)", n, setting)}
}

// admitNew decides about a series that the cache does not have.
func (s *scratch) admitNew(k store.Key) (codec.Reason, bool) {
	switch s.tab.Admit(k.ID) {
	case quota.Accepted:
		return 0, true
	case quota.OverActive:
		return codec.TooManyActive, false
	default:
		return codec.TooManyNew, false
	}
}

// overLimit answers a request that is refused whole because of a rate. Nothing of it is written, and it may come again.
func (h *Handler) overLimit(s *scratch, version codec.Version, v quota.Verdict) answer {
	id := s.grant.Tenant
	h.metrics.limit(id, v, 1)
	text := fmt.Sprintf("the tenant %q sends more than its %d samples a second (limits.samples_per_second)", id, s.grant.Limits.SamplesPerSecond)
	switch v {
	case quota.OverKeySamples:
		text = fmt.Sprintf("the key sends more than its %d samples a second (its limit samples_per_second)", s.grant.KeyLimits.SamplesPerSecond)
	case quota.OverTenants:
		text = "there are too many tenants with limits to count what one more sends"
	}
	if h.config.LimitStatus == http.StatusTooManyRequests {
		h.rejectWhole(id, text) // a sender may drop it
	}
	return answer{version: version, status: h.config.LimitStatus, text: text}
}

// countDropped counts what the limits on requests left out.
func (h *Handler) countDropped(id string, n codec.Counts) {
	h.metrics.limit(id, limitExemplars, n.Exemplars)
	h.metrics.limit(id, limitMetadata, n.Metadata)
}

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
