package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// The kinds of lists of series that an erasure has.
const (
	ErasedKeys = 0 // all of them
	GoneKeys   = 1 // those of which nothing is left
)

// ClearErasureKeys removes a list of an erasure, so that it can be written anew.
func (d *DB) ClearErasureKeys(ctx context.Context, e Erasure, kind int) error {
	return d.withErasure(ctx, e, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM erasure_keys WHERE erasure = $1 AND kind = $2", e.ID, kind)
		return err
	})
}

// AddErasureKeys writes a chunk of a list.
func (d *DB) AddErasureKeys(ctx context.Context, e Erasure, kind, chunk int, data []byte) error {
	return d.withErasure(ctx, e, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO erasure_keys (erasure, kind, chunk, data) VALUES ($1, $2, $3, $4)", e.ID, kind, chunk, data)
		return err
	})
}

// withErasure changes something of an erasure that is as it was read.
func (d *DB) withErasure(ctx context.Context, e Erasure, f func(context.Context, *sql.Tx) error) error {
	return d.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		same, err := tx.ExecContext(ctx, "UPDATE erasures SET revision = revision WHERE id = $1 AND revision = $2", e.ID, e.Revision)
		if err != nil {
			return fmt.Errorf("cannot write the series of an erasure: %w", err)
		}
		if n, err := same.RowsAffected(); err != nil || n == 0 {
			return errors.Join(ErrFenced, err)
		}
		if err := f(ctx, tx); err != nil {
			return fmt.Errorf("cannot write the series of an erasure: %w", err)
		}
		return nil
	})
}

// ErasureKeys calls yield with the chunks of a list, one after the other.
func (d *DB) ErasureKeys(ctx context.Context, id string, kind int, yield func(data []byte) error) error {
	for chunk := 0; ; chunk++ {
		data, err := d.erasureChunk(ctx, id, kind, chunk)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot read the series of the erasure %s: %w", id, err)
		}
		if err := yield(data); err != nil {
			return err
		}
	}
}

func (d *DB) erasureChunk(ctx context.Context, id string, kind, chunk int) (data []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	err = d.sql.QueryRowContext(ctx, "SELECT data FROM erasure_keys WHERE erasure = $1 AND kind = $2 AND chunk = $3", id, kind, chunk).Scan(&data)
	return data, err
}
