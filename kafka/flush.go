package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"

	"github.com/metricstream/metricstream/internal/failpoint"
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
	ctx, spans := c.correlate(ctx, p)
	err := c.writeBatch(ctx, p)
	spans.end(err)
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

// writeBatch writes a batch; records of it that the writer refuses become dead letters.
func (c *Consumer) writeBatch(ctx context.Context, p *pending) error {
	err := c.write(ctx, &p.rows, p.progress, func() error { return c.leaveOut(ctx, p) })
	if store.KindOf(err) == store.KindInvalid {
		c.logger.ErrorContext(ctx, "the writer refuses a batch; looking for the record that is the cause", "records", len(p.records), "err", err)
		var good []*sarama.ConsumerMessage
		if good, err = c.isolate(ctx, nil, p.records); err == nil {
			err = c.writeRecords(ctx, good, p.progress)
		}
	}
	return err
}

// progressOf returns how far the records of a batch take the claims. It uses the memory of p.progress.
func (c *Consumer) progressOf(p *pending) []store.Progress {
	progress := p.progress[:0]
	for cl, r := range p.claims {
		progress = append(progress, store.Progress{Topic: c.cfg.Topic, Generation: cl.generation, Partition: cl.partition, NextOffset: r.next, MaxMs: r.maxMs})
	}
	return progress
}

// write gives rows and then the progress that speaks of them to the writer until it succeeds, is refused as invalid, or
// ctx ends. After a failure all of it is written again: what was there may have been lost with the tables. Before each
// attempt prepare makes the rows what they are to be by the list of erasures as it is then.
func (c *Consumer) write(ctx context.Context, rows *classes, progress []store.Progress, prepare func() error) error {
	retry := newRetry(c.logger, "cannot write what was read from the log; nothing is lost, the log is not read on")
	for {
		err := c.attempt(ctx, rows, progress, prepare)
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
	}
}

// attempt is one attempt of write.
func (c *Consumer) attempt(ctx context.Context, rows *classes, progress []store.Progress, prepare func() error) error {
	if err := c.checkTables(ctx); err != nil {
		return err
	}
	defer c.opts.Erased.begin()()
	if err := prepare(); err != nil {
		return err
	}
	return rows.write(ctx, progress, c.opts.Writer.Write)
}

// writeRecords writes what records have, which have been decoded before, without what was erased.
func (c *Consumer) writeRecords(ctx context.Context, records []*sarama.ConsumerMessage, progress []store.Progress) error {
	var rows classes
	return c.write(ctx, &rows, progress, func() error {
		rows.reset()
		return c.decodeAll(ctx, &rows, records)
	})
}

// isolate writes records of a batch that was refused in ever smaller parts, until those that are refused alone are known.
// They become dead letters; the others are appended to good.
func (c *Consumer) isolate(ctx context.Context, good, records []*sarama.ConsumerMessage) ([]*sarama.ConsumerMessage, error) {
	if len(records) == 0 {
		return good, nil
	}
	err := c.writeRecords(ctx, records, nil)
	switch {
	case err == nil:
		return append(good, records...), nil
	case store.KindOf(err) != store.KindInvalid:
		return nil, err
	case len(records) == 1:
		return good, c.deadLetter(ctx, records[0], err)
	}
	half := len(records) / 2
	if good, err = c.isolate(ctx, good, records[:half]); err != nil {
		return nil, err
	}
	return c.isolate(ctx, good, records[half:])
}

// commit marks and commits what the batch reached, for the claims that this consumer still has.
func (c *Consumer) commit(p *pending) {
	sessions := make(map[sarama.ConsumerGroupSession]struct{})
	c.mu.Lock()
	for cl, r := range p.claims {
		cl.written = r // whoever has the partition now: another batch of the claim may be under way, see checkTables
		if _, held := c.claims[cl]; held {
			cl.session.MarkOffset(c.cfg.Topic, cl.partition, r.next, cl.generation)
			sessions[cl.session] = struct{}{}
		}
	}
	c.mu.Unlock()
	for s := range sessions {
		s.Commit()
	}
}
