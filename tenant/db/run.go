package db

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/lib/pq"
)

const (
	// pollEvery, lookTimeout and statementTimeout are such that a change is in force everywhere within 5 s.
	pollEvery   = 2 * time.Second
	lookTimeout = 2 * time.Second
	flushEvery  = time.Minute

	// channel is where PostgreSQL tells of changes.
	channel = "metricstream_metadata"
)

// Run keeps the snapshot fresh and writes the times of last use until ctx ends: changes of other processes are seen by
// PostgreSQL's notifications at once, and by asking every two seconds in any case. While the database is away the
// snapshot stays as it is.
func (d *DB) Run(ctx context.Context) error {
	var changes <-chan *pq.Notification // nil for SQLite: never
	var listens chan struct{}
	if d.postgres {
		listener := pq.NewDialListener(&listening{ctx: ctx}, d.dsn, 100*time.Millisecond, 5*time.Second, nil)
		// Listen waits for the first connection; the loop does not.
		listening := make(chan struct{})
		listens = listening
		go func() {
			defer close(listening)
			if err := listener.Listen(channel); err != nil && ctx.Err() == nil {
				d.logger.Warn("PostgreSQL does not tell of changes; asking every two seconds", "err", err)
			}
		}()
		defer func() { listener.Close(); <-listening }()
		changes = listener.Notify
	}
	poll, flush := time.NewTicker(d.pollEvery), time.NewTicker(flushEvery)
	defer poll.Stop()
	defer flush.Stop()
	flushed := map[string]int64{}
	away := false
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), statementTimeout)
			defer cancel()
			if err := d.flushUses(last, flushed); err != nil {
				d.logger.Warn("the times of the last uses of keys are lost", "err", err)
			}
			return ctx.Err()
		case <-flush.C:
			if err := d.flushUses(ctx, flushed); err != nil {
				d.logger.Warn("the times of the last uses of keys are written later", "err", err)
			}
			continue
		case <-listens:
			listens = nil // nobody has told of what came before
		case <-changes:
		case <-poll.C:
		}
		away = d.look(ctx, away)
	}
}

// look refreshes the snapshot and logs when the database goes away and when it is back.
func (d *DB) look(ctx context.Context, away bool) (nowAway bool) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	_, err := d.refresh(ctx)
	switch {
	case errors.Is(err, context.Canceled):
		return away
	case err != nil && !away:
		d.logger.Warn("the metadata cannot be read: tenants and keys stay as they are known, changes are refused", "database", d.name(), "err", err)
	case err == nil && away:
		d.logger.Info("the metadata can be read again", "database", d.name())
	}
	if err != nil {
		d.metrics.up.Set(0)
		return true
	}
	d.metrics.up.Set(1)
	d.metrics.refreshed.Set(float64(d.now().UnixMilli()) / 1000)
	return false
}

// flushUses writes the times of last use that are newer than those that were written.
func (d *DB) flushUses(ctx context.Context, flushed map[string]int64) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	newer := map[string]int64{}
	keys := d.Snapshot().keys
	for id, k := range keys {
		if ms := k.used.Load(); ms > max(flushed[id], msOf(k.LastUsed)) {
			newer[id] = ms
		}
	}
	d.uses.Range(func(id, _ any) bool { // of keys that are deleted
		if _, ok := keys[id.(string)]; !ok {
			d.uses.Delete(id)
			delete(flushed, id.(string))
		}
		return true
	})
	if len(newer) == 0 {
		return nil
	}
	tx, err := d.sql.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, id := range slices.Sorted(maps.Keys(newer)) { // in one order in every process, so that they do not deadlock
		ms := newer[id]
		if _, err := tx.ExecContext(ctx, "UPDATE api_keys SET last_used_ms = $1 WHERE id = $2 AND last_used_ms < $3", ms, id, ms); err != nil {
			return fmt.Errorf("cannot write the last use of a key: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	maps.Copy(flushed, newer)
	return nil
}
