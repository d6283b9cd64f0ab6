package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/metricstream/metricstream/store"
)

// ErrNotFound is for what is not there, or what the actor may not know of; ErrExists for what is there already;
// ErrForbidden for what only others may do. None of them helps to try again.
var (
	ErrNotFound  = errors.New("there is no such thing")
	ErrExists    = errors.New("exists already")
	ErrForbidden = errors.New("only a key for all tenants (\"*\") may do this")
)

// AllTenants stands in a key's list of tenants for every one that there is.
const AllTenants = "*"

// Actor is who changes something.
type Actor struct {
	// Name is what the audit log says of it.
	Name string

	// Tenants are those whose things the actor may see and change.
	Tenants []string
}

// Covers tells whether the actor may do with all of these tenants; [AllTenants] among them is every tenant.
func (a Actor) Covers(tenants ...string) bool {
	if a.operator() {
		return true
	}
	for _, t := range tenants {
		if !slices.Contains(a.Tenants, t) {
			return false
		}
	}
	return true
}

// Home is the tenant that the actor means where it names none: its first, [store.DefaultTenant] of an operator without one.
func (a Actor) Home() string {
	if len(a.Tenants) == 0 || a.Tenants[0] == AllTenants {
		return store.DefaultTenant
	}
	return a.Tenants[0]
}

func (a Actor) operator() bool { return slices.Contains(a.Tenants, AllTenants) }

// Entry is a change in the audit log.
type Entry struct {
	// Version counts the changes.
	Version int64     `json:"version"`
	Time    time.Time `json:"time"`
	Actor   string    `json:"actor"`
	Action  string    `json:"action"`
	Tenant  string    `json:"tenant"`
	Object  string    `json:"object"`

	// Before and After are the changed thing, nil where it was or is not there. A key's secret and its hash are in neither.
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// encode is for values of this package, which can always be encoded.
func encode(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// change runs f and writes the entry that it returns, in one transaction and in the order of the versions. When it
// returns nil the change is durable, and this process knows of it.
func (d *DB) change(ctx context.Context, by Actor, f func(ctx context.Context, tx *sql.Tx) (Entry, error)) error {
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	var tx *sql.Tx
	var version int64
	err := d.changes.Do(caller, func() (err error) {
		tx, version, err = d.begin(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot begin a change in %s: %w", d.name(), err)
	}
	defer tx.Rollback()
	e, err := f(ctx, tx)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO audit_log (version, time_ms, actor, action, tenant, object, before_value, after_value) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
		version, d.now().UnixMilli(), by.Name, e.Action, e.Tenant, e.Object, string(e.Before), string(e.After)); err != nil {
		return fmt.Errorf("cannot write the audit log: %w", err)
	}
	if d.postgres {
		if _, err := tx.ExecContext(ctx, "SELECT pg_notify($1, '')", channel); err != nil {
			return fmt.Errorf("cannot tell others of a change: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("cannot commit a change to %s, it may have been made or not: %w", d.name(), err)
	}
	d.logger.Info("metadata changed", "version", version, "by", by.Name, "action", e.Action, "tenant", e.Tenant, "object", e.Object)
	if _, err := d.refresh(ctx); err != nil {
		d.logger.Warn("a change was made, but not read back yet", "version", version, "err", err)
	}
	return nil
}

// begin begins a transaction that comes after all that were begun so before it, and returns the version that it makes.
func (d *DB) begin(ctx context.Context) (tx *sql.Tx, version int64, err error) {
	if tx, err = d.sql.BeginTx(ctx, nil); err != nil {
		return nil, 0, err
	}
	if err = tx.QueryRowContext(ctx, "UPDATE state SET version = version + 1 WHERE id = 1 RETURNING version").Scan(&version); err != nil {
		return nil, 0, errors.Join(err, tx.Rollback())
	}
	return tx, version, nil
}

// MaxAudit bounds the entries of one call of [DB.Audit].
const MaxAudit = 1000

// Audit returns the newest entries before a version, 0 for the very newest, that the actor may see, newest first.
func (d *DB) Audit(ctx context.Context, by Actor, before int64, limit int) ([]Entry, error) {
	limit = min(max(limit, 1), MaxAudit)
	seen, size := []Entry{}, limit
	if !by.operator() {
		size = MaxAudit // not all of it may be for the actor
	}
	for {
		page, err := d.auditPage(ctx, by, before, size)
		if err != nil {
			return nil, fmt.Errorf("cannot read the audit log: %w", err)
		}
		for _, e := range page {
			if by.Covers(e.others()...) {
				seen = append(seen, e)
			}
		}
		if len(seen) >= limit || len(page) < size {
			return seen[:min(len(seen), limit)], nil
		}
		before = page[len(page)-1].Version
	}
}

// auditPage returns the newest entries of the actor's tenants.
func (d *DB) auditPage(ctx context.Context, by Actor, before int64, limit int) ([]Entry, error) {
	where, args := "", []any{before, limit}
	if !by.operator() {
		where = " AND tenant IN ("
		for i, t := range by.Tenants {
			if i > 0 {
				where += ", "
			}
			args = append(args, t)
			where += fmt.Sprintf("$%d", len(args))
		}
		where += ")"
	}
	return query(ctx, d.sql, scanEntry, "SELECT version, time_ms, actor, action, tenant, object, before_value, after_value FROM audit_log WHERE (CAST($1 AS BIGINT) = 0 OR version < CAST($1 AS BIGINT))"+where+" ORDER BY version DESC LIMIT $2", args...)
}

// others returns the tenants that the key or user of an entry is for, beside its own: who may not see it may not see what
// became of it.
func (e *Entry) others() (all []string) {
	for _, raw := range []json.RawMessage{e.Before, e.After} {
		var thing struct {
			Tenants  []string
			Old, New Key
		}
		if json.Unmarshal(raw, &thing) == nil {
			all = append(all, slices.Concat(thing.Tenants, thing.Old.Tenants, thing.New.Tenants)...)
		}
	}
	return all
}

func scanEntry(r row) (Entry, error) {
	var e Entry
	var ms int64
	var before, after string
	err := r.Scan(&e.Version, &ms, &e.Actor, &e.Action, &e.Tenant, &e.Object, &before, &after)
	e.Time = timeOf(ms)
	if before != "" {
		e.Before = json.RawMessage(before)
	}
	if after != "" {
		e.After = json.RawMessage(after)
	}
	return e, err
}

// queryer is a database or a transaction in it.
type queryer interface {
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row
}

// query reads all rows of a statement.
func query[T any](ctx context.Context, q queryer, scan func(row) (T, error), text string, args ...any) ([]T, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []T{}
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}
