package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/metricstream/metricstream/cmd/metricstream/internal/config"
	"github.com/metricstream/metricstream/erasure"
	"github.com/metricstream/metricstream/kafka"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse"
	"github.com/metricstream/metricstream/tenant/db"
)

// erased returns the process's list of what was erased, which it starts to keep, nil where there is no metadata that could
// have it.
func (n *node) erased() *kafka.Erased {
	if n.parts.metadata == nil || n.parts.erased != nil {
		return n.parts.erased
	}
	reader := n.parts.metadata.NewReader(n.role.consumes)
	n.parts.erased = kafka.NewErased(erasure.NewSource(n.parts.metadata, n.config.Kafka.Topic, reader, n.registry), n.logger)
	n.stack.Go("the list of erasures", n.parts.erased.Run)
	return n.parts.erased
}

// addEraser starts the job that erases, beside the consumer: the one that has the first partition does it.
func (n *node) addEraser(consumer *kafka.Consumer, erased *kafka.Erased) {
	if n.parts.metadata == nil {
		return
	}
	archive := n.parts.log.Archive(n.config.Kafka)
	archive.LeaveOut(erased, nil)
	job := erasure.NewJob(erasure.Options{
		Ledger: n.parts.metadata, Tables: n.parts.store.Eraser(), Answers: n.forgetAnswers(),
		Log:   &erasedLog{node: n, archive: archive},
		Owner: func() bool { return consumer.Has(0) }, Publish: erased.Publish,
		Keep: max(n.parts.policies.Longest(), kafka.LetterAge), Logger: n.logger, Registerer: n.registry,
	})
	n.stack.Go("erasures", job.Run)
}

// erasedLog is the log as the job sees it.
type erasedLog struct {
	node    *node
	archive *kafka.Archive
}

// Ends implements [erasure.Log].
func (l *erasedLog) Ends(ctx context.Context) (erasure.Ends, error) {
	ends, err := l.node.parts.log.Ends(ctx)
	if err != nil {
		return erasure.Ends{}, err
	}
	oldest, _, err := l.archive.Bounds()
	return erasure.Ends{Topic: l.node.config.Kafka.Topic, Generation: ends.Generation, Oldest: oldest, Next: ends.Next}, err
}

// Written implements [erasure.Log].
func (l *erasedLog) Written(ctx context.Context, generation string) (map[int32]int64, error) {
	return l.node.parts.store.Progress(ctx, l.node.config.Kafka.Topic, generation)
}

// WriteAgain implements [erasure.Log].
func (l *erasedLog) WriteAgain(ctx context.Context, from, to map[int32]int64, only func(*store.Batch)) error {
	writer := store.WriterFunc(func(ctx context.Context, b *store.Batch) error {
		only(b)
		if b.Empty() {
			return nil
		}
		return l.node.parts.store.Write(ctx, b)
	})
	_, err := l.archive.Replay(ctx, kafka.Span{From: from, To: to}, writer, l.node.logger, func(kafka.ReplayProgress) error { return nil })
	return err
}

var (
	_ erasure.Tables = (*clickhouse.Eraser)(nil)
	_ erasure.Ledger = (*db.DB)(nil)
)

// leaveOut makes a command leave out of the log what was erased, where there is a database that knows of anything. It returns
// the database, which the archive closes; nil without.
func leaveOut(ctx context.Context, c config.Config, a *kafka.Archive) (*db.DB, error) {
	if c.Metadata.DSN == "" && !exists(filepath.Join(c.Storage.Path, db.File)) {
		return nil, nil
	}
	logger := c.Log.Logger(os.Stderr)
	d, err := db.Open(ctx, c.Metadata, db.Options{Dir: c.Storage.Path, Logger: logger})
	if err != nil {
		return nil, fmt.Errorf("cannot read what was erased, and must not bring it back: %w", err)
	}
	e := kafka.NewErased(erasure.NewSource(d, c.Kafka.Topic, d.NewReader(false), nil), logger)
	if err := e.Refresh(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot read what was erased, and must not bring it back: %w", err), d.Close())
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- e.Run(running) }()
	a.LeaveOut(e, func() error {
		cancel()
		return errors.Join(<-done, d.Close())
	})
	return d, nil
}

// knowsErased refuses to read the log into tables of which more was erased than the metadata database knows, nil for none:
// it would come back.
func knowsErased(ctx context.Context, tables *clickhouse.Store, metadata *db.DB) error {
	applied, err := tables.Eraser().Applied(ctx)
	if err != nil || len(applied) == 0 {
		return err
	}
	if metadata == nil {
		return store.Invalidf("data were erased from these tables, and without the metadata database nobody knows what of the log must not come back: set metadata.dsn (--metadata.dsn) to that of the other roles, or storage.path to its folder")
	}
	open, err := metadata.OpenErasures(ctx)
	if err != nil {
		return err
	}
	for _, e := range open {
		delete(applied, e.ID)
	}
	for id := range applied {
		return store.Invalidf("the metadata database does not know the erasure %s, which these tables have done: it is another one than theirs, or was restored from an older backup, and what the log has of it would come back. Use the right one; where it is lost for good, and the log may be read nevertheless, empty the table erasures_applied", id)
	}
	return nil
}

// guardErased refuses to consume Kafka where what was erased is not known, and goes on looking where there is no metadata
// database: others may begin to erase. The consumer of an embedded log begins where its tables are, so nothing comes back.
func (n *node) guardErased(ctx context.Context) error {
	err := n.retry(ctx, theTables, func() error { return knowsErased(ctx, n.parts.store, n.parts.metadata) })
	if len(n.config.Kafka.Brokers) == 0 {
		if permanent(err) {
			n.logger.Error("what was erased is not known any more; the log must not be replayed", "err", err)
		}
		return ctx.Err()
	}
	if err == nil && n.parts.metadata == nil {
		n.logger.Warn("without metadata.dsn this consumer erases nothing, and ends when another one does")
		n.stack.Go("a look at what was erased", n.watchErased)
	}
	return err
}

// watchErased looks now and then, and fails when something was erased.
func (n *node) watchErased(ctx context.Context) error {
	for {
		select {
		case <-time.After(10 * time.Second):
		case <-ctx.Done():
			return nil
		}
		if err := knowsErased(ctx, n.parts.store, nil); permanent(err) {
			return err
		}
	}
}
