package db

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/metricstream/metricstream/pii"
	"github.com/metricstream/metricstream/store"
)

// TestSettings of the service are seen by another process, under those of tenants, and over the configuration.
func TestSettings(t *testing.T) {
	onBoth(t, func(t *testing.T, b *backend) {
		here, there := b.open(t, newClock()), b.open(t, newClock())
		ctx := t.Context()
		k, _ := mustKey(t, here, Spec{Tenant: store.DefaultTenant, Scopes: []string{"admin"}})
		if here.Snapshot().LimitStatus(429) != 429 {
			t.Error("there is a status that nobody has set")
		}
		s := Settings{PII: overridesOf(t, `{"detectors":{"email":"mask","ipv4":"report"}}`), LimitStatus: 529}
		if err := errors.Join(here.SetSettings(ctx, root, s), here.SetTenantPII(ctx, root, store.DefaultTenant, overridesOf(t, `{"detectors":{"ipv4":"drop"}}`))); err != nil {
			t.Fatal(err)
		}
		within(t, "the settings there", func() bool {
			s := there.Snapshot()
			own, err := s.PII(store.DefaultTenant).Over(pii.Settings{})
			all, err2 := s.PII("nobody").Over(pii.Settings{})
			return errors.Join(err, err2) == nil && s.LimitStatus(429) == 529 && all.Detectors["ipv4"] == pii.Report &&
				own.Detectors["ipv4"] == pii.Drop && own.Detectors["email"] == pii.Mask
		})
		got, err := there.Settings(ctx, root)
		if err != nil || got.Overrides != s || got.Effective.LimitStatus != 529 || got.Effective.PII.Detectors["email"] != pii.Mask {
			t.Errorf("%+v, %v", got, err)
		}
		if own, err := there.TenantPII(ctx, k.Actor(), store.DefaultTenant); err != nil || own.Overrides != `{"detectors":{"ipv4":"drop"}}` || own.Effective.Detectors["email"] != pii.Mask {
			t.Errorf("%+v, %v", own, err)
		}
		if log, err := here.Audit(ctx, root, 0, 2); err != nil || log[1].Action != "settings.set" || string(log[1].Before) != "{}" || !strings.Contains(string(log[1].After), "529") {
			t.Errorf("%+v, %v", log, err)
		}
		if _, err := here.Settings(ctx, k.Actor()); !errors.Is(err, ErrForbidden) {
			t.Errorf("a tenant's admin reads them: %v", err)
		}
		if err := here.SetSettings(ctx, k.Actor(), s); !errors.Is(err, ErrForbidden) {
			t.Errorf("a tenant's admin sets them: %v", err)
		}
		refuseSettings(t, here)
		if err := here.SetSettings(ctx, root, Settings{}); err != nil || here.Snapshot().LimitStatus(429) != 429 || here.Snapshot().PII("nobody") != "" {
			t.Errorf("they are not gone: %v", err)
		}
	})
}

// refuseSettings that are none, and patterns that are too many only together with those of a tenant, whoever comes second:
// what a receiver cannot read it leaves out.
func refuseSettings(t *testing.T, d *DB) {
	t.Helper()
	patterns := func(name string, n int) pii.Overrides {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`{"name":"%s%d","regex":"x{9}","action":"drop"}`, name, i))
		}
		return overridesOf(t, `{"patterns":[`+strings.Join(all, ",")+`]}`)
	}
	invalid := func(what string, err error) {
		t.Helper()
		if store.KindOf(err) != store.KindInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	ctx := t.Context()
	invalid("a status", d.SetSettings(ctx, root, Settings{LimitStatus: 503}))
	invalid("a detector", d.SetSettings(ctx, root, Settings{PII: `{"detectors":{"mail":"mask"}}`}))
	if err := d.SetTenantPII(ctx, root, store.DefaultTenant, patterns("own", 15)); err != nil {
		t.Fatal(err)
	}
	invalid("too many patterns", d.SetSettings(ctx, root, Settings{PII: patterns("all", 6)}))
	if err := errors.Join(d.SetTenantPII(ctx, root, store.DefaultTenant, ""), d.SetSettings(ctx, root, Settings{PII: patterns("all", 6)})); err != nil {
		t.Fatal(err)
	}
	invalid("too many patterns of a tenant", d.SetTenantPII(ctx, root, store.DefaultTenant, patterns("own", 15)))
}
