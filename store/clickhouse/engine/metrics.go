package engine

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	up       prometheus.Gauge
	restarts prometheus.Counter
	reg      prometheus.Registerer
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "metricstream_engine_up",
			Help: "Whether the embedded ClickHouse engine runs (1) or is being restarted (0).",
		}),
		restarts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "metricstream_engine_restarts_total",
			Help: "How often the embedded ClickHouse engine was started again after it died.",
		}),
		reg: reg,
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
