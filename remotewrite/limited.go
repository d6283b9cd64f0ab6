package remotewrite

import (
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/metricstream/metricstream/remotewrite/codec"
	"github.com/metricstream/metricstream/remotewrite/quota"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant/limits"
)

func newTenantLimited() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "metricstream_remote_write_tenant_limited_total",
		Help: "What limits of tenants and keys refused or dropped, by tenant and limit: requests, or exemplars and metadata for the limits on these. Refused series are in metricstream_remote_write_rejected_total. Beyond 256 tenants they are counted together as <other>.",
	}, []string{"tenant", "limit"})
}

// limit counts what a limit of a tenant, or of its key, refused or dropped.
func (m *metrics) limit(id, limit string, n int) {
	if n > 0 {
		m.tenantLimited.WithLabelValues(m.rejected.label(id), limit).Add(float64(n))
	}
}

// openTab says what a request is held to.
func (h *Handler) openTab(s *scratch, r *http.Request, id string) {
	s.grant = limits.Grant{Tenant: id}
	if h.grant != nil {
		s.grant = h.grant(r.Context(), id)
	}
	s.tab = h.quota.Open(&s.grant)
	w := s.grant.Writing()
	s.maxBody = limits.Bound{Most: int64(h.config.MaxBodyBytes), Name: "remote_write.max_body_bytes"}.Or(w.RequestBytes)
	s.request.Caps = codec.Caps{
		Labels: w.LabelsPerSeries, NameBytes: w.LabelNameBytes, ValueBytes: w.LabelValueBytes,
		Exemplars: w.ExemplarsPerRequest, Metadata: w.MetadataPerRequest,
	}
	s.request.Admit = s.admit
}

// tooLarge counts and answers a body that is too large. Over the limit of the process it is 413, as from Prometheus, which
// guards against what no sender of sense sends. Over the limit of a tenant or a key it is 400: vmagent repeats a 413 for
// ever, and sends nothing behind it.
func (h *Handler) tooLarge(s *scratch) answer {
	a := answer{status: http.StatusRequestEntityTooLarge}
	if s.maxBody.Of != "" {
		h.metrics.limit(s.grant.Tenant, s.maxBody.Name, 1)
		a.status = http.StatusBadRequest
	}
	h.metrics.limited.WithLabelValues(limitBody).Inc()
	a.text = fmt.Sprintf("the body has more than %d bytes; send fewer samples at once, or raise %s", s.maxBody.Most, s.maxBody.Setting())
	return a
}

// admitNew decides about a series that the cache does not have.
func (s *scratch) admitNew(k store.Key) (codec.Reason, limits.Bound, bool) {
	switch v := s.tab.Admit(k.ID); v {
	case quota.Accepted:
		return 0, limits.Bound{}, true
	case quota.OverActive:
		return codec.TooManyActive, s.boundOf(v), false
	default:
		return codec.TooManyNew, s.boundOf(v), false
	}
}

// boundOf returns the limit that a verdict is about, the zero value where it is about none.
func (s *scratch) boundOf(v quota.Verdict) limits.Bound {
	g := &s.grant
	switch v {
	case quota.OverSamples:
		return g.OfTenant("samples_per_second", g.Limits.SamplesPerSecond)
	case quota.OverKeySamples:
		return g.OfKey("samples_per_second", g.KeyLimits.SamplesPerSecond)
	case quota.OverActive:
		return g.OfTenant("active_series", g.Limits.ActiveSeries)
	case quota.OverNew:
		return g.OfTenant("new_series_per_minute", g.Limits.NewSeriesPerMinute)
	case quota.OverKeyNew:
		return g.OfKey("new_series_per_minute", g.KeyLimits.NewSeriesPerMinute)
	}
	return limits.Bound{}
}

// overLimit answers a request that is refused whole because of a rate. Nothing of it is written, and it may come again.
func (h *Handler) overLimit(s *scratch, version codec.Version, v quota.Verdict) answer {
	id := s.grant.Tenant
	h.metrics.limit(id, string(v), 1)
	text := "there are too many tenants and keys with limits to count what one more sends; send it later"
	if b := s.boundOf(v); b.Most > 0 {
		text = fmt.Sprintf("more than %d samples a second are sent; send fewer, or this request later, or raise %s", b.Most, b.Setting())
	}
	status := h.limitStatus()
	if status == http.StatusTooManyRequests {
		h.rejectWhole(id, text) // a sender may drop it
	}
	return answer{version: version, status: status, text: text}
}

// countDropped counts what the limits on requests left out.
func (h *Handler) countDropped(s *scratch) {
	n, id := &s.request.Dropped, s.grant.Tenant
	h.metrics.limit(id, s.request.Caps.Exemplars.Name, n.Exemplars)
	h.metrics.limit(id, s.request.Caps.Metadata.Name, n.Metadata)
}
