package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/metricstream/metricstream/store"
)

// ProgressReader knows how far the rows of a generation of a topic have reached the tables: what Write was given
// as store.Progress, by partition. A partition that it does not name has none.
type ProgressReader interface {
	Progress(ctx context.Context, topic, generation string) (nextOffsets map[int32]int64, err error)
}

// ConsumerOptions are what a consumer works with.
type ConsumerOptions struct {
	// Group is the consumer's membership; Run closes it.
	Group sarama.ConsumerGroup

	// Topic tells the generation of what Group reads, which is a [Log] then; nil where there is only one ever.
	Topic TopicReader

	// Writer is given the rows, from one goroutine.
	Writer store.Writer

	// Progress, where not nil, makes the consumer begin where the tables are when the group's committed
	// offset is beyond: tables that were restored from a backup, or are empty, are filled again.
	Progress ProgressReader

	// Erased is what is left out of records, nil for nothing. Its Run must run.
	Erased *Erased

	// DeadLetter is given the records that cannot be read or that the writer refuses.
	DeadLetter sarama.SyncProducer

	// Tracer makes the spans of flushes, where records say that their requests are recorded; nil makes none.
	Tracer trace.Tracer

	// Logger receives what an operator should know; nil is silence.
	Logger *slog.Logger

	// Registerer receives the consumer's metrics; nil is none.
	Registerer prometheus.Registerer
}

// Consumer reads the log and drives a writer. Offsets are committed only after the writer returned nil for
// everything before them. It keeps no state: any record may be read again.
type Consumer struct {
	cfg       Config
	opts      ConsumerOptions
	logger    *slog.Logger
	metrics   *consumerMetrics
	collector *collector

	mu       sync.Mutex
	claims   map[*claim]struct{}
	flushing map[*claim]struct{} // of the batch that is being written
}

// NewConsumer returns a consumer that Run starts.
func NewConsumer(cfg Config, opts ConsumerOptions) *Consumer {
	c := &Consumer{
		cfg: cfg, opts: opts, logger: opts.Logger,
		collector: newCollector(cfg.FlushRows, cfg.FlushAge),
		claims:    make(map[*claim]struct{}),
		flushing:  make(map[*claim]struct{}),
	}
	if c.logger == nil {
		c.logger = slog.New(slog.DiscardHandler)
	}
	c.metrics = newConsumerMetrics(opts.Registerer, c)
	return c
}

// Run consumes until ctx ends. Then it stops reading, waits for kafka.drain_timeout at most until what it
// collected is written and committed, and leaves the group. The error is nil then.
func (c *Consumer) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	flushing, stopFlushing := context.WithCancel(context.WithoutCancel(ctx))
	wg.Go(func() { c.flushLoop(flushing) })
	wg.Go(func() { c.logErrors() })
	c.consume(ctx)
	stopFlushing()
	err := c.opts.Group.Close() // ends logErrors
	wg.Wait()
	if err != nil {
		return fmt.Errorf("cannot leave consumer group %s: %w", c.cfg.Group, err)
	}
	return nil
}

// consume joins the group again and again until ctx ends.
func (c *Consumer) consume(ctx context.Context) {
	retry := newRetry(c.logger, "cannot consume from the log")
	for ctx.Err() == nil {
		began := time.Now()
		err := c.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil && time.Since(began) > time.Second {
			retry.succeeded()
			continue
		}
		if err == nil {
			err = errSessionEnded
		}
		retry.failed(ctx, err)
	}
}

// session is a member of the group until the group, ctx or the topic's generation ends it.
func (c *Consumer) session(ctx context.Context) error {
	generation, err := c.generation(ctx)
	if err != nil {
		return err
	}
	session, end := context.WithCancel(ctx)
	var watching sync.WaitGroup
	if c.opts.Topic != nil {
		watching.Go(func() { c.watch(session, generation, end) })
	}
	err = c.opts.Group.Consume(session, []string{c.cfg.Topic}, &handler{consumer: c, ctx: ctx, generation: generation, end: end})
	end()
	watching.Wait()
	return err
}

// generation returns the topic's generation.
func (c *Consumer) generation(ctx context.Context) (string, error) {
	if c.opts.Topic == nil {
		return "", nil
	}
	return c.opts.Topic.Generation(ctx)
}

// watch ends a session when the topic is no longer the one that the session began with. Until then it may read and
// commit in the next topic as if that were the former one, which harms nothing: the tables have no progress of the next
// one then, so that the next session begins at its beginning, whatever was committed.
func (c *Consumer) watch(ctx context.Context, generation string, end func()) {
	tick := time.NewTicker(generationAge)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now, err := c.generation(ctx); err == nil && now != generation {
			c.logger.Warn("the topic was deleted and created again, reading it from its beginning", "topic", c.cfg.Topic, "generation", now)
			end()
			return
		}
	}
}

var errSessionEnded = fmt.Errorf("the session ended at once")

// logErrors logs what the group reports beside Consume, once for each different message in a row.
func (c *Consumer) logErrors() {
	last := ""
	for err := range c.opts.Group.Errors() {
		c.metrics.groupErrors.Inc()
		if err.Error() != last {
			last = err.Error()
			c.logger.Warn("consumer group error", "err", err)
		}
	}
}
