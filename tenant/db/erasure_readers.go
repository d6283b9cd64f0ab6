package db

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"github.com/metricstream/metricstream/store"
)

// Reader is a process that reads the log or writes into it, and so has to know what was erased.
type Reader struct {
	ID string

	// Alone says that no other process can have the database, so that nobody looks for signs of life.
	Alone bool

	// Consumes says that it is a consumer: one of them does the erasing.
	Consumes bool

	// Version is that of the list of erasures which the process leaves out of all that it writes, see [DB.ErasuresVersion]; it
	// is [ReaderLeft] of one that has ended.
	Version int64

	// Seen is its last sign of life, by its own clock.
	Seen time.Time
}

// ReaderLeft is the version of a reader that reads no more.
const ReaderLeft = math.MaxInt64

// NewReader returns this process as a reader. Of an embedded database there is only one at a time: after a crash it is the
// same again, and nobody waits for the former.
func (d *DB) NewReader(consumes bool) Reader {
	if !d.postgres {
		return Reader{ID: "embedded", Alone: true, Consumes: consumes}
	}
	return Reader{ID: newErasureID(), Consumes: consumes}
}

// ReportReader is a reader's sign of life.
func (d *DB) ReportReader(ctx context.Context, r Reader) error {
	err := d.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		consumes := 0
		if r.Consumes {
			consumes = 1
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO erasure_readers (id, consumes, version, seen_ms) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO UPDATE SET consumes = excluded.consumes, version = excluded.version, seen_ms = excluded.seen_ms",
			r.ID, consumes, r.Version, d.now().UnixMilli())
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot write which erasures this process knows: %w", err)
	}
	return nil
}

// Readers returns the readers that were seen in the last day, those that have ended among them.
func (d *DB) Readers(ctx context.Context) ([]Reader, error) {
	old := d.now().Add(-24 * time.Hour).UnixMilli()
	all, err := query(ctx, d.sql, func(r row) (Reader, error) {
		var one Reader
		var consumes, seen int64
		err := r.Scan(&one.ID, &consumes, &one.Version, &seen)
		one.Consumes, one.Seen = consumes == 1, time.UnixMilli(seen)
		return one, err
	}, "SELECT id, consumes, version, seen_ms FROM erasure_readers WHERE seen_ms >= $1 ORDER BY id", old)
	if err != nil {
		return nil, fmt.Errorf("cannot read who reads the log: %w", err)
	}
	return all, nil
}

// ForgetReaders forgets the readers that were not seen for a day.
func (d *DB) ForgetReaders(ctx context.Context) error {
	return d.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM erasure_readers WHERE seen_ms < $1", d.now().Add(-24*time.Hour).UnixMilli())
		return err
	})
}

// ErrNoConsumer is why an erasure is refused that nobody would do.
var ErrNoConsumer = store.Limitf("nobody would erase anything: no consumer with this metadata.dsn has been seen in the last hour")

// absence is how long no consumer may have been seen where an erasure is asked for: long enough to restart all of them.
const absence = time.Hour

// checkConsumer refuses an erasure that nobody would do. With an embedded database the process itself does.
func (d *DB) checkConsumer(ctx context.Context, tx *sql.Tx) error {
	if !d.postgres {
		return nil
	}
	var n int
	if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM erasure_readers WHERE consumes = 1 AND seen_ms >= $1", d.now().Add(-absence).UnixMilli()).Scan(&n); err != nil {
		return fmt.Errorf("cannot look for a consumer: %w", err)
	}
	if n == 0 {
		return ErrNoConsumer
	}
	return nil
}
