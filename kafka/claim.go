package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/IBM/sarama"

	"github.com/metricstream/metricstream/internal/failpoint"
	"github.com/metricstream/metricstream/kafka/record"
)

// claim is a partition from when this consumer got it to when it gave it back.
type claim struct {
	session   sarama.ConsumerGroupSession
	of        sarama.ConsumerGroupClaim
	partition int32

	// generation is the topic's as the session knows it, end ends the session.
	generation string
	end        context.CancelFunc

	// last is the batch that the last record went into, first the time of the first one, maxMs the time of
	// the latest sample; the collector guards them.
	last  uint64
	first time.Time
	maxMs int64

	// written is how far the tables have what the claim read; the consumer guards it.
	written reached

	// givenUp claims write nothing more; the consumer guards it.
	givenUp bool
}

// handler is one session's part of a consumer.
type handler struct {
	consumer *Consumer
	ctx      context.Context // Run's: the session's is done before the last rows are written

	// generation is the topic's when the session began. Commits carry it as their metadata, for whoever looks at
	// them; what counts is the tables' progress in it.
	generation string

	// end ends the session.
	end context.CancelFunc
}

// Setup takes the claims back to where the tables are.
func (h *handler) Setup(s sarama.ConsumerGroupSession) error {
	progress, err := h.progress(s.Context())
	if err != nil {
		return err
	}
	if progress == nil {
		return nil
	}
	for _, p := range s.Claims()[h.consumer.cfg.Topic] {
		// Without a committed offset, and with one that is not beyond, this does nothing.
		s.ResetOffset(h.consumer.cfg.Topic, p, progress[p], h.generation)
	}
	return nil
}

// Cleanup does nothing: each claim has drained when it returned.
func (h *handler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// progress returns where the tables are, nil where nobody is to be asked. What they have of another generation of the
// topic does not count: its offsets are of other records.
func (h *handler) progress(ctx context.Context) (map[int32]int64, error) {
	c := h.consumer
	if c.opts.Progress == nil {
		return nil, nil
	}
	progress, err := c.opts.Progress.Progress(ctx, c.cfg.Topic, h.generation)
	if err != nil {
		return nil, fmt.Errorf("cannot read how far topic %s was written: %w", c.cfg.Topic, err)
	}
	if progress == nil {
		progress = map[int32]int64{}
	}
	return progress, nil
}

// ConsumeClaim collects a partition's records until it is revoked or the session ends, and returns when they
// are written.
func (h *handler) ConsumeClaim(s sarama.ConsumerGroupSession, of sarama.ConsumerGroupClaim) error {
	c := h.consumer
	if c.opts.Erased.await(s.Context()) != nil {
		return nil // the session is over
	}
	rewound, err := h.rewind(s, of)
	if rewound || err != nil {
		return err
	}
	cl := &claim{session: s, of: of, partition: of.Partition(), generation: h.generation, end: h.end}
	cl.written.next = of.InitialOffset()
	c.addClaim(cl)
	defer c.removeClaim(cl)
	from := "oldest"
	if offset := of.InitialOffset(); offset >= 0 {
		from = strconv.FormatInt(offset, 10)
	}
	c.logger.Info("partition claimed", "partition", cl.partition, "from_offset", from)
	first := true
	for m := range of.Messages() {
		if first {
			// Where the log ends before the committed offset it is read from its beginning. The commit has to
			// go back too: new records take the offsets up to it, and would be skipped after a restart.
			s.ResetOffset(m.Topic, m.Partition, m.Offset, h.generation)
			first = false
		}
		if err := h.collect(cl, m); err != nil {
			h.stopPartition(cl, m, err)
			break
		}
	}
	h.drain(cl)
	c.logger.Info("partition released", "partition", cl.partition)
	return nil
}

// rewind looks whether a claim that came after Setup begins beyond the tables. If so it commits the earlier
// offset and reports true: the session has to end, because a claim's beginning cannot be changed.
func (h *handler) rewind(s sarama.ConsumerGroupSession, of sarama.ConsumerGroupClaim) (bool, error) {
	begin := of.InitialOffset()
	if begin <= 0 {
		return false, nil // the oldest
	}
	progress, err := h.progress(s.Context())
	if err != nil || progress == nil || progress[of.Partition()] >= begin {
		return false, err
	}
	s.ResetOffset(of.Topic(), of.Partition(), progress[of.Partition()], h.generation)
	s.Commit()
	h.consumer.logger.Warn("the tables have less than was committed, reading the log again", "partition", of.Partition(),
		"committed_offset", begin, "from_offset", progress[of.Partition()])
	return true, nil
}

// collect adds a record to the batch, or to the dead letters.
func (h *handler) collect(cl *claim, m *sarama.ConsumerMessage) error {
	c := h.consumer
	ctx := cl.session.Context()
	version := c.opts.Erased.version()
	erased, err := c.opts.Erased.ofMessage(ctx, cl.generation, m)
	if err == nil {
		err = c.collector.add(ctx, cl, m, erased, version)
	}
	if errors.Is(err, record.ErrCorrupt) {
		if err := c.deadLetter(ctx, m, err); err != nil {
			return err
		}
		c.collector.skip(cl, m)
		return nil
	}
	return err
}

// stopPartition keeps the partition without reading on, so that the others go on.
func (h *handler) stopPartition(cl *claim, m *sarama.ConsumerMessage, err error) {
	if cl.session.Context().Err() != nil {
		return
	}
	c := h.consumer
	c.logger.ErrorContext(ofRecord(cl.session.Context(), m), "partition stopped: a record cannot be read by this program; update it", "partition", cl.partition,
		"offset", m.Offset, "err", err)
	stopped := c.metrics.stopped.WithLabelValues(strconv.Itoa(int(cl.partition)))
	stopped.Set(1)
	this := map[string][]int32{c.cfg.Topic: {cl.partition}}
	c.opts.Group.Pause(this)
	for range cl.of.Messages() { // what was fetched already is read again later
	}
	c.opts.Group.Resume(this)
	stopped.Set(0)
}

// drain waits until the claim's rows are written and committed. When the session is over it waits no longer
// than drain_timeout; what is not written by then is read again by the next owner.
func (h *handler) drain(cl *claim) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(h.ctx))
	defer cancel()
	stop := context.AfterFunc(cl.session.Context(), func() {
		timeout, release := context.WithTimeout(ctx, h.consumer.cfg.DrainTimeout)
		defer release()
		<-timeout.Done()
		cancel()
	})
	defer stop()
	failpoint.Hit("consumer/revoked")
	if !h.consumer.collector.drain(ctx, cl) {
		h.consumer.logger.Warn("partition released before its last rows were written; they will be read again", "partition", cl.partition)
	}
}

func (c *Consumer) addClaim(cl *claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.claims[cl] = struct{}{}
}

func (c *Consumer) removeClaim(cl *claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.claims, cl)
}
