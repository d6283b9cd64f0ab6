package db

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/metricstream/metricstream/erasure/list"
	"github.com/metricstream/metricstream/store"
)

func TestErasures(t *testing.T) {
	onBoth(t, func(t *testing.T, b *backend) {
		d := b.open(t, newClock())
		consumed(t, d)
		ctx := t.Context()
		other := Actor{Name: "other", Tenants: []string{"b"}}
		asked := Erasure{Tenant: "a", Selectors: []string{`up{job="x"}`, `{__name__=~"y.*"}`}, Start: time.UnixMilli(1234), Reason: "asked by a person"}
		for _, bad := range []Erasure{{Tenant: "a"}, {Tenant: "a", Selectors: []string{"up{"}}, {Tenant: "a", Selectors: []string{""}}, {Tenant: "a", Selectors: []string{"up"}, Start: time.UnixMilli(2), End: time.UnixMilli(1)}} {
			if _, err := d.CreateErasure(ctx, root, bad); store.KindOf(err) != store.KindInvalid {
				t.Errorf("%+v: %v", bad, err)
			}
		}
		if _, err := d.CreateErasure(ctx, other, asked); !errors.Is(err, ErrNotFound) {
			t.Errorf("somebody else's tenant: %v", err)
		}
		e, err := d.CreateErasure(ctx, root, asked)
		if err != nil {
			t.Fatal(err)
		}
		if e.State != ErasureRequested || e.Actor != "test" || e.Range() != (list.Range{MinMs: 1234, MaxMs: list.All().MaxMs}) || len(e.ID) != 16 {
			t.Errorf("%+v", e)
		}
		if _, err := d.Erasure(ctx, other, e.ID); !errors.Is(err, ErrNotFound) {
			t.Errorf("somebody else's erasure: %v", err)
		}
		if all, err := d.Erasures(ctx, other, 10); err != nil || len(all) != 0 {
			t.Errorf("somebody else's erasures: %v, %v", all, err)
		}

		e.State, e.Topic, e.Generation, e.Ends, e.Noted = ErasureDeleting, "t", "g", map[int32]int64{0: 5, 3: 7}, time.UnixMilli(99).UTC()
		e.Families, e.Listed, e.Report = []string{"up"}, true, &ErasureReport{Series: 2, Tables: []ErasedTable{{Table: "samples", Before: 9, Query: "SELECT"}}}
		stale := e
		if e, err = d.SaveErasure(ctx, e); err != nil {
			t.Fatal(err)
		}
		read, err := d.Erasure(ctx, root, e.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, read); diff != "" {
			t.Error(diff)
		}
		for name, err := range map[string]error{
			"save":  second(d.SaveErasure(ctx, stale)),
			"end":   second(d.FinishErasure(ctx, stale)),
			"clear": d.ClearErasureKeys(ctx, stale, ErasedKeys),
			"add":   d.AddErasureKeys(ctx, stale, ErasedKeys, 0, []byte{1}),
		} {
			if !errors.Is(err, ErrFenced) {
				t.Errorf("%s of what another process has changed: %v", name, err)
			}
		}
		for chunk := range 3 {
			if err := d.AddErasureKeys(ctx, e, ErasedKeys, chunk, []byte{0, byte(chunk), 255}); err != nil {
				t.Fatal(err)
			}
		}
		keys := func() (all string) {
			if err := d.ErasureKeys(ctx, e.ID, ErasedKeys, func(data []byte) error { all += fmt.Sprint(data); return nil }); err != nil {
				t.Fatal(err)
			}
			return all
		}
		if got := keys(); got != "[0 0 255][0 1 255][0 2 255]" {
			t.Error(got)
		}
		e.State = ErasureDone
		if e, err = d.FinishErasure(ctx, e); err != nil {
			t.Fatal(err)
		}
		if open, err := d.OpenErasures(ctx); err != nil || len(open) != 1 || open[0].Finished.IsZero() || len(keys()) == 0 {
			t.Errorf("what the log may still hold: %v, %v", open, err)
		}
		e.Listed = false
		if e, err = d.SaveErasure(ctx, e); err != nil {
			t.Fatal(err)
		}
		if v, err := d.ErasuresVersion(ctx); err != nil || v != 1+e.Revision {
			t.Errorf("version %d, %v, of the revision %d", v, err, e.Revision)
		}
		if open, err := d.OpenErasures(ctx); err != nil || len(open) != 0 || keys() != "" {
			t.Errorf("when the log holds nothing of it: %v, %v", open, err)
		}
		log, err := d.Audit(ctx, root, 0, 10)
		if err != nil || len(log) != 2 || log[0].Action != "erasure.done" || log[1].Action != "erasure.create" || !strings.Contains(string(log[1].After), "asked by a person") {
			t.Errorf("%+v, %v", log, err)
		}
	})
}

// TestReaders are kept while they give signs of life, and for a day.
func TestReaders(t *testing.T) {
	onBoth(t, func(t *testing.T, b *backend) {
		clock := newClock()
		d := b.open(t, clock)
		r := d.NewReader(true)
		if other := d.NewReader(false); d.postgres == (other.ID == r.ID) || r.Alone == d.postgres {
			t.Errorf("%+v, another one is %+v", r, other)
		}
		for _, version := range []int64{0, 7, ReaderLeft} {
			clock.forward(time.Second)
			r.Version = version
			if err := d.ReportReader(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			all, err := d.Readers(t.Context())
			if err != nil || len(all) != 1 || all[0].ID != r.ID || !all[0].Consumes || all[0].Version != version || all[0].Seen.UnixMilli() != clock.Now().UnixMilli() {
				t.Errorf("%+v, %v", all, err)
			}
		}
		clock.forward(25 * time.Hour)
		if err := d.ForgetReaders(t.Context()); err != nil {
			t.Fatal(err)
		}
		clock.forward(-2 * time.Hour)
		if all, err := d.Readers(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("after a day: %+v, %v", all, err)
		}
	})
}

// TestErasuresArePersonal: what an erasure is about does not stay in its request, nor in the audit log.
func TestErasuresArePersonal(t *testing.T) {
	onBoth(t, func(t *testing.T, b *backend) {
		d := b.open(t, newClock())
		consumed(t, d)
		const mail = "alice@example.com"
		e, err := d.CreateErasure(t.Context(), root, Erasure{Tenant: "a", Selectors: []string{`logins{user="` + mail + `"}`, "up"}, Reason: mail + " asked"})
		if err != nil || !strings.Contains(e.Selectors[0], mail) {
			t.Fatalf("%+v, %v", e, err)
		}
		e.State, e.Failure = ErasureDone, "not found: "+mail
		if _, err := d.FinishErasure(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		done, err := d.Erasure(t.Context(), root, e.ID)
		if want := []string{`logins{user="[email]"}`, "up"}; err != nil || !slices.Equal(done.Selectors, want) || done.Reason != "[email] asked" {
			t.Errorf("%+v, %v", done, err)
		}
		log, err := d.Audit(t.Context(), root, 0, 10)
		if err != nil || len(log) != 2 {
			t.Fatalf("%+v, %v", log, err)
		}
		for _, entry := range log {
			if strings.Contains(string(entry.After)+done.Failure, mail) || !strings.Contains(string(entry.After), "[email] asked") {
				t.Errorf("%s: %s", entry.Action, entry.After)
			}
		}
	})
}

// TestNobodyErases: a request that nobody would do is refused, until a consumer was there.
func TestNobodyErases(t *testing.T) {
	onBoth(t, func(t *testing.T, b *backend) {
		clock := newClock()
		d := b.open(t, clock)
		ask := func(want bool) {
			t.Helper()
			_, err := d.CreateErasure(t.Context(), root, Erasure{Tenant: "a", Selectors: []string{"up"}})
			if !d.postgres {
				want = true // the process itself does
			}
			if want != (err == nil) || err != nil && (!errors.Is(err, ErrNoConsumer)) {
				t.Error(err)
			}
		}
		ask(false)
		for _, consumes := range []bool{false, true} {
			if err := d.ReportReader(t.Context(), d.NewReader(consumes)); err != nil {
				t.Fatal(err)
			}
			ask(consumes)
		}
		clock.forward(2 * time.Hour)
		ask(false)
	})
}

// consumed lets erasures be asked for: a consumer was there.
func consumed(t *testing.T, d *DB) {
	t.Helper()
	if err := d.ReportReader(t.Context(), d.NewReader(true)); err != nil {
		t.Fatal(err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestDeleteTenant(t *testing.T) {
	onBoth(t, func(t *testing.T, b *backend) {
		d := b.open(t, newClock())
		consumed(t, d)
		ctx := t.Context()
		for _, id := range []string{"a", "b"} {
			if _, err := d.CreateTenant(ctx, root, id, ""); err != nil {
				t.Fatal(err)
			}
		}
		_, token := mustKey(t, d, Spec{Tenant: "a", Scopes: []string{ScopeRead}})
		_, kept := mustKey(t, d, Spec{Tenant: "b", Scopes: []string{ScopeRead}, Tenants: []string{"a"}})
		everywhere, _ := mustKey(t, d, Spec{Tenant: "a", Scopes: Scopes(), Tenants: []string{AllTenants}})
		if _, err := d.DeleteTenant(ctx, Actor{Tenants: []string{"a"}}, "a", ""); !errors.Is(err, ErrForbidden) {
			t.Errorf("by its own key: %v", err)
		}
		if _, err := d.DeleteTenant(ctx, root, "nobody", ""); !errors.Is(err, ErrNotFound) {
			t.Errorf("a tenant that is not there: %v", err)
		}
		if _, err := d.DeleteTenant(ctx, root, "a", ""); store.KindOf(err) != store.KindInvalid || !strings.Contains(err.Error(), everywhere.Prefix) {
			t.Errorf("with a key for all tenants: %v", err)
		}
		if err := d.RevokeKey(ctx, root, everywhere.ID); err != nil {
			t.Fatal(err)
		}
		mustUser(t, d, User{Name: "olga", Tenant: "a", Tenants: []string{AllTenants}, Role: RoleAdmin})
		if _, err := d.DeleteTenant(ctx, root, "a", ""); store.KindOf(err) != store.KindInvalid || !strings.Contains(err.Error(), "olga") {
			t.Errorf("with a user for all tenants: %v", err)
		}
		if err := d.DeleteUser(ctx, root, "olga"); err != nil {
			t.Fatal(err)
		}
		_, guest := mustKey(t, d, Spec{Tenant: "b", Scopes: []string{ScopeRead}, Tenants: []string{"a", "aa", "a"}})
		mustUser(t, d, User{Name: "ada", Tenant: "b", Tenants: []string{"a"}, Role: RoleViewer})
		mustUser(t, d, User{Name: "eve", Tenant: "a", Tenants: []string{"b"}, Role: RoleViewer})
		e, err := d.DeleteTenant(ctx, root, "a", "they left")
		if err != nil || !e.Whole() || !e.Range().Whole() {
			t.Fatalf("%+v, %v", e, err)
		}
		if again, err := d.DeleteTenant(ctx, root, "a", ""); err != nil || again.ID != e.ID {
			t.Errorf("asked again: %+v, %v", again, err)
		}
		if d.Snapshot().Active("a") {
			t.Error("the tenant is not disabled")
		}
		e.State = ErasureDone
		if _, err := d.FinishErasure(ctx, e); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Tenant(ctx, root, "a"); !errors.Is(err, ErrNotFound) {
			t.Errorf("the tenant is still there: %v", err)
		}
		if verdict(d, token) != Unknown || verdict(d, kept) != Good {
			t.Errorf("the keys are %s and %s", verdict(d, token), verdict(d, kept))
		}
		// Whoever takes the name next has nothing to do with those who could speak for the tenant.
		if k, _ := d.Snapshot().Authenticate(guest, d.now()); k == nil || k.Covers("a") || !k.Covers("aa") {
			t.Errorf("a guest's key: %+v", k)
		}
		if u := d.Snapshot().User("ada"); u == nil || u.Key().Covers("a") || d.Snapshot().User("eve") != nil {
			t.Errorf("the users %+v and %+v", u, d.Snapshot().User("eve"))
		}
		log, err := d.Audit(ctx, root, 0, 100)
		if err != nil || log[0].Action != "erasure.done" || log[1].Action != "tenant.delete" || log[1].Tenant != "a" || !strings.Contains(string(log[1].After), "they left") || !strings.Contains(string(log[0].Before), `"users":["ada"]`) {
			t.Errorf("%+v, %v", log, err)
		}
	})
}

// TestOperatorsStay: keys and users for all tenants that come while their tenant is deleted keep it, and everybody else's go.
func TestOperatorsStay(t *testing.T) {
	onBoth(t, func(t *testing.T, b *backend) {
		d := b.open(t, newClock())
		consumed(t, d)
		ctx := t.Context()
		remove := func(meanwhile func()) {
			t.Helper()
			e, err := d.DeleteTenant(ctx, root, store.DefaultTenant, "")
			if err != nil {
				t.Fatal(err)
			}
			meanwhile()
			e.State = ErasureDone
			if _, err := d.FinishErasure(ctx, e); err != nil {
				t.Fatal(err)
			}
		}
		_, other := mustKey(t, d, Spec{Tenant: store.DefaultTenant, Scopes: []string{ScopeRead}})
		var first string
		remove(func() {
			var err error
			if first, err = d.FirstKey(ctx); err != nil {
				t.Fatal(err)
			}
			mustUser(t, d, User{Name: "olga", Tenant: store.DefaultTenant, Tenants: []string{"b", AllTenants}, Role: RoleAdmin})
		})
		k, v := d.Snapshot().Authenticate(first, d.now())
		if v != Good || d.Snapshot().User("olga") == nil || verdict(d, other) != Unknown || d.Snapshot().Active(store.DefaultTenant) {
			t.Fatalf("the first key is %s, another one %s", v, verdict(d, other))
		}
		if err := errors.Join(d.RevokeKey(ctx, root, k.ID), d.DeleteUser(ctx, root, "olga")); err != nil {
			t.Fatal(err)
		}
		remove(func() {})
		if _, err := d.Tenant(ctx, root, store.DefaultTenant); !errors.Is(err, ErrNotFound) {
			t.Fatalf("the tenant is still there: %v", err)
		}
		// Which is when a first key is needed again.
		if token, err := d.FirstKey(ctx); err != nil || verdict(d, token) != Good || !d.Snapshot().Active(store.DefaultTenant) {
			t.Errorf("a first key without its tenant: %v", err)
		}
	})
}
