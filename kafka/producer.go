package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"

	"github.com/metricstream/metricstream/correlation"
	"github.com/metricstream/metricstream/internal/failpoint"
	"github.com/metricstream/metricstream/kafka/record"
	"github.com/metricstream/metricstream/store"
)

// ProducerOptions are what a producer works with.
type ProducerOptions struct {
	// Partitions is the number of the topic's partitions.
	Partitions int

	// Topic tells the topic's generation, which is in receipts; nil where there is only one ever.
	Topic TopicReader

	// Registerer receives the producer's metrics; nil is none.
	Registerer prometheus.Registerer

	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Producer is the [store.Writer] of a receiver: nil means that every record of the batch is acknowledged by the
// log. It puts each row into the partition of its key.
type Producer struct {
	cfg        Config
	log        sarama.SyncProducer
	partitions int
	now        func() time.Time
	announced  atomic.Pointer[announcements]
	generation currentGeneration
	metrics    *producerMetrics
	scratch    sync.Pool // of *scratch
}

// scratch is the memory of one Write.
type scratch struct {
	parts    []store.Batch
	encoder  record.Encoder
	buf      []byte
	messages []*sarama.ProducerMessage
	headers  []sarama.RecordHeader
	failed   []bool

	// abandoned is memory that the log still reads.
	abandoned bool
}

// NewProducer returns a producer that sends through log, which stays the caller's to close.
func NewProducer(cfg Config, log sarama.SyncProducer, opts ProducerOptions) *Producer {
	p := &Producer{
		cfg: cfg, log: log, partitions: opts.Partitions, now: opts.Now,
		generation: currentGeneration{topic: opts.Topic},
	}
	p.forget()
	if p.now == nil {
		p.now = time.Now
	}
	p.metrics = newProducerMetrics(opts.Registerer, p.announced.Load)
	p.scratch.New = func() any {
		return &scratch{parts: make([]store.Batch, opts.Partitions), failed: make([]bool, opts.Partitions)}
	}
	return p
}

// forget makes every label set travel again.
func (p *Producer) forget() {
	p.announced.Store(newAnnouncements(p.partitions, p.cfg.MaxAnnouncedSeries, p.cfg.AnnounceInterval))
}

// Write implements [store.Writer], and fills the context's [store.Receipt]. It does not look at ctx once it sends: the log's own time limits hold. Rows
// that do not fit into a record are refused with an error of [store.KindInvalid], and nothing of the batch is sent: a
// sender that tried again would be held up by them for ever.
func (p *Producer) Write(ctx context.Context, b *store.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, span := correlation.Span(ctx, "produce")
	s := p.scratch.Get().(*scratch)
	defer p.release(s)
	err := p.write(ctx, s, b)
	if span.IsRecording() {
		span.SetAttributes(attribute.Int("records", len(s.messages)), attribute.Int("bytes", len(s.buf)), attribute.Int("samples", b.Samples.Len()))
	}
	correlation.End(span, err)
	return err
}

// write is Write with the memory for it.
func (p *Producer) write(ctx context.Context, s *scratch, b *store.Batch) error {
	s.headers = appendHeaders(ctx, s.headers[:0])
	now := p.now()
	generation, changed := p.generation.get(ctx, now)
	if changed {
		p.forget() // the label sets went into the former topic
	}
	announced := p.announced.Load()
	split(s.parts, b)
	for i := range s.parts {
		part := &s.parts[i]
		part.Series = announced.due(i, part.Series, now)
		if part.Empty() {
			continue
		}
		if err := p.encode(s, int32(i), part); err != nil {
			return err
		}
	}
	if err := p.send(s, announced, now); err != nil {
		return err
	}
	if r := store.ReceiptOf(ctx); r != nil {
		s.fill(r, generation)
	}
	return nil
}

// fill makes a receipt of what was sent. The messages of a partition stand together, in the order of their offsets.
func (s *scratch) fill(r *store.Receipt, generation string) {
	r.Generation, r.Offsets = generation, r.Offsets[:0]
	for i, m := range s.messages {
		if i+1 == len(s.messages) || s.messages[i+1].Partition != m.Partition {
			r.Offsets = append(r.Offsets, store.PartitionOffset{Partition: m.Partition, Offset: m.Offset})
		}
	}
}

// release keeps the memory of a Write, but no more of it than is usual.
func (p *Producer) release(s *scratch) {
	const usual = 4 << 20
	if s.abandoned || cap(s.buf) > usual {
		return
	}
	for i := range s.parts {
		s.parts[i].Reset()
	}
	s.buf = s.buf[:0]
	clear(s.messages)
	s.messages = s.messages[:0]
	clear(s.headers)
	clear(s.failed)
	p.scratch.Put(s)
}

// encode makes the records of one partition.
func (p *Producer) encode(s *scratch, partition int32, part *store.Batch) error {
	begin := len(s.buf)
	s.buf = s.encoder.Append(s.buf, part)
	value := s.buf[begin:]
	if len(value) <= p.cfg.MaxRecordBytes {
		s.messages = append(s.messages, &sarama.ProducerMessage{
			Topic: p.cfg.Topic, Partition: partition, Value: sarama.ByteEncoder(value), Headers: s.headers,
		})
		return nil
	}
	s.buf = s.buf[:begin]
	first, second, ok := halves(part)
	if !ok {
		return store.Invalidf("cannot put one row of %d bytes into a record of at most %d (kafka.max_record_bytes)", len(value), p.cfg.MaxRecordBytes)
	}
	if err := p.encode(s, partition, &first); err != nil {
		return err
	}
	return p.encode(s, partition, &second)
}

// send sends all records and remembers the announcements of the partitions that have all of theirs.
func (p *Producer) send(s *scratch, announced *announcements, now time.Time) error {
	if len(s.messages) == 0 {
		return nil
	}
	begin := time.Now()
	failpoint.Do("producer/partial", func() { _ = p.log.SendMessages(s.messages[:(len(s.messages)+1)/2]) })
	err := p.deliver(s)
	p.metrics.seconds.Observe(time.Since(begin).Seconds())
	if err != nil {
		p.metrics.failures.Inc()
		var failed sarama.ProducerErrors
		if !errors.As(err, &failed) {
			return fmt.Errorf("cannot append to the log: %w", err)
		}
		for _, f := range failed {
			s.failed[f.Msg.Partition] = true
		}
		err = fmt.Errorf("cannot append %d of %d records to the log: %w", len(failed), len(s.messages), failed[0].Err)
	}
	for i := range s.parts {
		if part := &s.parts[i]; !s.failed[i] {
			announced.sent(i, part.Series, now)
			p.metrics.announced.Add(float64(len(part.Series)))
			p.metrics.samples.Add(float64(part.Samples.Len()))
		}
	}
	p.metrics.records.Add(float64(len(s.messages)))
	p.metrics.bytes.Add(float64(len(s.buf)))
	return err
}

type producerMetrics struct {
	records, bytes, samples, announced, failures prometheus.Counter
	seconds                                      prometheus.Histogram
}

func newProducerMetrics(r prometheus.Registerer, announced func() *announcements) *producerMetrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "metricstream_producer_" + name, Help: help})
	}
	m := &producerMetrics{
		records:   counter("records_total", "Records sent to the log."),
		bytes:     counter("bytes_total", "Bytes of the records sent to the log."),
		samples:   counter("samples_total", "Samples that the log acknowledged."),
		announced: counter("announced_series_total", "Label sets that travelled with samples and were acknowledged."),
		failures:  counter("failures_total", "Batches of which the log did not acknowledge every record."),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "metricstream_producer_seconds", Help: "Time until the log had answered for all records of a batch.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2.5, 12),
		}),
	}
	if r != nil {
		r.MustRegister(m.records, m.bytes, m.samples, m.announced, m.failures, m.seconds,
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "metricstream_producer_known_series", Help: "Series whose label sets are remembered as sent.",
			}, func() float64 { return float64(announced().count()) }))
	}
	return m
}
