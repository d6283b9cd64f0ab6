package engine

import "github.com/prometheus/client_golang/prometheus"

// What made a restart necessary, as the metric says it.
const (
	endDied        = "died"
	endHung        = "hung"
	endFailedStart = "failed_start" // the start before this one did not come to an answer
)

type metrics struct {
	up       prometheus.Gauge
	restarts *prometheus.CounterVec
	reg      prometheus.Registerer
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "metricstream_engine_up",
			Help: "Whether the embedded ClickHouse engine runs (1) or is being restarted (0).",
		}),
		restarts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "metricstream_engine_restarts_total",
			Help: "How often the embedded ClickHouse engine was started again, by the reason: died, hung or failed_start.",
		}, []string{"reason"}),
		reg: reg,
	}
	for _, reason := range []string{endDied, endHung, endFailedStart} {
		m.restarts.WithLabelValues(reason)
	}
	if reg != nil {
		reg.MustRegister(m.up, m.restarts)
	}
	return m
}

func (m *metrics) unregister() {
	if m.reg != nil {
		m.reg.Unregister(m.up)
		m.reg.Unregister(m.restarts)
	}
}
