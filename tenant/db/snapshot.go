package db

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/metricstream/metricstream/pii"
	"github.com/metricstream/metricstream/tenant/limits"
)

// Snapshot is all that requests are judged by, as it was at one version. It does not change.
type Snapshot struct {
	version int64
	tenants map[string]Tenant
	keys    map[string]*Key
	users   map[string]*User

	someHash string // of a password of one of them

	ofAll    limits.Limits            // of tenants that have none of their own
	ofTenant map[string]limits.Limits // of those that have

	settings Settings                 // of the service
	pii      map[string]pii.Overrides // of tenants that have some, over those of the service
}

// Verdict is what is thought of a token.
type Verdict string

// A token that is not good is refused alike whatever the reason: only metrics tell them apart.
const (
	Good    Verdict = "good"
	Unknown Verdict = "unknown"
	Wrong   Verdict = "wrong" // the secret of another key with this prefix
	Expired Verdict = "expired"
	Revoked Verdict = "revoked"
)

// Snapshot returns the newest snapshot.
func (d *DB) Snapshot() *Snapshot { return d.snapshot.Load() }

// Authenticate finds the key that a token is the secret of, and notes its use. The key is nil where the verdict is not
// [Good].
func (s *Snapshot) Authenticate(token string, now time.Time) (*Key, Verdict) {
	id, ok := TokenID(token)
	if !ok {
		return nil, Unknown
	}
	k := s.keys[id]
	if k == nil {
		hash{}.of(token) // as much work as for a key that there is
		return nil, Unknown
	}
	switch {
	case !k.hash.of(token):
		return nil, Wrong
	case !k.Revoked.IsZero():
		return nil, Revoked
	case k.expired(now):
		return nil, Expired
	}
	if ms := now.UnixMilli(); k.used.Load() < ms {
		k.used.Store(ms)
	}
	return k, Good
}

// Active tells whether there is a tenant of that name that is not disabled.
func (s *Snapshot) Active(tenant string) bool {
	t, ok := s.tenants[tenant]
	return ok && t.Disabled.IsZero()
}

// Disabled tells whether there is a tenant of a name that is disabled.
func (s *Snapshot) Disabled(tenant string) bool {
	t, ok := s.tenants[tenant]
	return ok && !t.Disabled.IsZero()
}

// refresh reads the database where it has another version than the snapshot.
func (d *DB) refresh(ctx context.Context) (changed bool, err error) {
	d.loading.Lock()
	defer d.loading.Unlock()
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	version, err := version(ctx, d.sql)
	if err != nil {
		return false, err
	}
	if old := d.Snapshot(); old != nil && old.version == version {
		return false, nil
	}
	s, err := d.load(ctx)
	if err != nil {
		return false, err
	}
	d.snapshot.Store(s)
	return true, nil
}

func version(ctx context.Context, q queryer) (v int64, err error) {
	if err := q.QueryRowContext(ctx, "SELECT version FROM state WHERE id = 1").Scan(&v); err != nil {
		return 0, fmt.Errorf("cannot read the version of the metadata: %w", err)
	}
	return v, nil
}

// load reads everything as it was at one moment.
func (d *DB) load(ctx context.Context) (*Snapshot, error) {
	var o *sql.TxOptions
	if d.postgres {
		o = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	}
	tx, err := d.sql.BeginTx(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("cannot read the metadata: %w", err)
	}
	defer tx.Rollback()
	s := &Snapshot{tenants: map[string]Tenant{}, keys: map[string]*Key{}, users: map[string]*User{}}
	if s.version, err = version(ctx, tx); err != nil {
		return nil, err
	}
	tenants, err := query(ctx, tx, scanTenant, "SELECT "+tenantColumns+" FROM tenants")
	if err != nil {
		return nil, fmt.Errorf("cannot read the tenants: %w", err)
	}
	for _, t := range tenants {
		s.tenants[t.ID] = t
	}
	keys, err := query(ctx, tx, scanKey, "SELECT "+keyColumns+" FROM api_keys")
	if err != nil {
		return nil, fmt.Errorf("cannot read the keys: %w", err)
	}
	for _, k := range keys {
		// A selector that cannot be read must not become none: the key is left out.
		if k.matchers, err = parseSelector(k.Selector); err != nil {
			d.logger.Error("a key is refused because its selector cannot be read", "key", k.Prefix, "err", err)
			continue
		}
		k.used = d.usesOf(k.ID, k.LastUsed)
		s.keys[k.ID] = k
	}
	if s.settings, err = d.settings(ctx, tx); err != nil {
		return nil, err
	}
	if err := d.loadPII(ctx, tx, s); err != nil {
		return nil, err
	}
	users, err := query(ctx, tx, scanUser, "SELECT "+userColumns+" FROM users")
	if err != nil {
		return nil, fmt.Errorf("cannot read the users: %w", err)
	}
	for _, u := range users {
		s.users[u.Name], s.someHash = u, u.hash
	}
	return s, d.loadLimits(ctx, tx, s)
}

// usesOf returns the counter of a key's uses, which outlives snapshots.
func (d *DB) usesOf(id string, last time.Time) *atomic.Int64 {
	fresh := &atomic.Int64{}
	fresh.Store(msOf(last))
	used, _ := d.uses.LoadOrStore(id, fresh)
	return used.(*atomic.Int64)
}
