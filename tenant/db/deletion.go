package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/metricstream/metricstream/store"
)

// DeleteTenant disables a tenant and asks for the erasure of all that it has. When that is done, the tenant is gone, with its
// keys and users. Only an operator may. Asked again, it returns the erasure that there is.
func (d *DB) DeleteTenant(ctx context.Context, by Actor, id, reason string) (Erasure, error) {
	e := Erasure{Tenant: id, Reason: reason, Selectors: []string{}}
	if !by.operator() {
		return e, ErrForbidden
	}
	err := d.change(ctx, by, func(ctx context.Context, tx *sql.Tx) (Entry, error) {
		before, err := tenantByID(ctx, tx, id)
		if err != nil {
			return Entry{}, err
		}
		if err := d.checkDeletable(ctx, tx, id); err != nil {
			return Entry{}, err
		}
		all, err := query(ctx, tx, scanErasure, "SELECT "+erasureColumns+" FROM erasures WHERE tenant = $1", id)
		if err != nil {
			return Entry{}, err
		}
		if i := slices.IndexFunc(all, func(e Erasure) bool { return e.Whole() && e.Unfinished() }); i >= 0 {
			e = all[i]
			return Entry{}, errNothing
		}
		if before.Disabled.IsZero() {
			if _, err := tx.ExecContext(ctx, "UPDATE tenants SET disabled_ms = $1 WHERE id = $2", d.now().UnixMilli(), id); err != nil {
				return Entry{}, err
			}
		}
		e, err = d.insertErasure(ctx, tx, by, e)
		return Entry{Action: "tenant.delete", Tenant: id, Object: id, Before: encode(before), After: encode(e)}, err
	})
	if errors.Is(err, errNothing) {
		err = nil
	}
	return e, err
}

// checkDeletable refuses to delete a tenant to which keys or users belong that are for all tenants: perhaps nobody could
// come in any more.
func (d *DB) checkDeletable(ctx context.Context, tx *sql.Tx, id string) error {
	keys, err := query(ctx, tx, scanKey, "SELECT "+keyColumns+" FROM api_keys WHERE tenant = $1", id)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.Everywhere() && !k.dead(d.now()) {
			return store.Invalidf("the key %s of this tenant is for all tenants: revoke it first, when there is another one", k.Prefix)
		}
	}
	users, err := query(ctx, tx, scanUser, "SELECT "+userColumns+" FROM users WHERE tenant = $1", id)
	if err != nil {
		return err
	}
	for _, u := range users {
		if u.key.Everywhere() {
			return store.Invalidf("the user %s of this tenant is for all tenants: delete him first, or take \"*\" from him", u.Name)
		}
	}
	return nil
}

// guests are those of other tenants' keys and users that could speak for a tenant, by their ids and names, and whose they
// are.
type guests struct {
	Keys    []string `json:"keys"`
	Users   []string `json:"users"`
	Tenants []string `json:"tenants"`
}

// forgetTenant removes a tenant with all that belongs to it, but what the audit log and erasures say of it, and returns the
// guests that it had. Live keys and users for all tenants stay, and the tenant with them: they came after its deletion was asked
// for, and without them perhaps nobody could come in any more.
func (d *DB) forgetTenant(ctx context.Context, tx *sql.Tx, id string) (g guests, err error) {
	const one = " AND ',' || tenants || ',' NOT LIKE '%,*,%'"
	for _, statement := range []string{
		"DELETE FROM users WHERE tenant = $1" + one,
		"DELETE FROM pii_policies WHERE tenant = $1",
		"DELETE FROM pii_findings WHERE tenant = $1",
		"DELETE FROM api_keys WHERE tenant = $1" + one,
		"DELETE FROM api_keys WHERE tenant = $1 AND (revoked_ms > 0 OR (expires_ms > 0 AND expires_ms <= " + strconv.FormatInt(d.now().UnixMilli(), 10) + "))",
		"DELETE FROM tenants WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM api_keys WHERE tenant = $1) AND NOT EXISTS (SELECT 1 FROM users WHERE tenant = $1)",
	} {
		if _, err := tx.ExecContext(ctx, statement, id); err != nil {
			return g, fmt.Errorf("cannot remove the tenant: %w", err)
		}
	}
	if g.Keys, err = g.strip(ctx, tx, "api_keys", "id", id); err != nil {
		return g, err
	}
	g.Users, err = g.strip(ctx, tx, "users", "name", id)
	return g, err
}

// strip takes a tenant from those that keys or users may choose, and returns which had it: whoever has the name next is
// another one.
func (all *guests) strip(ctx context.Context, tx *sql.Tx, table, column, id string) (had []string, err error) {
	type guest struct {
		name, home string
		tenants    []string
	}
	some, err := query(ctx, tx, func(r row) (g guest, err error) {
		var tenants string
		err = r.Scan(&g.name, &g.home, &tenants)
		g.tenants = split(tenants)
		return g, err
	}, "SELECT "+column+", tenant, tenants FROM "+table+" WHERE tenants <> '' ORDER BY "+column)
	if err != nil {
		return nil, fmt.Errorf("cannot read the guests of the tenant: %w", err)
	}
	for _, g := range some {
		left := slices.DeleteFunc(slices.Clone(g.tenants), func(t string) bool { return t == id })
		if len(left) == len(g.tenants) {
			continue
		}
		if _, err := tx.ExecContext(ctx, "UPDATE "+table+" SET tenants = $1 WHERE "+column+" = $2", join(left), g.name); err != nil {
			return nil, fmt.Errorf("cannot remove a guest of the tenant: %w", err)
		}
		had, all.Tenants = append(had, g.name), append(all.Tenants, g.home)
	}
	return had, nil
}
