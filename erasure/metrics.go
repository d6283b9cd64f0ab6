package erasure

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/metricstream/metricstream/tenant/db"
)

type metrics struct {
	states   *prometheus.GaugeVec
	rows     *prometheus.CounterVec
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
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "metricstream_erasure_failures_total", Help: "Steps of erasures that failed; they are tried again.",
		}),
	}
	if r != nil {
		r.MustRegister(m.states, m.rows, m.failures)
	}
	return m
}

// registerOldest shows how old the oldest request is that is not done, also where nobody does the work. since is when it was
// made, in Unix milliseconds; 0 without any.
func registerOldest(r prometheus.Registerer, since *atomic.Int64) {
	if r == nil {
		return
	}
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "metricstream_erasure_oldest_unfinished_seconds", Help: "Age of the oldest request to erase data that is not done; 0 without any.",
	}, func() float64 {
		if ms := since.Load(); ms != 0 {
			return time.Since(time.UnixMilli(ms)).Seconds()
		}
		return 0
	}))
}

// show sets the gauges.
func (m *metrics) show(states map[string]int) {
	for _, s := range db.ErasureStates() {
		m.states.WithLabelValues(s).Set(float64(states[s]))
	}
}

// none is show in a process that does not do the work.
func (m *metrics) none() { m.states.Reset() }

func (m *metrics) erased(r *db.ErasureReport) {
	for _, t := range r.Tables {
		if t.Before > t.After {
			m.rows.WithLabelValues(t.Table).Add(float64(t.Before - t.After))
		}
	}
}
