package auth_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/metricstream/metricstream/tenant"
	"github.com/metricstream/metricstream/tenant/auth"
	"github.com/metricstream/metricstream/tenant/db"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/crypto/bcrypt"
)

var root = db.Actor{Name: "test", Tenants: []string{db.AllTenants}}

// gate is a guard over real keys whose clock stands still until it is set.
type gate struct {
	*auth.Guard
	db       *db.DB
	now      time.Time
	registry *prometheus.Registry
}

func newGate(t testing.TB) *gate {
	t.Helper()
	g := &gate{now: time.Now(), registry: prometheus.NewRegistry()}
	clock := func() time.Time { return g.now }
	var err error
	g.db, err = db.Open(t.Context(), db.Config{}, db.Options{Dir: t.TempDir(), PasswordCost: bcrypt.MinCost, Now: clock, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.db.Close() })
	for _, id := range []string{"a", "b", "off"} {
		if _, err := g.db.CreateTenant(t.Context(), root, id, ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := g.db.UpdateTenant(t.Context(), root, "off", func(t *db.Tenant) { t.Disabled = g.now }); err != nil {
		t.Fatal(err)
	}
	g.Guard = auth.New(auth.Config{Enabled: true}, auth.Options{Now: clock, Registerer: g.registry})
	g.Open(g.db)
	return g
}

func (g *gate) key(t *testing.T, s db.Spec) string {
	t.Helper()
	_, token, err := g.db.CreateKey(t.Context(), root, s)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// ask sends a request and returns its answer; what is let in is answered with the tenant and the number of matchers.
func (g *gate) ask(need auth.Need, change func(*http.Request)) *httptest.ResponseRecorder {
	h := g.Protect(need, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := tenant.FromReadRequest(r)
		fmt.Fprint(w, id, err, len(tenant.MatchersFrom(r.Context())), tenant.FromContext(r.Context()) == id)
	}))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	change(r)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func as(token, id string) func(*http.Request) {
	return func(r *http.Request) { bearer(token)(r); r.Header.Set(tenant.Header, id) }
}

// TestCredentials gives a key in each way that clients can.
func TestCredentials(t *testing.T) {
	g := newGate(t)
	token := g.key(t, db.Spec{Tenant: "a", Scopes: []string{"read"}, Selector: `{x="y"}`})
	for name, c := range map[string]struct {
		change func(*http.Request)
		code   int
	}{
		"bearer":          {bearer(token), 200},
		"small bearer":    {func(r *http.Request) { r.Header.Set("Authorization", "bearer  "+token) }, 200},
		"basic":           {func(r *http.Request) { r.SetBasicAuth("anybody", token) }, 200},
		"header":          {func(r *http.Request) { r.Header.Set("X-API-Key", token) }, 200},
		"none":            {func(*http.Request) {}, 401},
		"no scheme":       {func(r *http.Request) { r.Header.Set("Authorization", token) }, 401},
		"as user":         {func(r *http.Request) { r.SetBasicAuth(token, "") }, 401},
		"in the URL":      {func(r *http.Request) { r.URL.RawQuery = "api_key=" + token }, 401},
		"prefix":          {bearer(token[:19]), 401},
		"capital letters": {bearer(strings.ToUpper(token)), 401},
	} {
		w := g.ask(auth.Read, c.change)
		if w.Code != c.code || c.code == 200 && w.Body.String() != "a<nil> 1 true" {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, c.code)
		}
		if c.code == 401 && (len(w.Header().Values("WWW-Authenticate")) != 2 || !strings.Contains(w.Body.String(), `"errorType":"unauthorized"`)) {
			t.Errorf("%s: %v %s", name, w.Header(), w.Body)
		}
	}
	if got := testutil.CollectAndCount(g.registry, "metricstream_auth_requests_total"); got != 9 {
		t.Errorf("%d results are counted", got)
	}
}

// TestSeveralTenants are read together by keys that may read each of them, and nothing else is done for several.
func TestSeveralTenants(t *testing.T) {
	g := newGate(t)
	own := g.key(t, db.Spec{Tenant: "a", Scopes: db.Scopes()})
	both := g.key(t, db.Spec{Tenant: "a", Scopes: db.Scopes(), Tenants: []string{"b", "off", "later"}})
	all := g.key(t, db.Spec{Tenant: "a", Scopes: db.Scopes(), Tenants: []string{"*"}})
	for _, c := range []struct {
		key, id string
		code    int
		want    string
	}{
		{own, "a|a", 200, "a"}, {own, "a|a|a", 200, "a"}, {own, "a|b", 403, ""}, {own, "b|a", 403, ""}, {own, "b|b", 403, ""}, {own, "a|nobody", 403, ""},
		{own, "a||b", 400, ""}, {own, " a | b ", 400, ""}, {own, "a|", 400, ""}, {own, "a|*", 400, ""}, {own, "a|.", 400, ""}, {own, "a%7Cb", 400, ""},
		{both, "b|a", 200, "a|b"}, {both, "a|b|a", 200, "a|b"}, {both, "a|off", 403, ""}, {both, "a|later", 403, ""}, {both, "a|b|anonymous", 403, ""},
		{all, "a|b|anonymous", 200, "a|anonymous|b"}, {all, "a|nobody", 403, ""}, {all, "off|a", 403, ""},
		{all, strings.Repeat("a|", 40) + "b", 200, "a|b"},
	} {
		w := g.ask(auth.Read, as(c.key, c.id))
		if w.Code != c.code || c.code == 200 && w.Body.String() != c.want+"<nil> 0 true" {
			t.Errorf("%s: %d %s, want %d %s", c.id, w.Code, w.Body, c.code, c.want)
		}
		for _, need := range []auth.Need{auth.Write, auth.ReadAll, auth.Monitor, auth.Admin, auth.Operator} {
			if w := g.ask(need, as(c.key, c.id)); w.Code == 200 || w.Code == 401 {
				t.Errorf("%s of %s: %d %s", need, c.id, w.Code, w.Body)
			}
		}
	}
}

// TestTenants chooses a tenant by the header, with keys that may and keys that may not.
func TestTenants(t *testing.T) {
	g := newGate(t)
	own := g.key(t, db.Spec{Tenant: "a", Scopes: []string{"read"}})
	both := g.key(t, db.Spec{Tenant: "a", Scopes: []string{"read"}, Tenants: []string{"b", "off", "later"}})
	all := g.key(t, db.Spec{Tenant: "a", Scopes: []string{"read"}, Tenants: []string{"*"}})
	off := g.key(t, db.Spec{Tenant: "off", Scopes: []string{"read"}})
	for _, c := range []struct {
		key, id string
		code    int
	}{
		{own, "a", 200}, {own, "b", 403}, {own, "later", 403}, {own, "a|b", 403}, {own, "a/b", 400},
		{both, "b", 200}, {both, "off", 403}, {both, "later", 403}, {both, "anonymous", 403},
		{all, "b", 200}, {all, "anonymous", 200}, {all, "off", 403}, {all, "nobody", 403}, {all, "*", 400}, {all, "a|b", 200},
		{off, "", 403},
	} {
		w := g.ask(auth.Read, as(c.key, c.id))
		if w.Code != c.code || c.code == 200 && !strings.HasPrefix(w.Body.String(), c.id+"<nil>") {
			t.Errorf("%s: %d %s, want %d", c.id, w.Code, w.Body, c.code)
		}
	}
	// The same words for a tenant of others and for none.
	if x, y := g.ask(auth.Read, as(own, "b")).Body.String(), g.ask(auth.Read, as(own, "x")).Body.String(); strings.ReplaceAll(x, `\"b\"`, `\"x\"`) != y {
		t.Errorf("%s\n%s", x, y)
	}
}

// TestNeeds asks for each need with each kind of key.
func TestNeeds(t *testing.T) {
	g := newGate(t)
	keys := map[string]string{
		"write":    g.key(t, db.Spec{Tenant: "a", Scopes: []string{"write"}}),
		"read":     g.key(t, db.Spec{Tenant: "a", Scopes: []string{"read"}}),
		"part":     g.key(t, db.Spec{Tenant: "a", Scopes: []string{"read"}, Selector: `{x="y"}`}),
		"rules":    g.key(t, db.Spec{Tenant: "a", Scopes: []string{"rules"}}),
		"admin":    g.key(t, db.Spec{Tenant: "a", Scopes: []string{"admin"}}),
		"watcher":  g.key(t, db.Spec{Tenant: "a", Scopes: []string{"read"}, Tenants: []string{"*"}}),
		"operator": g.key(t, db.Spec{Tenant: "off", Scopes: []string{"admin"}, Tenants: []string{"*"}}),
	}
	for need, good := range map[auth.Need]string{
		auth.Open: "write read part rules admin watcher operator", auth.Write: "write", auth.Read: "read part watcher", auth.ReadAll: "read watcher",
		auth.Monitor: "watcher", auth.Admin: "admin operator", auth.Operator: "operator",
	} {
		for name, token := range keys {
			want := 403
			if strings.Contains(" "+good+" ", " "+name+" ") {
				want = 200
			}
			if w := g.ask(need, bearer(token)); w.Code != want {
				t.Errorf("%s with the key %s: %d %s, want %d", need, name, w.Code, w.Body, want)
			}
		}
	}
}

// TestGuessing: who guesses is told to wait, and who has a good key is not, not even the one that is guessed at, behind the
// same address.
func TestGuessing(t *testing.T) {
	g := newGate(t)
	token, other := g.key(t, db.Spec{Tenant: "a", Scopes: []string{"read"}}), g.key(t, db.Spec{Tenant: "b", Scopes: []string{"read"}})
	from := func(address, token string) *httptest.ResponseRecorder {
		return g.ask(auth.Read, func(r *http.Request) { bearer(token)(r); r.RemoteAddr = address })
	}
	guess := token[:len(token)-6] + "zzzzzz"
	for i := range 20 {
		if w := from("192.0.2.1:1", guess); w.Code != 401 {
			t.Fatalf("guess %d: %d", i, w.Code)
		}
	}
	slowed := func() {
		t.Helper()
		w := from("192.0.2.1:2", guess)
		if after, _ := strconv.Atoi(w.Header().Get("Retry-After")); w.Code != 429 || after < 1 || after > 60 {
			t.Errorf("after the guesses: %d %v", w.Code, w.Header())
		}
	}
	slowed()
	for address, k := range map[string]string{"192.0.2.1:3": token, "192.0.2.1:4": other, "192.0.2.2:1": token} {
		if w := from(address, k); w.Code != 200 {
			t.Errorf("a good key from %s: %d", address, w.Code)
		}
	}
	slowed() // as much as before a good key came
	if w := from("192.0.2.2:2", guess); w.Code != 401 {
		t.Errorf("the guess from another address: %d", w.Code)
	}
	g.now = g.now.Add(4 * time.Second)
	if w := from("192.0.2.1:5", guess); w.Code != 401 {
		t.Errorf("later: %d", w.Code)
	}
	// One customer's addresses are one.
	for i := range 20 {
		from(fmt.Sprintf("[2001:db8::%x]:1", i), "nonsense")
	}
	if w := from("[2001:db8::ffff]:1", "nonsense"); w.Code != 429 {
		t.Errorf("another address of the same network: %d", w.Code)
	}
	if w := from("[2001:db8:0:1::1]:1", "nonsense"); w.Code != 401 {
		t.Errorf("another network: %d", w.Code)
	}
	// What is remembered is bounded.
	for i := range 30_000 {
		from(fmt.Sprintf("10.%d.%d.1:1", i/256, i%256), "nonsense")
	}
}

// TestStarting: before there are keys nobody is let in, and probes are.
func TestStarting(t *testing.T) {
	g := auth.New(auth.Config{Enabled: true}, auth.Options{})
	for need, want := range map[auth.Need]int{auth.Read: 503, auth.Operator: 503, auth.Open: 200} {
		w := httptest.NewRecorder()
		g.Protect(need, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", need, w.Code, want)
		}
	}
}

// TestOff lets everybody in, as the tenant that the header names.
func TestOff(t *testing.T) {
	g := &gate{Guard: auth.New(auth.Config{}, auth.Options{})}
	w := g.ask(auth.Operator, func(r *http.Request) { r.Header.Set(tenant.Header, "a") })
	if w.Code != 200 || !strings.HasPrefix(w.Body.String(), "a<nil> 0") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if auth.KeyFrom(context.Background()) != nil {
		t.Error("a key out of nothing")
	}
}

func BenchmarkGuard(b *testing.B) {
	d, err := db.Open(b.Context(), db.Config{}, db.Options{Dir: b.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	_, token, err := d.CreateKey(b.Context(), root, db.Spec{Tenant: "anonymous", Scopes: []string{"write"}})
	if err != nil {
		b.Fatal(err)
	}
	g := auth.New(auth.Config{Enabled: true}, auth.Options{})
	g.Open(d)
	h := g.Protect(auth.Write, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequest("POST", "/", nil)
	r.SetBasicAuth("x", token)
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}
