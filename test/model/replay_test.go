package model

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/IBM/sarama"

	"github.com/metricstream/metricstream/kafka"
)

// client is the log's bounds as an archive asks for them. What is not written out nobody calls.
type client struct {
	sarama.Client
	w *world
}

// GetOffset returns a partition's beginning or end.
func (r client) GetOffset(_ string, p int32, at int64) (int64, error) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	if at == sarama.OffsetOldest {
		return 0, nil
	}
	return int64(len(r.w.log.parts[p].records)), nil
}

// reader is what an archive reads with.
type reader struct {
	sarama.Consumer
	w *world
}

// Close does nothing.
func (r reader) Close() error { return nil }

// ConsumePartition reads what is in the partition now.
func (r reader) ConsumePartition(_ string, p int32, from int64) (sarama.PartitionConsumer, error) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	records := r.w.log.parts[p].records
	messages := make(chan *sarama.ConsumerMessage, len(records))
	for _, m := range records[min(int(from), len(records)):] {
		messages <- m
	}
	return partitionReader{messages: messages}, nil
}

type partitionReader struct {
	sarama.PartitionConsumer
	messages chan *sarama.ConsumerMessage
}

func (r partitionReader) Messages() <-chan *sarama.ConsumerMessage { return r.messages }
func (r partitionReader) Errors() <-chan *sarama.ConsumerError     { return nil }
func (r partitionReader) Close() error                             { return nil }

// archive opens the log as `metricstream replay` does.
func (w *world) archive() *kafka.Archive {
	return kafka.NewArchive(w.cfg, client{w: w}, func() (sarama.Consumer, error) { return reader{w: w}, nil })
}

// replay is a command that writes a part of the log again while everything else goes on. It is interrupted now and
// then and goes on where it says. The world's lock is held.
func (w *world) replay(r *rand.Rand) {
	w.lives++
	process := &consumer{w: w, id: consumers, life: w.lives}
	w.living = append(w.living, process)
	process.cancel = func() {}
	archive := w.archive()
	from := kafka.Position{}
	w.processes.Go(func() {
		newest, err := kafka.ParsePosition("newest", time.Now())
		if err != nil {
			panic(err)
		}
		span, err := archive.Span(from, newest)
		for n := 0; n < 5 && err == nil && span.Records() > 0 && !w.isDead(process); n++ {
			ctx, cancel := context.WithTimeout(w.ctx, time.Duration(1+r.IntN(200<<n))*time.Millisecond)
			var done kafka.ReplayProgress
			done, err = archive.Replay(ctx, span, tableWriter{w, process}, slog.New(slog.DiscardHandler), func(kafka.ReplayProgress) error { return nil })
			if ctx.Err() != nil {
				err = nil
			}
			cancel()
			span = done.Rest
		}
	})
}

func (w *world) isDead(process *consumer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return process.dead
}

// replayTwice writes the whole log again, twice, and then once into empty tables. The world has come to its end: nothing
// else runs.
func (w *world) replayTwice() {
	before := len(w.tables.steps)
	w.replayAll()
	w.replayAll()
	known := newRows()
	known.add(w.tables.steps[:before])
	if known.add(w.tables.steps[before:]) {
		w.fail("a replay added a row")
	}
	w.tables.restore(0)
	w.oracle.release(w)
	w.faults.tables = 20
	w.replayAll()
	w.compare()
}

// replayAll writes the whole log, in several goes where one takes long.
func (w *world) replayAll() {
	archive := w.archive()
	newest, err := kafka.ParsePosition("newest", time.Now())
	if err != nil {
		panic(err)
	}
	span, err := archive.Span(kafka.Position{}, newest)
	if err != nil {
		w.fail("the replay cannot begin: %v", err)
		return
	}
	w.lives++
	to := tableWriter{w, &consumer{w: w, id: consumers, life: w.lives, cancel: func() {}}}
	for n := 1; span.Records() > 0; n++ {
		if n > 100 {
			w.fail("the replay leaves %d records: %v", span.Records(), err)
			return
		}
		ctx, cancel := context.WithTimeout(w.ctx, time.Duration(n*n*20)*time.Millisecond)
		var done kafka.ReplayProgress
		done, err = archive.Replay(ctx, span, to, slog.New(slog.DiscardHandler), func(kafka.ReplayProgress) error { return nil })
		cancel()
		span = done.Rest
	}
}
