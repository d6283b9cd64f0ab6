package db

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/metricstream/metricstream/store"
)

// ErrFenced says that another process has changed an erasure since it was read: that one goes on with it.
var ErrFenced = errors.New("another process works at the erasure")

// CreateErasure asks for an erasure: of e count Tenant, Selectors, Start, End and Reason. The data that it is about are
// gone when its state is [ErasureDone].
func (d *DB) CreateErasure(ctx context.Context, by Actor, e Erasure) (Erasure, error) {
	if !by.Covers(e.Tenant) {
		return e, ErrNotFound
	}
	e.Start, e.End = bounded(e.Start), bounded(e.End)
	if err := e.check(); err != nil {
		return e, err
	}
	err := d.change(ctx, by, func(ctx context.Context, tx *sql.Tx) (Entry, error) {
		var err error
		e, err = d.insertErasure(ctx, tx, by, e)
		return Entry{Action: "erasure.create", Tenant: e.Tenant, Object: e.ID, After: encode(d.impersonal(e))}, err
	})
	return e, err
}

func (d *DB) insertErasure(ctx context.Context, tx *sql.Tx, by Actor, e Erasure) (Erasure, error) {
	var unfinished int
	if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM erasures WHERE state NOT IN ($1, $2)", ErasureDone, ErasureFailed).Scan(&unfinished); err != nil {
		return e, err
	}
	if unfinished >= maxUnfinished {
		return e, store.Limitf("%d erasures wait already; try again when some are done", unfinished)
	}
	if err := d.checkConsumer(ctx, tx); err != nil {
		return e, err
	}
	e.ID, e.Actor, e.State = newErasureID(), by.Name, ErasureRequested
	e.Created = d.now().UTC().Truncate(time.Millisecond)
	columns := strings.Split(erasureColumns, ", ")
	marks := make([]string, len(columns))
	for i := range columns {
		marks[i] = fmt.Sprintf("$%d", i+1)
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO erasures ("+erasureColumns+") VALUES ("+strings.Join(marks, ", ")+")", e.values()...)
	return e, err
}

// impersonal returns an erasure without the personal data that it is about, as far as a detector finds them.
func (d *DB) impersonal(e Erasure) Erasure {
	e.Selectors = slices.Clone(e.Selectors)
	for i, s := range e.Selectors {
		e.Selectors[i] = d.personal.Hide("", s)
	}
	e.Reason, e.Failure = d.personal.Hide("", e.Reason), d.personal.Hide("", e.Failure)
	return e
}

func newErasureID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Erasures returns the newest erasures that the actor may see, newest first.
func (d *DB) Erasures(ctx context.Context, by Actor, limit int) ([]Erasure, error) {
	all, err := query(ctx, d.sql, scanErasure, "SELECT "+erasureColumns+" FROM erasures ORDER BY created_ms DESC, id")
	if err != nil {
		return nil, fmt.Errorf("cannot read the erasures: %w", err)
	}
	all = slices.DeleteFunc(all, func(e Erasure) bool { return !by.Covers(e.Tenant) })
	return all[:min(len(all), limit)], nil
}

// Erasure returns one erasure, or [ErrNotFound].
func (d *DB) Erasure(ctx context.Context, by Actor, id string) (Erasure, error) {
	e, err := scanErasure(d.sql.QueryRowContext(ctx, "SELECT "+erasureColumns+" FROM erasures WHERE id = $1", id))
	if errors.Is(err, sql.ErrNoRows) || err == nil && !by.Covers(e.Tenant) {
		return Erasure{}, ErrNotFound
	}
	if err != nil {
		return Erasure{}, fmt.Errorf("cannot read the erasure: %w", err)
	}
	return e, nil
}

// OpenErasures returns those with something left to do, and those that readers of the log have to know, oldest first.
func (d *DB) OpenErasures(ctx context.Context) ([]Erasure, error) {
	all, err := query(ctx, d.sql, scanErasure, "SELECT "+erasureColumns+" FROM erasures WHERE listed = 1 OR state NOT IN ($1, $2) ORDER BY created_ms, id", ErasureDone, ErasureFailed)
	if err != nil {
		return nil, fmt.Errorf("cannot read the erasures: %w", err)
	}
	return all, nil
}

// updateErasure writes an erasure that nobody else has changed since it was read, and returns it with its new revision.
func updateErasure(ctx context.Context, tx *sql.Tx, e Erasure) (Erasure, error) {
	read := e.Revision
	e.Revision++
	columns := strings.Split(erasureColumns, ", ")
	for i, c := range columns {
		columns[i] = fmt.Sprintf("%s = $%d", c, i+1)
	}
	done, err := tx.ExecContext(ctx, fmt.Sprintf("UPDATE erasures SET %s WHERE id = $1 AND revision = $%d", strings.Join(columns, ", "), len(columns)+1), append(e.values(), read)...)
	if err != nil {
		return e, fmt.Errorf("cannot write the erasure: %w", err)
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		return e, errors.Join(ErrFenced, err)
	}
	return e, nil
}

// SaveErasure writes how far an erasure is, and fails with [ErrFenced] where another process has done so meanwhile. One that
// is no longer listed loses its keys.
func (d *DB) SaveErasure(ctx context.Context, e Erasure) (Erasure, error) {
	err := d.inTx(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		if e, err = updateErasure(ctx, tx, e); err != nil {
			return err
		}
		return forgetKeys(ctx, tx, e)
	})
	return e, err
}

// forgetKeys removes the series of an erasure that is over and not listed.
func forgetKeys(ctx context.Context, tx *sql.Tx, e Erasure) error {
	if e.Listed || e.Unfinished() {
		return nil
	}
	_, err := tx.ExecContext(ctx, "DELETE FROM erasure_keys WHERE erasure = $1", e.ID)
	return err
}

// NoteErasure writes in words what is being done for an erasure.
func (d *DB) NoteErasure(ctx context.Context, e Erasure, progress string) error {
	return d.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE erasures SET progress = $1 WHERE id = $2 AND revision = $3", progress, e.ID, e.Revision)
		return err
	})
}

// ErasuresVersion returns a number that grows with every change of an erasure.
func (d *DB) ErasuresVersion(ctx context.Context) (v int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	if err := d.sql.QueryRowContext(ctx, "SELECT COUNT(*) + COALESCE(SUM(revision), 0) FROM erasures").Scan(&v); err != nil {
		return 0, fmt.Errorf("cannot read the version of the erasures: %w", err)
	}
	return v, nil
}

// CountErasures counts the erasures by their states.
func (d *DB) CountErasures(ctx context.Context) (map[string]int, error) {
	type count struct {
		state string
		n     int
	}
	all, err := query(ctx, d.sql, func(r row) (c count, err error) { err = r.Scan(&c.state, &c.n); return c, err }, "SELECT state, COUNT(*) FROM erasures GROUP BY state")
	if err != nil {
		return nil, fmt.Errorf("cannot count the erasures: %w", err)
	}
	out := map[string]int{}
	for _, c := range all {
		out[c.state] = c.n
	}
	return out, nil
}

// FinishErasure records that an erasure is done, or that it failed, and with the last data of a tenant what there is of the
// tenant.
func (d *DB) FinishErasure(ctx context.Context, e Erasure) (Erasure, error) {
	e = d.impersonal(e) // what it was about is gone, so it must not stand here
	e.Finished, e.Progress = d.now().UTC().Truncate(time.Millisecond), ""
	err := d.change(ctx, Actor{Name: "erasure " + e.ID}, func(ctx context.Context, tx *sql.Tx) (Entry, error) {
		var err error
		if e, err = updateErasure(ctx, tx, e); err != nil {
			return Entry{}, err
		}
		var before json.RawMessage
		// Done again on restored tables, there may be a new tenant of the name.
		if e.State == ErasureDone && e.Whole() && (e.Report == nil || e.Report.Again == 0) {
			g, err := d.forgetTenant(ctx, tx, e.Tenant)
			if err != nil {
				return Entry{}, err
			}
			if len(g.Keys)+len(g.Users) > 0 {
				before = encode(g)
			}
		}
		if err := forgetKeys(ctx, tx, e); err != nil {
			return Entry{}, err
		}
		return Entry{Action: "erasure." + e.State, Tenant: e.Tenant, Object: e.ID, Before: before, After: encode(e)}, nil
	})
	return e, err
}

// inTx runs f in a transaction that is no change of what requests are judged by.
func (d *DB) inTx(ctx context.Context, f func(context.Context, *sql.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	tx, err := d.sql.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("cannot begin a change in %s: %w", d.name(), err)
	}
	defer tx.Rollback()
	if err := f(ctx, tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("cannot commit a change to %s, it may have been made or not: %w", d.name(), err)
	}
	return nil
}
