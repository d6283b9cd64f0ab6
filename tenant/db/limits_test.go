package db

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant/limits"
)

// TestLimits sets limits for all tenants, one of them and a key, and sees them in another process.
func TestLimits(t *testing.T) {
	onBoth(t, func(t *testing.T, b *backend) {
		b.limits = limits.Limits{ActiveSeries: 10, QuerySeries: 20}
		c := newClock()
		here, there := b.open(t, c), b.open(t, c)
		ctx := t.Context()
		if _, err := here.CreateTenant(ctx, root, "a", ""); err != nil {
			t.Fatal(err)
		}
		k, token := mustKey(t, here, Spec{Tenant: "a", Scopes: []string{"admin"}})
		if l := here.Snapshot().Limits("a"); l != b.limits {
			t.Errorf("without overrides: %+v", l)
		}
		for _, err := range []error{
			here.SetDefaultLimits(ctx, root, `{"query_series":30,"query_range":"30d"}`),
			here.SetTenantLimits(ctx, root, "a", `{"active_series":0}`),
			here.SetKeyLimits(ctx, k.Actor(), k.ID, `{"samples_per_second":5}`),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		within(t, "the limits there", func() bool {
			s := there.Snapshot()
			got, _ := s.Authenticate(token, c.Now())
			if got == nil {
				return false
			}
			held, any := got.Held()
			return any && held == (limits.Limits{SamplesPerSecond: 5}) &&
				s.Limits("a").ActiveSeries == 0 && s.Limits("a").QuerySeries == 30 && s.Limits("nobody").ActiveSeries == 10 && s.Limits("nobody").QueryRange > 0
		})
		next, _, err := here.RotateKey(ctx, root, k.ID, Rotation{Overlap: time.Hour})
		if err != nil || next.Limits != `{"samples_per_second":5}` {
			t.Errorf("a rotated key has the limits %q: %v", next.Limits, err)
		}
		checkLimitsSeen(t, there, k)
		refuseLimits(t, here, k)
		if err := here.SetTenantLimits(ctx, root, "a", ""); err != nil || here.Snapshot().Limits("a").ActiveSeries != 10 {
			t.Errorf("the overrides are not gone: %v", err)
		}
		log, err := here.Audit(ctx, root, 0, 1)
		if err != nil || log[0].Action != "tenant.limits" || !strings.Contains(string(log[0].Before), `"limits":{"active_series":0}`) || strings.Contains(string(log[0].After), "limits") {
			t.Errorf("%s %s %v", log[0].Before, log[0].After, err)
		}
	})
}

func checkLimitsSeen(t *testing.T, d *DB, k *Key) {
	t.Helper()
	ctx, by := t.Context(), k.Actor()
	all, err := d.DefaultLimits(ctx, root)
	if err != nil || all.Overrides != `{"query_series":30,"query_range":"30d"}` || all.Effective.ActiveSeries != 10 || all.Effective.QuerySeries != 30 {
		t.Errorf("%+v, %v", all, err)
	}
	own, err := d.TenantLimits(ctx, by, "a")
	if err != nil || own.Overrides != `{"active_series":0}` || own.Effective.ActiveSeries != 0 || own.Effective.QuerySeries != 30 {
		t.Errorf("%+v, %v", own, err)
	}
	one, err := d.KeyLimits(ctx, by, k.ID)
	if err != nil || one.Effective != (limits.Limits{SamplesPerSecond: 5}) {
		t.Errorf("%+v, %v", one, err)
	}
	if _, err := d.TenantLimits(ctx, by, store.DefaultTenant); !errors.Is(err, ErrNotFound) {
		t.Errorf("sees another tenant's: %v", err)
	}
	if _, err := d.DefaultLimits(ctx, by); !errors.Is(err, ErrForbidden) {
		t.Errorf("sees those of all: %v", err)
	}
}

func refuseLimits(t *testing.T, d *DB, k *Key) {
	t.Helper()
	ctx, by := t.Context(), k.Actor()
	for _, err := range []error{d.SetDefaultLimits(ctx, by, ""), d.SetTenantLimits(ctx, by, "a", "")} {
		if !errors.Is(err, ErrForbidden) {
			t.Errorf("a tenant's admin sets limits: %v", err)
		}
	}
	other, _ := mustKey(t, d, Spec{Tenant: store.DefaultTenant, Scopes: []string{"read"}})
	if err := d.SetKeyLimits(ctx, by, other.ID, ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("a tenant's admin sets limits of another's key: %v", err)
	}
	for _, bad := range []limits.Overrides{`{"active":1}`, `{"active_series":-1}`, `{"samples_burst":1}`, `[`} {
		for _, err := range []error{d.SetDefaultLimits(ctx, root, bad), d.SetTenantLimits(ctx, root, "a", bad), d.SetKeyLimits(ctx, root, k.ID, bad)} {
			if store.KindOf(err) != store.KindInvalid {
				t.Errorf("%s: %v", bad, err)
			}
		}
	}
	if err := d.PatchKeyLimits(ctx, root, k.ID, limits.Patch{"active_series": json.RawMessage("5")}); store.KindOf(err) != store.KindInvalid {
		t.Errorf("active series of a key: %v", err)
	}
	if err := d.SetTenantLimits(ctx, root, "nobody", ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// TestPatches that come at once, from two processes, are all there afterwards.
func TestPatches(t *testing.T) {
	onBoth(t, func(t *testing.T, b *backend) {
		here, there := b.open(t, newClock()), b.open(t, newClock())
		k, _ := mustKey(t, here, Spec{Tenant: store.DefaultTenant, Scopes: []string{"read"}})
		var all sync.WaitGroup
		for i, name := range []string{"query_series", "query_samples", "labels_per_series", "request_bytes"} {
			d, p := here, limits.Patch{name: json.RawMessage("7")}
			if i%2 == 0 {
				d = there
			}
			all.Go(func() {
				if err := errors.Join(d.PatchDefaultLimits(t.Context(), root, p), d.PatchTenantLimits(t.Context(), root, store.DefaultTenant, p), d.PatchKeyLimits(t.Context(), root, k.ID, p)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		const want = `{"labels_per_series":7,"query_samples":7,"query_series":7,"request_bytes":7}`
		a, err := here.DefaultLimits(t.Context(), root)
		o, err1 := here.TenantLimits(t.Context(), root, store.DefaultTenant)
		one, err2 := here.KeyLimits(t.Context(), root, k.ID)
		if err := errors.Join(err, err1, err2); err != nil || a.Overrides != want || o.Overrides != want || one.Overrides != want {
			t.Errorf("%+v\n%+v\n%+v\n%v", a, o, one, err)
		}
	})
}

// TestDamagedLimits in the database do not keep a process from starting.
func TestDamagedLimits(t *testing.T) {
	onBoth(t, func(t *testing.T, b *backend) {
		b.limits = limits.Limits{ActiveSeries: 10}
		d := b.open(t, newClock())
		if _, err := d.sql.ExecContext(t.Context(), `UPDATE tenants SET limits = '{"of_a_newer_version":1}'`); err != nil {
			t.Fatal(err)
		}
		again, err := Open(t.Context(), b.config, Options{Dir: b.dir, Limits: b.limits, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if l := again.Snapshot().Limits(store.DefaultTenant); l.ActiveSeries != 10 {
			t.Errorf("%+v", l)
		}
	})
}
