package ha

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	changes, errors prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, t *Tracker) *metrics {
	m := &metrics{
		changes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "metricstream_ha_elected_replica_changes_total",
			Help: "How often this receiver saw another replica of a cluster take over.",
		}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "metricstream_ha_shared_state_errors_total",
			Help: "Exchanges with the shared state of HA replicas that failed.",
		}),
	}
	reg.MustRegister(m.changes, m.errors,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "metricstream_ha_clusters",
			Help: "Clusters of HA replicas that this receiver knows, of all tenants.",
		}, func() float64 {
			t.mu.RLock()
			defer t.mu.RUnlock()
			return float64(len(t.clusters))
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "metricstream_ha_shared_state_up",
			Help: "1 while the shared state of HA replicas answers, 0 while each receiver decides alone, also because none is configured.",
		}, func() float64 {
			if t.shared == nil || t.away.Load() {
				return 0
			}
			return 1
		}))
	return m
}
