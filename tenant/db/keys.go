package db

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/metricstream/metricstream/store"
)

const (
	maxKeys = 100_000

	// keepDead is how long keys that have expired or were revoked are still listed.
	keepDead = 30 * 24 * time.Hour

	// MaxOverlap bounds how long a key stays good after its rotation.
	MaxOverlap = 30 * 24 * time.Hour
)

// errNothing ends a change that turned out to be none.
var errNothing = errors.New("nothing to change")

// Keys returns the keys that the actor may see, the oldest first, with the times of their last use as the database
// has them, up to a minute old.
func (d *DB) Keys(ctx context.Context, by Actor) ([]*Key, error) {
	all, err := query(ctx, d.sql, scanKey, "SELECT "+keyColumns+" FROM api_keys ORDER BY created_ms, id")
	if err != nil {
		return nil, fmt.Errorf("cannot read the keys: %w", err)
	}
	return slices.DeleteFunc(all, func(k *Key) bool { return !by.mayManage(k) }), nil
}

// mayManage keeps an actor from keys that can do more than it: a rotation would hand it such a key.
func (a Actor) mayManage(k *Key) bool { return a.Covers(k.Tenant) && a.Covers(k.Tenants...) }

// Key returns one key, or [ErrNotFound].
func (d *DB) Key(ctx context.Context, by Actor, id string) (*Key, error) {
	return keyByID(ctx, d.sql, by, id)
}

func keyByID(ctx context.Context, q queryer, by Actor, id string) (*Key, error) {
	k, err := scanKey(q.QueryRowContext(ctx, "SELECT "+keyColumns+" FROM api_keys WHERE id = $1", id))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, ErrNotFound
	case err != nil:
		return nil, fmt.Errorf("cannot read the key: %w", err)
	case !by.mayManage(k):
		return nil, ErrNotFound
	}
	return k, nil
}

// CreateKey adds a key and returns it with its secret, which nobody can show again.
func (d *DB) CreateKey(ctx context.Context, by Actor, s Spec) (k *Key, token string, err error) {
	if err := s.check(); err != nil {
		return nil, "", err
	}
	if !by.Covers(s.Tenant) || !by.Covers(s.Tenants...) {
		return nil, "", ErrForbidden
	}
	k, token, h := d.newKey(s)
	err = d.change(ctx, by, func(ctx context.Context, tx *sql.Tx) (Entry, error) {
		return Entry{Action: "key.create", Tenant: k.Tenant, Object: k.ID, After: encode(k)}, d.insertKey(ctx, tx, k, h)
	})
	return k, token, err
}

func (d *DB) newKey(s Spec) (k *Key, token string, h hash) {
	token, id, h := newToken()
	k = &Key{
		ID: id, Prefix: tokenStart + id, Tenant: s.Tenant, Description: s.Description, Scopes: s.Scopes, Tenants: s.Tenants, Selector: s.Selector,
		Created: d.now().UTC().Truncate(time.Millisecond), lifetime: s.Lifetime,
	}
	if s.Lifetime > 0 {
		k.Expires = k.Created.Add(s.Lifetime).Truncate(time.Millisecond)
	}
	if k.Tenants == nil {
		k.Tenants = []string{}
	}
	return k, token, h
}

func (d *DB) insertKey(ctx context.Context, tx *sql.Tx, k *Key, h hash) error {
	if err := checkTenantExists(ctx, tx, k.Tenant); err != nil {
		return err
	}
	dead := d.now().Add(-keepDead).UnixMilli()
	if _, err := tx.ExecContext(ctx, "DELETE FROM api_keys WHERE (revoked_ms > 0 AND revoked_ms < $1) OR (expires_ms > 0 AND expires_ms < $2)", dead, dead); err != nil {
		return fmt.Errorf("cannot delete dead keys: %w", err)
	}
	if err := checkCount(ctx, tx, "api_keys", maxKeys); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO api_keys ("+keyColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, $10, $11)",
		k.ID, hex.EncodeToString(h[:]), k.Tenant, k.Description, join(k.Scopes), join(k.Tenants), k.Selector, msOf(k.Created), msOf(k.Expires), string(k.Limits), k.lifetime.Milliseconds()); err != nil {
		return fmt.Errorf("cannot add the key: %w", err)
	}
	return nil
}

// Rotation is what is wished of a key that takes another one's place.
type Rotation struct {
	// Overlap is how long the old key stays good, unless it expires sooner anyway.
	Overlap time.Duration

	// Lifetime is the new key's, zero for ever; nil is the one that the old key was asked for with.
	Lifetime *time.Duration
}

// rotated is what the audit log has of a rotation.
type rotated struct {
	Old *Key `json:"old"`
	New *Key `json:"new"`
}

// RotateKey makes a key that may do what the old one may, and lets the old one expire after the overlap. Only a key that
// is still good can be rotated; it can be more than once, for those whose first answer was lost.
func (d *DB) RotateKey(ctx context.Context, by Actor, id string, r Rotation) (k *Key, token string, err error) {
	if r.Overlap < 0 || r.Overlap > MaxOverlap {
		return nil, "", store.Invalidf("overlap: %v is not between 0s and %v", r.Overlap, MaxOverlap)
	}
	if r.Lifetime != nil && *r.Lifetime < 0 {
		return nil, "", store.Invalidf("expires_in: %v is negative", *r.Lifetime)
	}
	err = d.change(ctx, by, func(ctx context.Context, tx *sql.Tx) (Entry, error) {
		before, err := keyByID(ctx, tx, by, id)
		if err != nil {
			return Entry{}, err
		}
		now := d.now().UTC().Truncate(time.Millisecond)
		if before.dead(now) {
			return Entry{}, store.Invalidf("the key %s has expired or was revoked; create another one", before.Prefix)
		}
		var h hash
		k, token, h = d.successor(before, r)
		if err := d.insertKey(ctx, tx, k, h); err != nil {
			return Entry{}, err
		}
		after := *before
		if end := now.Add(r.Overlap).Truncate(time.Millisecond); !before.expired(end) {
			after.Expires = end
		}
		if _, err := tx.ExecContext(ctx, "UPDATE api_keys SET expires_ms = $1 WHERE id = $2", msOf(after.Expires), id); err != nil {
			return Entry{}, fmt.Errorf("cannot let the old key expire: %w", err)
		}
		return Entry{Action: "key.rotate", Tenant: k.Tenant, Object: id, Before: encode(before), After: encode(rotated{&after, k})}, nil
	})
	return k, token, err
}

// successor returns the key that takes another one's place.
func (d *DB) successor(old *Key, r Rotation) (k *Key, token string, h hash) {
	s := Spec{Tenant: old.Tenant, Description: old.Description, Scopes: old.Scopes, Tenants: old.Tenants, Selector: old.Selector, Lifetime: old.lifetime}
	if r.Lifetime != nil {
		s.Lifetime = *r.Lifetime
	}
	k, token, h = d.newKey(s)
	k.Limits = old.Limits
	return k, token, h
}

func (k *Key) dead(now time.Time) bool { return !k.Revoked.IsZero() || k.expired(now) }

func (k *Key) expired(now time.Time) bool { return !k.Expires.IsZero() && !now.Before(k.Expires) }

// RevokeKey ends a key. Every process refuses it within 5 s. A key that was revoked before stays as it is.
func (d *DB) RevokeKey(ctx context.Context, by Actor, id string) error {
	err := d.change(ctx, by, func(ctx context.Context, tx *sql.Tx) (Entry, error) {
		before, err := keyByID(ctx, tx, by, id)
		if err != nil {
			return Entry{}, err
		}
		if !before.Revoked.IsZero() {
			return Entry{}, errNothing
		}
		after := *before
		after.Revoked = d.now().UTC().Truncate(time.Millisecond)
		_, err = tx.ExecContext(ctx, "UPDATE api_keys SET revoked_ms = $1 WHERE id = $2", msOf(after.Revoked), id)
		return Entry{Action: "key.revoke", Tenant: after.Tenant, Object: id, Before: encode(before), After: encode(after)}, err
	})
	if errors.Is(err, errNothing) {
		return nil
	}
	return err
}

// FirstKey makes a key that may do everything, unless there is one that can make others for all tenants, and returns
// its secret, empty where it made none. It belongs to the tenant "anonymous", which it makes again where that was deleted.
func (d *DB) FirstKey(ctx context.Context) (token string, err error) {
	by := Actor{Name: "the first start", Tenants: []string{AllTenants}}
	if some, err := d.anyOperator(ctx, d.sql); some || err != nil {
		return "", err
	}
	if err := d.makeDefaultTenant(ctx, by); err != nil {
		return "", err
	}
	err = d.change(ctx, by, func(ctx context.Context, tx *sql.Tx) (Entry, error) {
		some, err := d.anyOperator(ctx, tx) // of another process, since
		if err != nil {
			return Entry{}, err
		}
		if some {
			return Entry{}, errNothing
		}
		var k *Key
		var h hash
		k, token, h = d.newKey(Spec{Tenant: store.DefaultTenant, Description: "made at the first start", Scopes: Scopes(), Tenants: []string{AllTenants}})
		return Entry{Action: "key.create", Tenant: k.Tenant, Object: k.ID, After: encode(k)}, d.insertKey(ctx, tx, k, h)
	})
	if errors.Is(err, errNothing) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return token, nil
}

// anyOperator tells whether there is a key that can make others for all tenants.
func (d *DB) anyOperator(ctx context.Context, q queryer) (bool, error) {
	all, err := query(ctx, q, scanKey, "SELECT "+keyColumns+" FROM api_keys")
	if err != nil {
		return false, fmt.Errorf("cannot read the keys: %w", err)
	}
	return slices.ContainsFunc(all, func(k *Key) bool { return k.Everywhere() && k.Has(ScopeAdmin) && !k.dead(d.now()) }), nil
}

// makeDefaultTenant makes the tenant that the first key belongs to, unless it is there.
func (d *DB) makeDefaultTenant(ctx context.Context, by Actor) error {
	_, err := tenantByID(ctx, d.sql, store.DefaultTenant)
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	_, err = d.CreateTenant(ctx, by, store.DefaultTenant, "what is written and read without a tenant")
	if errors.Is(err, ErrExists) { // another process was sooner
		return nil
	}
	return err
}
