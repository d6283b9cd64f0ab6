package fair

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Reasons why a read got no turn, as the values of a metric's label.
const (
	full     = "full"
	timeout  = "timeout"
	canceled = "canceled"
)

type metrics struct {
	length, running prometheus.Gauge
	wait            prometheus.Histogram
	refused         *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		length: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "metricstream_query_queue_length", Help: "Reads that wait for their turn, of all tenants.",
		}),
		running: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "metricstream_query_queue_running", Help: "Reads that have their turn; at most query.max_concurrency.",
		}),
		wait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "metricstream_query_queue_wait_seconds", Help: "Time that reads waited until they had their turn.",
			Buckets: []float64{.0001, .001, .01, .1, .5, 1, 5, 10, 30, 120},
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "metricstream_query_queue_refused_total",
			Help: "Reads that got no turn: full (too many waited already), timeout (their time was over before), canceled (the client went away).",
		}, []string{"reason"}),
	}
	for _, reason := range []string{full, timeout, canceled} {
		m.refused.WithLabelValues(reason)
	}
	if r != nil {
		r.MustRegister(m.length, m.running, m.wait, m.refused)
	}
	return m
}

// gaveUp counts a read whose context ended before its turn came.
func (m *metrics) gaveUp(ctx context.Context) {
	reason := canceled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		reason = timeout
	}
	m.refused.WithLabelValues(reason).Inc()
}
