package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant/limits"
)

// limitsSetting is the name of the setting with the limits of all tenants.
const limitsSetting = "limits"

// Limits returns what a tenant is held to: its own overrides over those for all tenants over the configuration.
func (s *Snapshot) Limits(tenant string) limits.Limits {
	if l, ok := s.ofTenant[tenant]; ok {
		return l
	}
	return s.ofAll
}

// Limited is what is set for somebody, and what comes of it.
type Limited struct {
	Overrides limits.Overrides `json:"overrides"`
	Effective limits.Limits    `json:"effective"`
}

// DefaultLimits returns what is set for all tenants. Only an operator may see it.
func (d *DB) DefaultLimits(ctx context.Context, by Actor) (Limited, error) {
	if !by.operator() {
		return Limited{}, ErrForbidden
	}
	o, err := setting(ctx, d.sql, limitsSetting)
	if err != nil {
		return Limited{}, err
	}
	return limitedTo(limits.Overrides(o), d.limits), nil
}

// TenantLimits returns a tenant's limits, or [ErrNotFound].
func (d *DB) TenantLimits(ctx context.Context, by Actor, id string) (Limited, error) {
	t, err := d.Tenant(ctx, by, id)
	if err != nil {
		return Limited{}, err
	}
	all, err := setting(ctx, d.sql, limitsSetting)
	if err != nil {
		return Limited{}, err
	}
	return limitedTo(t.Limits, limitedTo(limits.Overrides(all), d.limits).Effective), nil
}

// KeyLimits returns a key's limits, or [ErrNotFound]. Beside them those of its tenant hold.
func (d *DB) KeyLimits(ctx context.Context, by Actor, id string) (Limited, error) {
	k, err := d.Key(ctx, by, id)
	if err != nil {
		return Limited{}, err
	}
	return limitedTo(k.Limits, limits.Limits{}), nil
}

// limitedTo is for overrides that were checked when they were set: ones that do not go with a later configuration hold
// as they are.
func limitedTo(o limits.Overrides, base limits.Limits) Limited {
	l, _ := o.Over(base)
	return Limited{Overrides: o, Effective: l}
}

// SetDefaultLimits sets, in place of what was set, the limits of all tenants that have none of their own. Only an operator may.
func (d *DB) SetDefaultLimits(ctx context.Context, by Actor, o limits.Overrides) error {
	return d.changeDefaultLimits(ctx, by, inPlace(o))
}

// PatchDefaultLimits sets some of them.
func (d *DB) PatchDefaultLimits(ctx context.Context, by Actor, p limits.Patch) error {
	return d.changeDefaultLimits(ctx, by, p.Over)
}

// SetTenantLimits sets a tenant's limits in place of those that it had. Only an operator may.
func (d *DB) SetTenantLimits(ctx context.Context, by Actor, id string, o limits.Overrides) error {
	return d.changeTenantLimits(ctx, by, id, inPlace(o))
}

// PatchTenantLimits sets some of them.
func (d *DB) PatchTenantLimits(ctx context.Context, by Actor, id string, p limits.Patch) error {
	return d.changeTenantLimits(ctx, by, id, p.Over)
}

// SetKeyLimits sets a key's limits in place of those that it had.
func (d *DB) SetKeyLimits(ctx context.Context, by Actor, id string, o limits.Overrides) error {
	return d.changeKeyLimits(ctx, by, id, inPlace(o))
}

// PatchKeyLimits sets some of them.
func (d *DB) PatchKeyLimits(ctx context.Context, by Actor, id string, p limits.Patch) error {
	return d.changeKeyLimits(ctx, by, id, p.Over)
}

// newLimits makes of what was set what is to be set. It is asked within the change, so that none is lost.
type newLimits func(before limits.Overrides) (limits.Overrides, error)

func inPlace(o limits.Overrides) newLimits {
	return func(limits.Overrides) (limits.Overrides, error) { return o, nil }
}

func (d *DB) changeDefaultLimits(ctx context.Context, by Actor, change newLimits) error {
	if !by.operator() {
		return ErrForbidden
	}
	return d.change(ctx, by, func(ctx context.Context, tx *sql.Tx) (Entry, error) {
		before, err := setting(ctx, tx, limitsSetting)
		if err != nil {
			return Entry{}, err
		}
		after, err := change(limits.Overrides(before))
		if err != nil {
			return Entry{}, store.Invalidf("%w", err)
		}
		if err := checkLimits(after, d.limits); err != nil {
			return Entry{}, err
		}
		err = setSetting(ctx, tx, limitsSetting, string(after))
		return Entry{Action: "limits.set", Before: encode(limits.Overrides(before)), After: encode(after)}, err
	})
}

func (d *DB) changeTenantLimits(ctx context.Context, by Actor, id string, change newLimits) error {
	_, err := d.updateTenant(ctx, by, "tenant.limits", id, func(t *Tenant) (err error) {
		if t.Limits, err = change(t.Limits); err != nil {
			return store.Invalidf("%w", err)
		}
		return nil
	})
	return err
}

func (d *DB) changeKeyLimits(ctx context.Context, by Actor, id string, change newLimits) error {
	return d.change(ctx, by, func(ctx context.Context, tx *sql.Tx) (Entry, error) {
		before, err := keyByID(ctx, tx, by, id)
		if err != nil {
			return Entry{}, err
		}
		after := *before
		if after.Limits, err = change(before.Limits); err != nil {
			return Entry{}, store.Invalidf("%w", err)
		}
		if err := checkKeyLimits(after.Limits); err != nil {
			return Entry{}, err
		}
		_, err = tx.ExecContext(ctx, "UPDATE api_keys SET limits = $1 WHERE id = $2", string(after.Limits), id)
		return Entry{Action: "key.limits", Tenant: after.Tenant, Object: id, Before: encode(before), After: encode(after)}, err
	})
}

func checkKeyLimits(o limits.Overrides) error {
	l, err := o.Over(limits.Limits{})
	if err != nil {
		return store.Invalidf("%w", err)
	}
	if l.ActiveSeries > 0 {
		return store.Invalidf("limits.active_series: series belong to a tenant and not to the key that wrote them; set it for the tenant, or new_series_per_minute for the key")
	}
	return nil
}

func checkLimits(o limits.Overrides, base limits.Limits) error {
	if _, err := o.Over(base); err != nil {
		return store.Invalidf("%w", err)
	}
	return nil
}

// setting returns what is set by a name, empty for nothing.
func setting(ctx context.Context, q queryer, name string) (string, error) {
	var value string
	err := q.QueryRowContext(ctx, "SELECT value FROM settings WHERE name = $1", name).Scan(&value)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("cannot read the setting %s: %w", name, err)
	}
	return value, nil
}

func setSetting(ctx context.Context, tx *sql.Tx, name, value string) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value)
	if err != nil {
		return fmt.Errorf("cannot write the setting %s: %w", name, err)
	}
	return nil
}

// loadLimits works out what all tenants and keys of a snapshot are held to.
func (d *DB) loadLimits(ctx context.Context, tx *sql.Tx, s *Snapshot) error {
	all, err := setting(ctx, tx, limitsSetting)
	if err != nil {
		return err
	}
	s.ofAll = d.over(limits.Overrides(all), d.limits, "all tenants")
	s.ofTenant = map[string]limits.Limits{}
	for id, t := range s.tenants {
		if t.Limits != "" {
			s.ofTenant[id] = d.over(t.Limits, s.ofAll, "the tenant "+id)
		}
	}
	for _, k := range s.keys {
		k.held = d.over(k.Limits, limits.Limits{}, "the key "+k.Prefix)
	}
	return nil
}

// over goes on with what can be read of overrides that do not go with the configuration any more, or that a newer version
// has written.
func (d *DB) over(o limits.Overrides, base limits.Limits, of string) limits.Limits {
	l, err := o.Over(base)
	if err != nil {
		d.logger.Warn("the limits in the metadata are not good", "of", of, "err", err)
	}
	return l
}
