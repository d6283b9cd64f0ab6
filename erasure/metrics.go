package erasure

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/metricstream/metricstream/tenant/db"
)

type metrics struct {
	states   *prometheus.GaugeVec
	rows     *prometheus.CounterVec
	oldest   prometheus.Gauge
	failures prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		states: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "metricstream_erasures", Help: "Requests to erase data, by state. Only the process that does the work knows them.",
		}, []string{"state"}),
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "metricstream_erasure_rows_total", Help: "Rows that erasures of this process have removed, by table.",
		}, []string{"table"}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "metricstream_erasure_oldest_unfinished_seconds", Help: "Age of the oldest request to erase data that is not done; 0 without any.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "metricstream_erasure_failures_total", Help: "Steps of erasures that failed; they are tried again.",
		}),
	}
	if r != nil {
		r.MustRegister(m.states, m.rows, m.oldest, m.failures)
	}
	return m
}

// show sets the gauges.
func (m *metrics) show(states map[string]int, oldest time.Duration) {
	for _, s := range db.ErasureStates() {
		m.states.WithLabelValues(s).Set(float64(states[s]))
	}
	m.oldest.Set(oldest.Seconds())
}

// none is show in a process that does not do the work.
func (m *metrics) none() {
	m.states.Reset()
	m.oldest.Set(0)
}

func (m *metrics) erased(r *db.ErasureReport) {
	for _, t := range r.Tables {
		if t.Before > t.After {
			m.rows.WithLabelValues(t.Table).Add(float64(t.Before - t.After))
		}
	}
}
