package remotewrite

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/metricstream/metricstream/remotewrite/codec"
	"github.com/metricstream/metricstream/store"
)

type metrics struct {
	requests *prometheus.CounterVec
	received *prometheus.CounterVec
	rejected rejectedByTenant
	limited  *prometheus.CounterVec
	dropped  *prometheus.CounterVec
	personal *prometheus.CounterVec

	tenantLimited *prometheus.CounterVec
	inFlight      prometheus.Gauge
	seconds       *prometheus.HistogramVec
}

// Limits on whole requests, as the values of a metric's label.
const (
	limitInFlight = "in_flight_requests"
	limitBody     = "body_bytes"
	limitDecoded  = "decoded_bytes"
	limitContents = "series_or_points"
	limitClusters = "ha_clusters"
)

func newMetrics(reg prometheus.Registerer, cache *codec.Cache) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "metricstream_remote_write_requests_total",
			Help: "Remote write requests by the version of the protocol and the status of the answer.",
		}, []string{"protocol", "code"}),
		received: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "metricstream_remote_write_received_total",
			Help: "What was accepted and written, by kind: samples, histograms, exemplars, metadata.",
		}, []string{"kind"}),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "metricstream_remote_write_limited_requests_total",
			Help: "Requests refused whole because of a limit.",
		}, []string{"limit"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "metricstream_remote_write_deduplicated_total",
			Help: "What was answered as accepted but not written because another replica of the sender is elected, by tenant and kind. Beyond 256 tenants they are counted together as <other>.",
		}, []string{"tenant", "kind"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "metricstream_remote_write_in_flight_requests",
			Help: "Requests being worked on.",
		}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "metricstream_remote_write_request_duration_seconds",
			Help:    "Time from the first byte of a request to its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"protocol"}),
	}
	m.personal, m.tenantLimited = newPersonal(), newTenantLimited()
	reg.MustRegister(m.tenantLimited)
	m.rejected = newRejectedByTenant()
	reg.MustRegister(m.personal, m.requests, m.received, m.limited, m.dropped, m.inFlight, m.seconds, m.rejected.total)
	m.registerCache(reg, cache)
	return m
}

func (m *metrics) registerCache(reg prometheus.Registerer, cache *codec.Cache) {
	counter := func(name, help string, value func(codec.CacheStats) uint64) {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "metricstream_remote_write_series_cache_" + name, Help: help},
			func() float64 { return float64(value(cache.Stats())) }))
	}
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "metricstream_remote_write_cached_series",
		Help: "Series whose labels are remembered.",
	}, func() float64 { return float64(cache.Stats().Series) }))
	counter("misses_total", "Label sets that had to be parsed.", func(s codec.CacheStats) uint64 { return s.Misses })
	counter("full_total", "Series that were not remembered because the cache is full.", func(s codec.CacheStats) uint64 { return s.Full })
	counter("evicted_total", "Series that were dropped because they were idle.", func(s codec.CacheStats) uint64 { return s.Evicted })
	counter("collisions_total", "Label sets that were refused because another one has their key.", func(s codec.CacheStats) uint64 { return s.Collisions })
}

func (m *metrics) written(n codec.Counts) { addKinds(m.received, n) }

// deduplicated counts what was dropped because another replica sends it.
func (m *metrics) deduplicated(id string, n codec.Counts) {
	addKinds(m.dropped, n, m.rejected.label(id))
}

// addKinds adds to the counters of each kind; the labels are those before the kind.
func addKinds(to *prometheus.CounterVec, n codec.Counts, labels ...string) {
	for _, k := range []struct {
		kind string
		n    int
	}{{"samples", n.Samples}, {"histograms", n.Histograms}, {"exemplars", n.Exemplars}, {"metadata", n.Metadata}} {
		if k.n > 0 {
			to.WithLabelValues(append(labels, k.kind)...).Add(float64(k.n))
		}
	}
}

// maxTenantLabels bounds the tenants that have counters of their own; those that come later share otherTenants,
// which is no tenant's name.
const (
	maxTenantLabels = 256
	otherTenants    = "<other>"
)

// rejectedByTenant counts what was refused. A tenant has counters from its first refusal on, the default tenant
// from the start.
type rejectedByTenant struct {
	total *prometheus.CounterVec

	mu      *sync.Mutex
	tenants map[string]struct{}
}

func newRejectedByTenant() rejectedByTenant {
	r := rejectedByTenant{mu: new(sync.Mutex), tenants: make(map[string]struct{})}
	r.total = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "metricstream_remote_write_rejected_total",
		Help: "Samples, histograms, exemplars and metadata that were refused, by tenant and reason. Beyond 256 tenants they are counted together as <other>.",
	}, []string{"tenant", "reason"})
	r.add(store.DefaultTenant, new(codec.Rejected))
	return r
}

func (r *rejectedByTenant) add(id string, refused *codec.Rejected) {
	label := r.label(id)
	for _, why := range codec.Reasons() {
		r.total.WithLabelValues(label, why.String()).Add(float64(refused.Count(why)))
	}
}

// label returns the tenant's label value.
func (r *rejectedByTenant) label(id string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.tenants[id]; ok {
		return id
	}
	if len(r.tenants) >= maxTenantLabels {
		return otherTenants
	}
	r.tenants[id] = struct{}{}
	return id
}
