package api

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
	limits   *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "metricstream_api_request_duration_seconds",
			Help:    "How long requests of the query API took, their response included, by endpoint and status code.",
			Buckets: []float64{.001, .005, .025, .1, .25, .5, 1, 2.5, 5, 10, 30, 120},
		}, []string{"handler", "code"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "metricstream_api_queries_in_flight",
			Help: "PromQL queries and remote reads that run or wait for their turn.",
		}),
		limits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "metricstream_api_limit_hits_total",
			Help: "Requests that ended at a limit: those of query.* and of tenants and keys by their names, resolution (more than 11,000 points), queue (too many wait for a turn), concurrency (waited too long for one).",
		}, []string{"limit"}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.duration, m.inFlight, m.limits} {
		errs = append(errs, r.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("cannot register the metrics of the HTTP API: %w", err)
	}
	return m, nil
}
