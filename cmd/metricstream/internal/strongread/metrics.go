package strongread

import "github.com/prometheus/client_golang/prometheus"

// Results of strong reads, as the values of a metric's label.
const (
	visible    = "visible"
	timedOut   = "timeout"
	logAway    = "log_unavailable"
	noLog      = "log_unknown"
	limited    = "limit"
	badRequest = "bad_request"
	canceled   = "canceled"
)

type metrics struct {
	results *prometheus.CounterVec
	seconds prometheus.Histogram
	waiting prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "metricstream_strong_reads_total",
			Help: "Reads with X-Read-Consistency: strong, by how their wait ended.",
		}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "metricstream_strong_read_wait_seconds", Help: "Time that strong reads waited until what they needed was visible.",
			Buckets: []float64{.01, .05, .1, .25, .5, 1, 1.5, 2, 5, 10, 20},
		}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "metricstream_strong_reads_waiting", Help: "Strong reads that wait now.",
		}),
	}
	for _, result := range []string{visible, timedOut, logAway, noLog, limited, badRequest, canceled} {
		m.results.WithLabelValues(result)
	}
	r.MustRegister(m.results, m.seconds, m.waiting)
	return m
}
