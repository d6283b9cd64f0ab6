package quota

import "github.com/prometheus/client_golang/prometheus"

type metrics struct{ errors, unwritten prometheus.Counter }

func newMetrics(reg prometheus.Registerer, l *Ledger) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		errors: counter("metricstream_limits_exchange_errors_total", "Exchanges of the use of limits with other receivers, or with the disk, that failed."),
		unwritten: counter("metricstream_limits_journal_unwritten_bytes_total",
			"Bytes, some eight for each series, that were not written to the journal of active series because that of half an hour was too long already."),
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	reg.MustRegister(m.errors, m.unwritten,
		gauge("metricstream_limits_shared_up", "1 while limits are shared with other receivers, 0 while this one counts alone, also because no Redis is configured.", func() float64 {
			if l.shared == nil || l.away.Load() {
				return 0
			}
			return 1
		}),
		gauge("metricstream_limits_receivers", "Receivers that share the limits, as last heard.", func() float64 { return float64(l.receivers.Load()) }),
		gauge("metricstream_limits_subjects", "Limits on rates, of tenants and keys, that are counted at the moment.", func() float64 {
			l.mu.RLock()
			defer l.mu.RUnlock()
			return float64(len(l.buckets))
		}),
		gauge("metricstream_limits_tenants", "Tenants whose use is known at the moment.", func() float64 {
			l.mu.RLock()
			defer l.mu.RUnlock()
			return float64(len(l.accounts))
		}),
	)
	return m
}
