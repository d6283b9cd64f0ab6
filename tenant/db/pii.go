package db

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/metricstream/metricstream/pii"
	"github.com/metricstream/metricstream/store"
)

const piiSecretBytes = 32

// PIISecret returns what the keys of hashes are made of. The first call for a database makes it. It is never shown.
func (d *DB) PIISecret(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	fresh := make([]byte, piiSecretBytes)
	rand.Read(fresh) // never fails, see its documentation
	if _, err := d.sql.ExecContext(ctx, "INSERT INTO pii_secret (id, secret) VALUES (1, $1) ON CONFLICT (id) DO NOTHING", hex.EncodeToString(fresh)); err != nil {
		return nil, fmt.Errorf("cannot make the secret of hashes: %w", err)
	}
	var text string
	if err := d.sql.QueryRowContext(ctx, "SELECT secret FROM pii_secret WHERE id = 1").Scan(&text); err != nil {
		return nil, fmt.Errorf("cannot read the secret of hashes: %w", err)
	}
	secret, err := hex.DecodeString(text)
	if err != nil {
		return nil, store.Invalidf("cannot read the secret of hashes: it is damaged") // the error would show some of it
	}
	return secret, nil
}

// PII returns what is set for a tenant, over what is set for all.
func (s *Snapshot) PII(tenant string) pii.Overrides {
	if o, ok := s.pii[tenant]; ok {
		return o
	}
	return s.settings.PII
}

// loadPII reads the settings of all tenants.
func (d *DB) loadPII(ctx context.Context, q queryer, s *Snapshot) error {
	own, err := ownPII(ctx, q)
	if err != nil {
		return err
	}
	s.pii = own
	for tenant, o := range own {
		s.pii[tenant] = o.On(s.settings.PII)
	}
	return nil
}

// ownPII returns what is set for each tenant that has some settings.
func ownPII(ctx context.Context, q queryer) (map[string]pii.Overrides, error) {
	own := map[string]pii.Overrides{}
	_, err := query(ctx, q, func(r row) (none struct{}, err error) {
		var tenant, settings string
		err = r.Scan(&tenant, &settings)
		own[tenant] = pii.Overrides(settings)
		return none, err
	}, "SELECT tenant, settings FROM pii_policies")
	if err != nil {
		return nil, fmt.Errorf("cannot read what is done with personal data: %w", err)
	}
	return own, nil
}

// PIIPolicy is what is set for a tenant, and what comes of it.
type PIIPolicy struct {
	Overrides pii.Overrides `json:"overrides"`
	Effective pii.Settings  `json:"effective"`
}

// TenantPII returns what is done with a tenant's personal data, or [ErrNotFound].
func (d *DB) TenantPII(ctx context.Context, by Actor, id string) (PIIPolicy, error) {
	if _, err := d.Tenant(ctx, by, id); err != nil {
		return PIIPolicy{}, err
	}
	o, err := piiOf(ctx, d.sql, id)
	if err != nil {
		return PIIPolicy{}, err
	}
	all, err := d.settings(ctx, d.sql)
	if err != nil {
		return PIIPolicy{}, err
	}
	effective, err := o.On(all.PII).Over(d.pii)
	if err != nil { // as package pii does
		effective = d.pii
	}
	return PIIPolicy{Overrides: o, Effective: effective}, nil
}

func piiOf(ctx context.Context, q queryer, id string) (pii.Overrides, error) {
	var text string
	err := q.QueryRowContext(ctx, "SELECT settings FROM pii_policies WHERE tenant = $1", id).Scan(&text)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("cannot read what is done with personal data: %w", err)
	}
	return pii.Overrides(text), nil
}

// SetTenantPII sets what is done with a tenant's personal data, in place of what was set; empty is what the configuration says.
// Every receiver does so within 5 s. Only an operator may.
func (d *DB) SetTenantPII(ctx context.Context, by Actor, id string, o pii.Overrides) error {
	if !by.operator() {
		return ErrForbidden
	}
	if _, err := o.Over(d.pii); err != nil {
		return store.Invalidf("%w", err)
	}
	return d.change(ctx, by, func(ctx context.Context, tx *sql.Tx) (Entry, error) {
		if _, err := tenantByID(ctx, tx, id); err != nil {
			return Entry{}, err
		}
		before, err := piiOf(ctx, tx, id)
		if err != nil {
			return Entry{}, err
		}
		all, err := d.settings(ctx, tx)
		if err != nil {
			return Entry{}, err
		}
		if _, err := o.On(all.PII).Over(d.pii); err != nil {
			return Entry{}, store.Invalidf("with what is set for all tenants: %w", err)
		}
		if o == "" {
			_, err = tx.ExecContext(ctx, "DELETE FROM pii_policies WHERE tenant = $1", id)
		} else {
			_, err = tx.ExecContext(ctx, "INSERT INTO pii_policies (tenant, settings) VALUES ($1, $2) ON CONFLICT (tenant) DO UPDATE SET settings = EXCLUDED.settings", id, string(o))
		}
		return Entry{Action: "tenant.pii", Tenant: id, Object: id, Before: encode(before), After: encode(o)}, err
	})
}
