package db

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/metricstream/metricstream/pii"
	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// overridesOf takes settings as the administration does.
func overridesOf(t *testing.T, text string) (o pii.Overrides) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestPII sets what is done with a tenant's personal data, and sees it in another process.
func TestPII(t *testing.T) {
	onBoth(t, func(t *testing.T, b *backend) {
		c := newClock()
		here, there := b.open(t, c), b.open(t, c)
		ctx := t.Context()
		if _, err := here.CreateTenant(ctx, root, "a", ""); err != nil {
			t.Fatal(err)
		}
		k, _ := mustKey(t, here, Spec{Tenant: "a", Scopes: []string{"admin"}})
		secret, err := here.PIISecret(ctx)
		if again, err2 := there.PIISecret(ctx); err != nil || err2 != nil || len(secret) != piiSecretBytes || string(secret) != string(again) {
			t.Errorf("the secrets: %x and %x, %v, %v", secret, again, err, err2)
		}
		mask := overridesOf(t, ` {"detectors": {"email": "mask"}, "exempt": {}} `)
		if mask != `{"detectors":{"email":"mask"}}` {
			t.Errorf("%s", mask)
		}
		for want, err := range map[error]error{
			ErrForbidden: here.SetTenantPII(ctx, k.Actor(), "a", mask),
			ErrNotFound:  here.SetTenantPII(ctx, root, "nobody", mask),
			nil:          here.SetTenantPII(ctx, root, "a", mask),
		} {
			if !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		}
		if err := here.SetTenantPII(ctx, root, "a", `{"detectors":{"mail":"mask"}}`); store.KindOf(err) != store.KindInvalid {
			t.Errorf("a detector that there is not: %v", err)
		}
		within(t, "the settings there", func() bool { return there.Snapshot().PII("a") == mask && there.Snapshot().PII("b") == "" })
		got, err := there.TenantPII(ctx, k.Actor(), "a")
		if err != nil || got.Overrides != mask || got.Effective.Detectors["email"] != pii.Mask {
			t.Errorf("%+v %v", got, err)
		}
		if _, err := there.TenantPII(ctx, k.Actor(), store.DefaultTenant); !errors.Is(err, ErrNotFound) {
			t.Errorf("of another tenant: %v", err)
		}
		if err := there.SetTenantPII(ctx, root, "a", ""); err != nil || there.Snapshot().PII("a") != "" {
			t.Errorf("taken back: %v", err)
		}
		log, err := here.Audit(ctx, root, 0, 1)
		if err != nil || log[0].Action != "tenant.pii" || string(log[0].Before) != string(mask) || string(log[0].After) != "{}" {
			t.Errorf("%+v %v", log, err)
		}
		if all, err := here.Audit(ctx, root, 0, 100); err != nil || strings.Contains(string(encode(all)), string(secret)) {
			t.Errorf("%v", err)
		}
	})
}

// TestPIIFindings adds up what two receivers find, and shows each tenant its own.
func TestPIIFindings(t *testing.T) {
	onBoth(t, func(t *testing.T, b *backend) {
		c := newClock()
		d := b.open(t, c)
		ctx := t.Context()
		one, two := NewPIIFindings(d, prometheus.NewRegistry()), NewPIIFindings(d, prometheus.NewRegistry())
		flush := func(f *PIIFindings) {
			t.Helper()
			if err := f.Flush(ctx); err != nil {
				t.Fatal(err)
			}
		}
		mail := PIIFinding{Tenant: "a", Detector: "email", Label: "user", Metric: "up", Action: "mask", Series: 3}
		ip := PIIFinding{Tenant: "b", Detector: "ipv4", Label: "__name__", Action: "report", Series: 1}
		first := c.Now().UTC().Truncate(time.Millisecond)
		one.Add(mail, ip, mail)
		flush(one)
		c.forward(time.Minute)
		two.Add(mail)
		flush(two)
		mail.Series, mail.First, mail.Last = 9, first, first.Add(time.Minute)
		ip.First, ip.Last = first, first
		for tenant, want := range map[string][]PIIFinding{"": {mail, ip}, "b": {ip}, "c": {}} {
			got, err := d.PIIFindings(ctx, root, tenant, 10)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%q: %v\n%s", tenant, err, diff)
			}
		}
		a := Actor{Tenants: []string{"a"}}
		if got, err := d.PIIFindings(ctx, a, "", 10); err != nil || len(got) != 1 || got[0].Tenant != "a" {
			t.Errorf("%+v %v", got, err)
		}
		if _, err := d.PIIFindings(ctx, a, "b", 10); !errors.Is(err, ErrNotFound) {
			t.Errorf("of another tenant: %v", err)
		}
		if got, err := d.PIIFindings(ctx, Actor{}, "", 10); err != nil || len(got) != 0 {
			t.Errorf("of nobody: %v %v", got, err)
		}
	})
}

// TestPIIFindingsWait keeps what cannot be written, and only so much of it.
func TestPIIFindingsWait(t *testing.T) {
	b := &backend{dir: t.TempDir()}
	d, stop := b.start(t, newClock())
	f := NewPIIFindings(d, prometheus.NewRegistry())
	for i := range maxWaiting + 5 {
		f.Add(PIIFinding{Tenant: "a", Label: string(rune('a'+i%26)) + time.Duration(i).String(), Series: 2})
	}
	stop()
	if err := f.Flush(t.Context()); err == nil {
		t.Fatal("a closed database took findings")
	}
	if n := len(f.waiting); n != maxWaiting || testutil.ToFloat64(f.lost) != 10 {
		t.Errorf("%d wait, %v are lost", n, testutil.ToFloat64(f.lost))
	}
	f.db, stop = b.start(t, newClock())
	defer stop()
	f.Add(PIIFinding{Tenant: "a", Label: "a0s", Series: 2})
	if err := f.Flush(t.Context()); err != nil || len(f.waiting) != 0 {
		t.Fatal(err)
	}
	f.Add(PIIFinding{Tenant: "a", Label: "one more", Series: 2}, PIIFinding{Tenant: "b", Label: "one more", Series: 2})
	if err := f.Flush(t.Context()); err != nil || testutil.ToFloat64(f.lost) != 12 {
		t.Errorf("%v, %v are lost", err, testutil.ToFloat64(f.lost))
	}
	got, err := f.db.PIIFindings(t.Context(), root, "", 1<<30)
	if err != nil || len(got) != MaxPIIFindings {
		t.Errorf("%d findings, %v", len(got), err)
	}
}

// TestPIIOfDeleted: with a tenant its settings and findings go.
func TestPIIOfDeleted(t *testing.T) {
	onBoth(t, func(t *testing.T, b *backend) {
		d := b.open(t, newClock())
		consumed(t, d)
		ctx := t.Context()
		f := NewPIIFindings(d, prometheus.NewRegistry())
		for _, id := range []string{"a", "b"} {
			if _, err := d.CreateTenant(ctx, root, id, ""); err != nil {
				t.Fatal(err)
			}
			if err := d.SetTenantPII(ctx, root, id, overridesOf(t, `{"detectors":{"email":"mask"}}`)); err != nil {
				t.Fatal(err)
			}
			f.Add(PIIFinding{Tenant: id, Detector: "email", Label: "user", Series: 1})
		}
		if err := f.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		e, err := d.DeleteTenant(ctx, root, "a", "")
		if err != nil {
			t.Fatal(err)
		}
		e.State = ErasureDone
		if _, err := d.FinishErasure(ctx, e); err != nil {
			t.Fatal(err)
		}
		left, err := d.PIIFindings(ctx, root, "", 10)
		if err != nil || len(left) != 1 || left[0].Tenant != "b" || d.Snapshot().PII("a") != "" || d.Snapshot().PII("b") == "" {
			t.Errorf("%+v %v, settings %q and %q", left, err, d.Snapshot().PII("a"), d.Snapshot().PII("b"))
		}
	})
}
