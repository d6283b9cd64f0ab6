package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"

	"github.com/IBM/sarama"

	"github.com/metricstream/metricstream/kafka/record"
	"github.com/metricstream/metricstream/store"
)

// ReplayProgress is how far a replay has come.
type ReplayProgress struct {
	// Rest is what has not been written yet: a replay of it goes on where this one is.
	Rest Span

	// Records and Rows count what has been written, Unreadable and Refused the records that could not be
	// decoded and that the writer refused; those are left out.
	Records, Rows       int64
	Unreadable, Refused int64
}

// replayBytes bounds the records whose rows are collected for one write.
const replayBytes = 64 << 20

// Replay writes the records of a span again, partition after partition, and calls report after each write. It
// does not move the consumer group, and says nothing of progress to the writer: rows are identified by what they
// are, so that writing them again changes nothing. A writer that is not available is waited for. On an error, ctx's
// included, and report's, what is returned says where to go on.
func (a *Archive) Replay(ctx context.Context, span Span, w store.Writer, logger *slog.Logger, report func(ReplayProgress) error) (ReplayProgress, error) {
	r := &replay{archive: a, writer: w, logger: logger, report: report}
	if a.erased != nil {
		var err error
		if r.generation, err = a.Generation(ctx); err != nil {
			return r.progress, err
		}
	}
	r.progress.Rest = Span{From: maps.Clone(span.From), To: maps.Clone(span.To)}
	for _, p := range span.Partitions() {
		if err := r.partition(ctx, p, span.From[p], span.To[p]); err != nil {
			return r.progress, fmt.Errorf("cannot replay partition %d: %w", p, err)
		}
	}
	return r.progress, nil
}

// replay is a replay that runs.
type replay struct {
	archive  *Archive
	writer   store.Writer
	logger   *slog.Logger
	report   func(ReplayProgress) error
	progress ReplayProgress

	// generation is the topic's; empty where nobody asks for it. version is that of the list of erasures which the batch
	// was decoded with.
	generation string
	version    uint64

	decoder record.Decoder
	rows    classes
	records []*sarama.ConsumerMessage // that are in the batch
	bytes   int
}

func (r *replay) partition(ctx context.Context, partition int32, from, to int64) error {
	cfg := r.archive.cfg
	next := from
	err := r.archive.source.read(ctx, cfg.Topic, partition, from, to, func(m *sarama.ConsumerMessage) error {
		if err := r.collect(ctx, m); err != nil {
			return err
		}
		next = m.Offset + 1
		if r.rows.rows() < cfg.FlushRows && r.bytes < replayBytes {
			return nil
		}
		return r.flush(ctx, partition, next)
	})
	if err != nil {
		r.reset()
		return err
	}
	return r.flush(ctx, partition, to)
}

// decode decodes a record into the batch, without what was erased.
func (r *replay) decode(ctx context.Context, m *sarama.ConsumerMessage) error {
	erased, err := r.archive.erased.ofMessage(ctx, r.generation, m)
	if err != nil {
		return err
	}
	return decodeKept(&r.decoder, r.rows.of(record.Class(m.Value)), m.Value, erased)
}

// collect adds a record to the batch.
func (r *replay) collect(ctx context.Context, m *sarama.ConsumerMessage) error {
	if len(r.records) == 0 {
		r.version = r.archive.erased.version()
	}
	err := r.decode(ctx, m)
	if errors.Is(err, record.ErrCorrupt) {
		r.progress.Unreadable++
		r.logger.Warn("record left out, it cannot be read", "partition", m.Partition, "offset", m.Offset, "err", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("offset %d: %w", m.Offset, err)
	}
	r.records = append(r.records, m)
	r.bytes += len(m.Value)
	return nil
}

// flush writes the batch and moves the partition's beginning behind it.
func (r *replay) flush(ctx context.Context, partition int32, next int64) error {
	if len(r.records) > 0 {
		err := r.write(ctx, r.records)
		if store.KindOf(err) == store.KindInvalid {
			err = r.single(ctx)
		} else if err == nil {
			r.progress.Records += int64(len(r.records))
			r.progress.Rows += int64(r.rows.rows())
		}
		if err != nil {
			return err
		}
	}
	r.reset()
	r.progress.Rest.From[partition] = next
	if next >= r.progress.Rest.To[partition] {
		delete(r.progress.Rest.From, partition)
		delete(r.progress.Rest.To, partition)
	}
	return r.report(r.progress)
}

// leaveOut decodes the records of the batch again where the list of erasures has changed meanwhile.
func (r *replay) leaveOut(ctx context.Context, records []*sarama.ConsumerMessage) error {
	now := r.archive.erased.version()
	if now == r.version {
		return nil
	}
	r.version = now
	r.rows.reset()
	for _, m := range records {
		if err := r.decode(ctx, m); err != nil {
			return err // it was decoded before
		}
	}
	return nil
}

// single writes the records of a refused batch one by one and leaves out those that are refused alone.
func (r *replay) single(ctx context.Context) error {
	for i, m := range r.records {
		r.rows.reset()
		r.version = r.archive.erased.version()
		if err := r.decode(ctx, m); err != nil {
			return err // it was decoded before
		}
		err := r.write(ctx, r.records[i:i+1])
		switch {
		case err == nil:
			r.progress.Records++
			r.progress.Rows += int64(r.rows.rows())
		case store.KindOf(err) == store.KindInvalid:
			r.progress.Refused++
			r.logger.Warn("record left out, it is refused", "err", err)
		default:
			return err
		}
	}
	return nil
}

// write gives the batch, which was made of records, to the writer until it succeeds, is refused as invalid, or ctx ends.
func (r *replay) write(ctx context.Context, records []*sarama.ConsumerMessage) error {
	retry := newRetry(r.logger, "cannot write what was read from the log")
	for {
		err := r.attempt(ctx, records)
		switch {
		case err == nil:
			retry.succeeded()
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case store.KindOf(err) == store.KindInvalid:
			return err
		}
		retry.failed(ctx, err)
	}
}

// attempt is one attempt of write.
func (r *replay) attempt(ctx context.Context, records []*sarama.ConsumerMessage) error {
	defer r.archive.erased.begin()()
	if err := r.leaveOut(ctx, records); err != nil {
		return err
	}
	return r.rows.write(ctx, nil, r.writer.Write)
}

func (r *replay) reset() {
	r.rows.reset()
	clear(r.records)
	r.records, r.bytes = r.records[:0], 0
}
