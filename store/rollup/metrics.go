package rollup

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	hours, rows *prometheus.CounterVec
	samples     prometheus.Counter
	failures    prometheus.Counter
	seconds     prometheus.Histogram
	lag, marks  prometheus.Gauge
	owner       prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	const prefix = "metricstream_rollup_"
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + name, Help: help})
	}
	m := &metrics{
		hours: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "hours_total", Help: "Hours that were folded, for the first time or again after samples came late.",
		}, []string{"fold"}),
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "rows_total", Help: "Rows that were written.",
		}, []string{"tier"}),
		samples:  counter("samples_total", "Samples that were folded."),
		failures: counter("failures_total", "Folds that failed; they are tried again."),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "fold_seconds", Help: "Time to fold an hour.", Buckets: prometheus.ExponentialBuckets(0.01, 3, 12),
		}),
		lag:   gauge("lag_seconds", "Time since the end of the newest hour that is closed."),
		marks: gauge("marks", "Marks of late samples that wait to be folded."),
		owner: gauge("owner", "1 where this process downsamples."),
	}
	if r != nil {
		r.MustRegister(m.hours, m.rows, m.samples, m.failures, m.seconds, m.lag, m.marks, m.owner)
	}
	return m
}

func (m *metrics) setOwner(owner bool) {
	m.owner.Set(0)
	if owner {
		m.owner.Set(1)
	}
}

// newest notes how old the newest closed hour is.
func (m *metrics) newest(states []HourState, nowMs int64) {
	for i := len(states) - 1; i >= 0; i-- {
		if states[i].State == Closed {
			m.lag.Set(float64(nowMs-states[i].EndMs) / 1000)
			return
		}
	}
}

func (m *metrics) folded(before HourState, s foldStats, took time.Duration) {
	kind := "first"
	if before.State != Open {
		kind = "again"
	}
	m.hours.WithLabelValues(kind).Inc()
	for _, tier := range []Tier{Minute, Hour} {
		m.rows.WithLabelValues(tier.String()).Add(float64(s.rows[tier]))
	}
	m.samples.Add(float64(s.samples))
	m.seconds.Observe(took.Seconds())
}
