package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"

	"github.com/metricstream/metricstream/internal/failpoint"
	"github.com/metricstream/metricstream/kafka/record"
	"github.com/metricstream/metricstream/store"
)

// flushLoop writes the batches of the collector, one after the other, until ctx ends.
func (c *Consumer) flushLoop(ctx context.Context) {
	for {
		p, wait := c.collector.ready(time.Now())
		if p != nil {
			if err := c.flush(ctx, p); err != nil {
				return // ctx is done
			}
			c.collector.done(p)
			continue
		}
		var due <-chan time.Time
		if wait > 0 {
			due = time.After(wait)
		}
		select {
		case <-c.collector.wake:
		case <-due:
		case <-ctx.Done():
			return
		}
	}
}

// flush writes a batch, then commits. It fails only when ctx ends.
func (c *Consumer) flush(ctx context.Context, p *pending) error {
	if !c.startFlush(p) {
		return nil
	}
	begin := time.Now()
	p.progress = c.progressOf(p)
	failpoint.Hit("consumer/before-insert")
	err := p.rows.write(ctx, p.progress, c.write)
	if store.KindOf(err) == store.KindInvalid {
		c.logger.Error("the writer refuses a batch; looking for the record that is the cause", "records", len(p.records), "err", err)
		if err = c.isolate(ctx, p.records); err == nil {
			err = c.write(ctx, &store.Batch{Progress: p.progress})
		}
	}
	if errors.Is(err, errRestored) {
		return nil // not committed: the next session reads it again
	}
	if err != nil {
		return err
	}
	c.metrics.rows.Add(float64(p.rows.rows()))
	c.metrics.flushRows.Observe(float64(p.rows.rows()))
	c.metrics.flushSeconds.Observe(time.Since(begin).Seconds())
	failpoint.Hit("consumer/before-commit")
	c.commit(p)
	return nil
}

// progressOf returns how far the records of a batch take the claims. It uses the memory of p.progress.
func (c *Consumer) progressOf(p *pending) []store.Progress {
	progress := p.progress[:0]
	for cl, r := range p.claims {
		progress = append(progress, store.Progress{Topic: c.cfg.Topic, Generation: cl.generation, Partition: cl.partition, NextOffset: r.next, MaxMs: r.maxMs})
	}
	return progress
}

// write gives a batch to the writer until it succeeds, is refused as invalid, or ctx ends.
func (c *Consumer) write(ctx context.Context, b *store.Batch) error {
	retry := newRetry(c.logger, "cannot write what was read from the log; nothing is lost, the log is not read on")
	write := c.opts.Writer.Write
	for {
		err := write(ctx, b)
		switch {
		case err == nil:
			retry.succeeded()
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case store.KindOf(err) == store.KindInvalid, errors.Is(err, errRestored):
			return err
		}
		c.metrics.retries.Inc()
		retry.failed(ctx, err)
		write = c.writeAgain
	}
}

// isolate writes records of a batch that was refused in ever smaller parts, until those that are refused alone
// are known. They become dead letters.
func (c *Consumer) isolate(ctx context.Context, records []*sarama.ConsumerMessage) error {
	if len(records) == 0 {
		return nil
	}
	var again classes
	var d record.Decoder
	for _, m := range records {
		if err := d.Decode(again.of(record.Class(m.Value)), m.Value); err != nil {
			return err // it was decoded before
		}
	}
	err := again.write(ctx, nil, c.write)
	switch {
	case store.KindOf(err) != store.KindInvalid || err == nil:
		return err
	case len(records) == 1:
		return c.deadLetter(ctx, records[0], err)
	}
	half := len(records) / 2
	if err := c.isolate(ctx, records[:half]); err != nil {
		return err
	}
	return c.isolate(ctx, records[half:])
}

// commit marks and commits what the batch reached, for the claims that this consumer still has.
func (c *Consumer) commit(p *pending) {
	sessions := make(map[sarama.ConsumerGroupSession]struct{})
	c.mu.Lock()
	for cl, r := range p.claims {
		if _, held := c.claims[cl]; held {
			cl.session.MarkOffset(c.cfg.Topic, cl.partition, r.next, cl.generation)
			cl.committed = r
			sessions[cl.session] = struct{}{}
		}
	}
	c.mu.Unlock()
	for s := range sessions {
		s.Commit()
	}
}
