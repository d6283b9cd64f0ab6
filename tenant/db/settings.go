package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/metricstream/metricstream/pii"
	"github.com/metricstream/metricstream/store"
)

// serviceSetting is the name of the setting with what is set for the whole service.
const serviceSetting = "service"

// Settings are what of the configuration can be set for the whole service without a restart. What is zero is as the
// configuration says.
type Settings struct {
	// PII is what is done with the personal data of tenants, under what is set for a tenant.
	PII pii.Overrides `json:"pii,omitempty"`

	// LimitStatus is remote_write.limit_status.
	LimitStatus int `json:"limit_status,omitempty"`
}

// ServiceSettings are what is set, and what comes of it with this process' configuration.
type ServiceSettings struct {
	Overrides Settings          `json:"overrides"`
	Effective EffectiveSettings `json:"effective"`
}

// EffectiveSettings are what holds.
type EffectiveSettings struct {
	PII         pii.Settings `json:"pii"`
	LimitStatus int          `json:"limit_status"`
}

func (s Settings) check(base pii.Settings) error {
	if _, err := s.PII.Over(base); err != nil {
		return store.Invalidf("pii: %w", err)
	}
	// As package remotewrite has it.
	if s.LimitStatus != 0 && s.LimitStatus != http.StatusTooManyRequests && s.LimitStatus != 529 {
		return store.Invalidf("limit_status: is %d; set it to 429, or to 529 for senders that drop data on 429", s.LimitStatus)
	}
	return nil
}

// Settings returns what is set for the whole service. Only an operator may see it.
func (d *DB) Settings(ctx context.Context, by Actor) (ServiceSettings, error) {
	if !by.operator() {
		return ServiceSettings{}, ErrForbidden
	}
	s, err := d.settings(ctx, d.sql)
	if err != nil {
		return ServiceSettings{}, err
	}
	effective := EffectiveSettings{d.pii, d.limitStatus}
	if all, err := s.PII.Over(d.pii); err == nil {
		effective.PII = all
	}
	if s.LimitStatus != 0 {
		effective.LimitStatus = s.LimitStatus
	}
	return ServiceSettings{s, effective}, nil
}

// SetSettings sets what is set for the whole service, in place of what was. Only an operator may.
func (d *DB) SetSettings(ctx context.Context, by Actor, s Settings) error {
	if !by.operator() {
		return ErrForbidden
	}
	if err := s.check(d.pii); err != nil {
		return err
	}
	return d.change(ctx, by, func(ctx context.Context, tx *sql.Tx) (Entry, error) {
		before, err := d.settings(ctx, tx)
		if err != nil {
			return Entry{}, err
		}
		own, err := ownPII(ctx, tx)
		if err != nil {
			return Entry{}, err
		}
		for tenant, o := range own {
			if _, err := o.On(s.PII).Over(d.pii); err != nil {
				return Entry{}, store.Invalidf("pii: with what is set for the tenant %s: %w", tenant, err)
			}
		}
		err = setSetting(ctx, tx, serviceSetting, string(encode(s)))
		return Entry{Action: "settings.set", Before: encode(before), After: encode(s)}, err
	})
}

// settings are none where they cannot be read: a newer version may have written them.
func (d *DB) settings(ctx context.Context, q queryer) (s Settings, err error) {
	text, err := setting(ctx, q, serviceSetting)
	if err != nil || text == "" {
		return s, err
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		d.logger.Warn("the settings of the service in the metadata are not good", "err", fmt.Errorf("cannot read them: %w", err))
		return Settings{}, nil
	}
	return s, nil
}

// LimitStatus returns remote_write.limit_status, as it is set, or else otherwise.
func (s *Snapshot) LimitStatus(otherwise int) int {
	if s.settings.LimitStatus != 0 {
		return s.settings.LimitStatus
	}
	return otherwise
}
