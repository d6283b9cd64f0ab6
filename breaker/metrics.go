package breaker

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/sony/gobreaker/v2"
)

type metrics struct{ failures, refused prometheus.Counter }

func (b *Breaker) register(r prometheus.Registerer) metrics {
	f := promauto.With(r)
	name := prometheus.Labels{"dependency": b.name}
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "metricstream_dependency_open", ConstLabels: name,
		Help: "1 while a dependency is left alone because it failed several times in a row, else 0.",
	}, func() float64 {
		if b.circuit.State() == gobreaker.StateClosed {
			return 0
		}
		return 1
	})
	return metrics{
		failures: f.NewCounter(prometheus.CounterOpts{
			Name: "metricstream_dependency_failures_total", ConstLabels: name,
			Help: "Calls to a dependency that failed, because it was away, too slow or broken.",
		}),
		refused: f.NewCounter(prometheus.CounterOpts{
			Name: "metricstream_dependency_refused_total", ConstLabels: name,
			Help: "Calls that were not made because the dependency was left alone.",
		}),
	}
}
