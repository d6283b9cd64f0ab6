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
	oldest   prometheus.GaugeFunc
	failures prometheus.Counter

	// since is when the oldest request that is not done was made, in Unix milliseconds; 0 without any.
	since atomic.Int64
}

func newMetrics(r prometheus.Registerer, now func() time.Time) *metrics {
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
	m.oldest = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "metricstream_erasure_oldest_unfinished_seconds", Help: "Age of the oldest request to erase data that is not done; 0 without any.",
	}, func() float64 {
		if since := m.since.Load(); since != 0 {
			return now().Sub(time.UnixMilli(since)).Seconds()
		}
		return 0
	})
	if r != nil {
		r.MustRegister(m.states, m.rows, m.oldest, m.failures)
	}
	return m
}

// show sets the gauges. since is the time of the oldest request that is not done, zero without any.
func (m *metrics) show(states map[string]int, since time.Time) {
	for _, s := range db.ErasureStates() {
		m.states.WithLabelValues(s).Set(float64(states[s]))
	}
	if since.IsZero() {
		m.since.Store(0)
		return
	}
	m.since.Store(since.UnixMilli())
}

// none is show in a process that does not do the work.
func (m *metrics) none() {
	m.states.Reset()
	m.since.Store(0)
}

func (m *metrics) erased(r *db.ErasureReport) {
	for _, t := range r.Tables {
		if t.Before > t.After {
			m.rows.WithLabelValues(t.Table).Add(float64(t.Before - t.After))
		}
	}
}
