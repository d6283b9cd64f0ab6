package kafka

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type consumerMetrics struct {
	rows, retries, deadLetters, groupErrors prometheus.Counter
	flushRows, flushSeconds                 prometheus.Histogram
	stopped                                 *prometheus.GaugeVec
}

func newConsumerMetrics(r prometheus.Registerer, c *Consumer) *consumerMetrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "metricstream_consumer_" + name, Help: help})
	}
	m := &consumerMetrics{
		rows:        counter("rows_total", "Rows of all kinds that were read from the log and written."),
		retries:     counter("retries_total", "Writes that failed and were tried again."),
		deadLetters: counter("dead_letters_total", "Records that could not be read or written and went to the dead-letter topic."),
		groupErrors: counter("group_errors_total", "Errors that the consumer group reported."),
		flushRows: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "metricstream_consumer_flush_rows", Help: "Rows in one write.", Buckets: prometheus.ExponentialBuckets(100, 4, 8),
		}),
		flushSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "metricstream_consumer_flush_seconds", Help: "Time until a write had succeeded, with all attempts.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2.5, 12),
		}),
		stopped: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "metricstream_consumer_partition_stopped", Help: "1 where a record of an unknown version stops the partition.",
		}, []string{"partition"}),
	}
	if r != nil {
		r.MustRegister(m.rows, m.retries, m.deadLetters, m.groupErrors, m.flushRows, m.flushSeconds, m.stopped, &lag{consumer: c})
	}
	return m
}

var (
	lagRecords = prometheus.NewDesc("metricstream_consumer_lag_records",
		"Records in the partition that are not committed.", []string{"partition"}, nil)
	lagSeconds = prometheus.NewDesc("metricstream_consumer_lag_seconds",
		"Age of the last committed record of the partition, of the first one read where none is; 0 where all are.", []string{"partition"}, nil)
)

// lag computes, when asked, how far the claimed partitions are behind.
type lag struct{ consumer *Consumer }

// Describe implements prometheus.Collector.
func (l *lag) Describe(ch chan<- *prometheus.Desc) {
	ch <- lagRecords
	ch <- lagSeconds
}

// endsTimeout is how long a scrape waits to hear where the log ends.
const endsTimeout = 2 * time.Second

// ends asks where the partitions end. What was fetched last tells it too, but nothing is fetched while the tables are
// away, which is when it matters.
func (l *lag) ends() map[int32]int64 {
	topic, ok := l.consumer.opts.Topic.(interface {
		Ends(ctx context.Context) (Ends, error)
	})
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), endsTimeout)
	defer cancel()
	ends, err := topic.Ends(ctx)
	if err != nil {
		return nil // Kafka is away: what was fetched last has to do
	}
	return ends.Next
}

// Collect implements prometheus.Collector.
func (l *lag) Collect(ch chan<- prometheus.Metric) {
	ends := l.ends()
	l.consumer.mu.Lock()
	defer l.consumer.mu.Unlock()
	for cl := range l.consumer.claims {
		records := max(0, max(ends[cl.partition], cl.of.HighWaterMarkOffset())-max(0, cl.written.next))
		at, seconds := cl.written.at, 0.0
		if at.IsZero() {
			at = l.consumer.collector.first(cl)
		}
		if records > 0 && !at.IsZero() {
			seconds = max(0, time.Since(at).Seconds())
		}
		partition := strconv.Itoa(int(cl.partition))
		ch <- prometheus.MustNewConstMetric(lagRecords, prometheus.GaugeValue, float64(records), partition)
		ch <- prometheus.MustNewConstMetric(lagSeconds, prometheus.GaugeValue, seconds, partition)
	}
}
