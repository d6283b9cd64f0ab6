package db

import "github.com/prometheus/client_golang/prometheus"

type metrics struct{ up, refreshed prometheus.Gauge }

func newMetrics(r prometheus.Registerer, d *DB) *metrics {
	m := &metrics{
		up:        prometheus.NewGauge(prometheus.GaugeOpts{Name: "metricstream_metadata_up", Help: "1 while the metadata database answers; while it is 0, tenants and keys stay as they are known and changes are refused."}),
		refreshed: prometheus.NewGauge(prometheus.GaugeOpts{Name: "metricstream_metadata_refreshed_timestamp_seconds", Help: "When this process last knew that it has the newest metadata."}),
	}
	m.up.Set(1)
	m.refreshed.Set(float64(d.now().UnixMilli()) / 1000)
	if r != nil {
		r.MustRegister(m.up, m.refreshed, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "metricstream_metadata_version", Help: "The version of the metadata that is in force here; each change adds one.",
		}, func() float64 { return float64(d.Snapshot().version) }))
	}
	return m
}
