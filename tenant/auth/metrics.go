package auth

import "github.com/prometheus/client_golang/prometheus"

type metrics struct{ requests map[string]prometheus.Counter }

// results are what becomes of requests that need a key.
var results = [...]string{"good", "missing", "unknown", "wrong", "expired", "revoked", "scope", "tenant", "slowed"}

func newMetrics(r prometheus.Registerer) *metrics {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "metricstream_auth_requests_total",
		Help: "Requests that need an API key or a user, by what became of them: good; missing, unknown, wrong, expired and revoked keys, users likewise (401); without the scope or not for the tenant (403); slowed after too many failures of an address (429).",
	}, []string{"result"})
	if r != nil {
		r.MustRegister(vec)
	}
	m := &metrics{requests: map[string]prometheus.Counter{}}
	for _, result := range results {
		m.requests[result] = vec.WithLabelValues(result)
	}
	return m
}

func (m *metrics) count(result string) { m.requests[result].Inc() }
