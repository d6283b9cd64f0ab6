package auth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	"github.com/metricstream/metricstream/tenant/auth"
	"github.com/metricstream/metricstream/tenant/db"
	"github.com/metricstream/metricstream/tenant/limits"
)

// contextOf returns the context of a request that was let in with a key.
func (g *gate) contextOf(t *testing.T, token string) (ctx context.Context) {
	t.Helper()
	h := g.Protect(auth.Read, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { ctx = r.Context() }))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	bearer(token)(r)
	h.ServeHTTP(httptest.NewRecorder(), r)
	if ctx == nil {
		t.Fatal("the key was refused")
	}
	return ctx
}

// TestGrants are of the tenant and of the key, and cost no memory.
func TestGrants(t *testing.T) {
	g := newGate(t)
	k, token, err := g.db.CreateKey(t.Context(), root, db.Spec{Tenant: "a", Scopes: []string{"read"}})
	if err != nil {
		t.Fatal(err)
	}
	grants := auth.Grants(g.db, limits.Limits{})
	plain := g.contextOf(t, token)
	if err := g.db.SetKeyLimits(t.Context(), root, k.ID, `{"query_series":3}`); err != nil {
		t.Fatal(err)
	}
	if err := g.db.SetTenantLimits(t.Context(), root, "a", `{"active_series":7}`); err != nil {
		t.Fatal(err)
	}
	of := limits.Limits{ActiveSeries: 7}
	if got, want := grants(plain, "a"), (limits.Grant{Tenant: "a", Limits: of, Home: "a"}); !reflect.DeepEqual(got, want) {
		t.Errorf("a request that was let in before its key got limits: %+v", got)
	}
	ctx := g.contextOf(t, token)
	want := limits.Grant{Tenant: "a", Limits: of, Key: k.ID, KeyLimits: limits.Limits{QuerySeries: 3}, Home: "a"}
	if got := grants(ctx, "a"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if n := testing.AllocsPerRun(100, func() { grants(ctx, "a") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	without := auth.Grants(nil, of)
	if got := without(ctx, "x"); !reflect.DeepEqual(got, limits.Grant{Tenant: "x", Limits: of}) {
		t.Errorf("without keys: %+v", got)
	}
}
