package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/retention"
	"github.com/metricstream/metricstream/tenant"
	"github.com/metricstream/metricstream/tenant/limits"
)

// Tenant is one tenant.
type Tenant struct {
	ID          string    `json:"id"`
	Description string    `json:"description"`
	Created     time.Time `json:"created"`

	// Disabled is since when all keys are refused the tenant's data; zero is that they are not.
	Disabled time.Time `json:"disabled,omitzero"`

	// Limits are the tenant's own, in place of those for all tenants.
	Limits limits.Overrides `json:"limits,omitempty"`

	// RetentionClass is one of retention.classes; 0 is what the configuration says.
	RetentionClass uint8 `json:"retention_class"`

	classes []retention.Assignment // that it has had, the newest first
}

// maxTenants and maxDescription bound what is held in memory.
const (
	maxTenants     = 100_000
	maxDescription = 1000
)

const tenantColumns = "id, description, created_ms, disabled_ms, limits, retention_class, class_history"

type row interface{ Scan(dest ...any) error }

func scanTenant(r row) (Tenant, error) {
	var t Tenant
	var created, disabled int64
	var classes string
	if err := r.Scan(&t.ID, &t.Description, &created, &disabled, &t.Limits, &t.RetentionClass, &classes); err != nil {
		return t, err
	}
	t.Created, t.Disabled = timeOf(created), timeOf(disabled)
	var err error
	t.classes, err = decodeClasses(classes)
	return t, err
}

// timeOf turns the database's Unix milliseconds, with 0 for never, into a time, and msOf turns it back.
func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func msOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Tenants returns the tenants that the actor may see, sorted by name.
func (d *DB) Tenants(ctx context.Context, by Actor) ([]Tenant, error) {
	all, err := query(ctx, d.sql, scanTenant, "SELECT "+tenantColumns+" FROM tenants ORDER BY id")
	if err != nil {
		return nil, fmt.Errorf("cannot read the tenants: %w", err)
	}
	seen := []Tenant{}
	for _, t := range all {
		if by.Covers(t.ID) {
			seen = append(seen, t)
		}
	}
	return seen, nil
}

// Tenant returns one tenant, or [ErrNotFound].
func (d *DB) Tenant(ctx context.Context, by Actor, id string) (Tenant, error) {
	if !by.Covers(id) {
		return Tenant{}, ErrNotFound
	}
	return tenantByID(ctx, d.sql, id)
}

func tenantByID(ctx context.Context, q queryer, id string) (Tenant, error) {
	t, err := scanTenant(q.QueryRowContext(ctx, "SELECT "+tenantColumns+" FROM tenants WHERE id = $1", id))
	if errors.Is(err, sql.ErrNoRows) {
		return t, ErrNotFound
	}
	if err != nil {
		return t, fmt.Errorf("cannot read the tenant: %w", err)
	}
	return t, nil
}

// CreateTenant adds a tenant. Only an operator may.
func (d *DB) CreateTenant(ctx context.Context, by Actor, id, description string) (Tenant, error) {
	t := Tenant{ID: id, Description: description, Created: d.now().UTC().Truncate(time.Millisecond)}
	if !by.operator() {
		return t, ErrForbidden
	}
	if err := tenant.Validate(id); err != nil {
		return t, store.Invalidf("id: %w", err)
	}
	if err := checkDescription(description); err != nil {
		return t, err
	}
	err := d.change(ctx, by, func(ctx context.Context, tx *sql.Tx) (Entry, error) {
		_, err := tenantByID(ctx, tx, id)
		if err == nil {
			return Entry{}, fmt.Errorf("the tenant %q: %w", id, ErrExists)
		}
		if !errors.Is(err, ErrNotFound) {
			return Entry{}, err
		}
		if err := checkCount(ctx, tx, "tenants", maxTenants); err != nil {
			return Entry{}, err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO tenants ("+tenantColumns+") VALUES ($1, $2, $3, 0, '', 0, '')", id, description, msOf(t.Created))
		return Entry{Action: "tenant.create", Tenant: id, Object: id, After: encode(t)}, err
	})
	return t, err
}

// UpdateTenant changes all that can be changed of a tenant. Only an operator may.
func (d *DB) UpdateTenant(ctx context.Context, by Actor, id string, change func(*Tenant)) (Tenant, error) {
	return d.updateTenant(ctx, by, "tenant.update", id, func(t *Tenant) error { change(t); return nil })
}

func (d *DB) updateTenant(ctx context.Context, by Actor, action, id string, change func(*Tenant) error) (Tenant, error) {
	var t Tenant
	if !by.operator() {
		return t, ErrForbidden
	}
	err := d.change(ctx, by, func(ctx context.Context, tx *sql.Tx) (Entry, error) {
		before, err := tenantByID(ctx, tx, id)
		if err != nil {
			return Entry{}, err
		}
		t = before
		if err := change(&t); err != nil {
			return Entry{}, err
		}
		if err := checkDescription(t.Description); err != nil {
			return Entry{}, err
		}
		if err := checkLimits(t.Limits, d.Snapshot().ofAll); err != nil {
			return Entry{}, err
		}
		if t.RetentionClass != before.RetentionClass {
			if err := d.assign(&t); err != nil {
				return Entry{}, err
			}
		}
		_, err = tx.ExecContext(ctx, "UPDATE tenants SET description = $1, disabled_ms = $2, limits = $3, retention_class = $4, class_history = $5 WHERE id = $6",
			t.Description, msOf(t.Disabled), string(t.Limits), t.RetentionClass, encodeClasses(t.classes), id)
		return Entry{Action: action, Tenant: id, Object: id, Before: encode(before), After: encode(t)}, err
	})
	return t, err
}

func checkDescription(s string) error {
	if len(s) > maxDescription {
		return store.Invalidf("description: has %d bytes, at most %d are allowed", len(s), maxDescription)
	}
	return nil
}

// checkCount refuses one more row than most in a table.
func checkCount(ctx context.Context, tx *sql.Tx, table string, most int) error {
	var n int
	if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
		return err
	}
	if n >= most {
		return store.Limitf("there are %d %s already, and no more are allowed", n, table)
	}
	return nil
}
