package cache

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	queries, steps, hot          *prometheus.CounterVec
	fetches                      *prometheus.CounterVec
	bytes, entries, sharedUp     prometheus.Gauge
	evictions, tooLarge, corrupt prometheus.Counter
	sharedErrors, sharedBytes    prometheus.Counter
	failures                     prometheus.Counter
}

// Results of queries, and of looks at what is kept, as the values of metrics' labels.
const (
	hit, partial, miss, bypass = "hit", "partial", "miss", "bypass"

	fromLocal, fromShared, invalidated, absent = "memory", "redis", "invalidated", "absent"

	evaluatedNow, remembered, joined = "evaluated", "remembered", "joined"
)

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "metricstream_query_cache_" + name, Help: help})
	}
	vector := func(name, help, label string, values ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "metricstream_query_cache_" + name, Help: help}, []string{label})
		for _, value := range values {
			v.WithLabelValues(value)
		}
		return v
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "metricstream_query_cache_" + name, Help: help})
	}
	m := &metrics{
		queries: vector("range_queries_total", "Range queries, by whether all of the answer, a part or nothing of it was remembered, or it is none that is remembered.",
			"result", hit, partial, miss, bypass),
		steps: vector("steps_total", "Steps of range queries that can be remembered, by where their values came from.",
			"source", remembered, evaluatedNow),
		hot: vector("instant_queries_total", "Instant queries, by whether they were evaluated, took part in an evaluation under way, in one of the last second, or in that of another querier (redis).",
			"source", evaluatedNow, joined, remembered, fromShared),
		fetches: vector("blocks_total", "Blocks of time that were looked for, by where they were found; invalidated ones were found and no longer hold.",
			"result", fromLocal, fromShared, invalidated, absent),
		bytes:        gauge("bytes", "Memory of remembered answers in this process; cache.max_bytes is the limit."),
		entries:      gauge("entries", "Remembered blocks in this process."),
		sharedUp:     gauge("redis_up", "Whether Redis answered when it was last asked for remembered answers; 0 too where there is none."),
		evictions:    counter("evictions_total", "Blocks that were forgotten for want of memory."),
		tooLarge:     counter("too_large_total", "Blocks that were not remembered because they were too large."),
		corrupt:      counter("corrupt_total", "Blocks and answers in Redis that were not what this program had written. They are computed again."),
		sharedErrors: counter("redis_errors_total", "Exchanges with Redis that failed."),
		sharedBytes:  counter("redis_written_bytes_total", "Compressed bytes that were sent to Redis."),
		failures:     counter("failures_total", "Queries that were evaluated as a whole because it could not be found out what has changed."),
	}
	if r != nil {
		r.MustRegister(m.queries, m.steps, m.hot, m.fetches, m.bytes, m.entries, m.sharedUp, m.evictions, m.tooLarge, m.corrupt,
			m.sharedErrors, m.sharedBytes, m.failures)
	}
	return m
}
