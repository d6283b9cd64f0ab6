package clickhouse

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	insertSeconds *prometheus.HistogramVec
	insertRows    *prometheus.CounterVec
	selectSeconds *prometheus.HistogramVec
	selectRows    *prometheus.CounterVec
	errors        *prometheus.CounterVec
	limits        *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	buckets := prometheus.ExponentialBuckets(0.001, 2, 16)
	m := &metrics{
		insertSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "metricstream_clickhouse_insert_seconds", Help: "How long one insert took.", Buckets: buckets}, []string{"table"}),
		insertRows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "metricstream_clickhouse_inserted_rows_total", Help: "Rows inserted."}, []string{"table"}),
		selectSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "metricstream_clickhouse_select_seconds", Help: "How long one select took, its rows' reader included.", Buckets: buckets}, []string{"statement"}),
		selectRows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "metricstream_clickhouse_selected_rows_total", Help: "Rows received."}, []string{"statement"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "metricstream_clickhouse_errors_total", Help: "Statements that failed."}, []string{"statement"}),
		limits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "metricstream_clickhouse_limit_hits_total", Help: "Reads that ended at a limit."}, []string{"limit"}),
	}
	if r != nil {
		r.MustRegister(m.insertSeconds, m.insertRows, m.selectSeconds, m.selectRows, m.errors, m.limits)
	}
	return m
}

func (m *metrics) inserted(table string, rows int, begin time.Time, err error) {
	if err != nil {
		m.errors.WithLabelValues("insert " + table).Inc()
		return
	}
	m.insertSeconds.WithLabelValues(table).Observe(time.Since(begin).Seconds())
	m.insertRows.WithLabelValues(table).Add(float64(rows))
}

func (m *metrics) selected(statement string, rows int, begin time.Time, err error) {
	m.selectRows.WithLabelValues(statement).Add(float64(rows))
	m.selectSeconds.WithLabelValues(statement).Observe(time.Since(begin).Seconds())
	if err != nil {
		m.errors.WithLabelValues("select " + statement).Inc()
	}
}
