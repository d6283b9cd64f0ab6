package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	"github.com/metricstream/metricstream/cmd/metricstream/internal/config"
	"github.com/metricstream/metricstream/cmd/metricstream/internal/lifecycle"
	"github.com/metricstream/metricstream/cmd/metricstream/internal/web"
	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/promql/api"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/memory"
	"github.com/metricstream/metricstream/store/retention"
	"github.com/metricstream/metricstream/tenant/access"
	"github.com/metricstream/metricstream/tenant/auth"
	"github.com/metricstream/metricstream/tenant/db"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/prometheus/prompb"
	"golang.org/x/crypto/bcrypt"
)

// counted adds to the memory store statistics that name what they count.
type counted struct{ *memory.Tiers }

func (c counted) Stats(ctx context.Context, tenant string, limit int) (store.Stats, error) {
	names, err := c.LabelValues(ctx, "__name__", store.Selection{Tenant: tenant, MaxMs: 1 << 50})
	s := store.Stats{Series: uint64(len(names))}
	for _, n := range names[:min(len(names), limit)] {
		s.SeriesByMetric = append(s.SeriesByMetric, store.Count{Name: n, Value: 1})
	}
	return s, err
}

// guarded is a whole process over a store in memory.
type guarded struct {
	*node
	url  string
	data *memory.Tiers

	mu  sync.Mutex
	now time.Time
}

func (g *guarded) Now() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now
}

// later sets the clock of the guard forward, so that the failures of before are forgiven.
func (g *guarded) later() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = g.now.Add(time.Minute)
}

// startGuarded starts one with auth.enabled, and startNode one with the configuration that change makes.
func startGuarded(t *testing.T) *guarded {
	t.Helper()
	return startNode(t, func(c *config.Config) { c.Auth.Enabled = true })
}

func startNode(t testing.TB, change func(*config.Config)) *guarded {
	t.Helper()
	return startRole(t, roles[0], change)
}

// startRole starts a role that has its own database and its own data.
func startRole(t testing.TB, r role, change func(*config.Config)) *guarded {
	t.Helper()
	c := config.Default()
	c.Storage.Path, c.Web.ListenAddress = t.TempDir(), "127.0.0.1:0"
	change(&c)
	logger := slog.New(slog.DiscardHandler)
	g := &guarded{now: time.Now()}
	g.node = &node{
		role: r, config: c, flags: &flags{}, logger: logger, registry: newRegistry(), stack: lifecycle.New(logger),
		parts: parts{policies: retention.NewPolicies(c.Retention)},
	}
	t.Cleanup(func() {
		if err := g.stack.Stop(time.Minute); err != nil {
			t.Error(err)
		}
	})
	g.passwordCost = bcrypt.MinCost
	g.guard = auth.New(c.Auth, auth.Options{Registerer: g.registry, Now: g.Now, CORS: api.NewCORS(c.Query.CORSOrigin).Allow})
	g.mux = web.NewRouter(g.guard)
	server := web.New(c.Web, g.guard, promhttp.HandlerFor(g.registry, promhttp.HandlerOpts{}), logger)
	if err := server.Listen(); err != nil {
		t.Fatal(err)
	}
	g.stack.Go("the HTTP server", server.Run)
	if err := g.openMetadata(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.data = memory.NewTiers(func() int64 { return time.Now().UnixMilli() })
	if g.role.receives {
		g.serveWrites(g.data)
	}
	err := g.serveReads(access.New(counted{g.data}), access.NewRollups(g.data), func(h http.Handler) http.Handler { return h })
	if err != nil {
		t.Fatal(err)
	}
	g.addDependencies()
	g.addAdmin(server.Routes())
	server.Open(g.mux, nil)
	g.url = "http://" + server.Addr().String()
	for _, id := range []string{"a", "b"} {
		if _, err := g.parts.metadata.CreateTenant(t.Context(), root, id, ""); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

var root = db.Actor{Name: "test", Tenants: []string{db.AllTenants}}

func (g *guarded) key(t testing.TB, s db.Spec) (id, token string) {
	t.Helper()
	k, token, err := g.parts.metadata.CreateKey(t.Context(), root, s)
	if err != nil {
		t.Fatal(err)
	}
	return k.ID, token
}

// ask sends a request as a key, or as a user where it is name:password, and for a tenant where that is not empty.
func (g *guarded) ask(t *testing.T, method, path, key, tenant string, body io.Reader, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, g.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if name, password, ok := strings.Cut(key, ":"); ok {
		r.SetBasicAuth(name, password)
	} else if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	if tenant != "" {
		r.Header.Set("X-Scope-OrgID", tenant)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// route is an endpoint as the process itself lists it.
type route struct{ Method, Path, Need string }

func (g *guarded) list(t *testing.T, operator string) []route {
	t.Helper()
	code, text := g.ask(t, "GET", "/api/v1/admin/routes", operator, "", nil)
	var answer struct{ Data []route }
	if err := json.Unmarshal([]byte(text), &answer); code != 200 || err != nil || len(answer.Data) < 50 {
		t.Fatalf("%d %s: %v", code, text, err)
	}
	return answer.Data
}

// TestAdministrationWithoutKeys is closed until one of two settings opens it; then everyone is the operator.
func TestAdministrationWithoutKeys(t *testing.T) {
	off := startNode(t, func(*config.Config) {})
	for _, path := range []string{"tenants", "keys", "audit", "routes", "keys/x"} {
		code, text := off.ask(t, "GET", "/api/v1/admin/"+path, "", "", nil)
		if code != 403 || !strings.Contains(text, "auth.enabled") || !strings.Contains(text, "web.enable_admin_api") {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
	if code, _ := off.ask(t, "GET", "/api/v1/admin/openapi.yaml", "", "", nil); code != 200 {
		t.Errorf("the description: %d", code)
	}
	on := startNode(t, func(c *config.Config) { c.Web.EnableAdminAPI = true })
	json := []string{"Content-Type", "application/json"}
	for body, path := range map[string]string{`{"id":"c"}`: "tenants", `{"scopes":["read"]}`: "keys"} {
		if code, text := on.ask(t, "POST", "/api/v1/admin/"+path, "", "", strings.NewReader(body), json...); code != 200 {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
	if code, text := on.ask(t, "GET", "/api/v1/admin/audit", "", "", nil); code != 200 || !strings.Contains(text, "someone at 127.0.0.1") {
		t.Errorf("%d %s", code, text)
	}
	// A page of another site asks in vain, also where a form is enough.
	for path, method := range map[string]string{"tenants": "POST", "tsdb/delete_series?match[]=up": "POST", "tenants/c": "DELETE"} {
		code, text := on.ask(t, method, "/api/v1/admin/"+path, "", "", strings.NewReader(`{"id":"d"}`), "Origin", "http://evil.example", "Content-Type", "application/json")
		if code != 403 || !strings.Contains(text, "other sites") {
			t.Errorf("%s %s of another site: %d %s", method, path, code, text)
		}
	}
	// Nor are a disabled tenant's data anybody's, which is no reason to ask for a key.
	patch := func(body string) {
		t.Helper()
		if code, text := on.ask(t, "PATCH", "/api/v1/admin/tenants/c", "", "", strings.NewReader(body), json...); code != 200 {
			t.Errorf("%s: %d %s", body, code, text)
		}
	}
	expect := func(want int, tenant string) {
		t.Helper()
		for path, method := range map[string]string{"/api/v1/write": "POST", "/prometheus/api/v1/query?query=up": "GET", "/federate?match[]=up": "GET", "/api/v1/status/tsdb": "GET"} {
			if tenant == "b|c" && (method == "POST" || strings.HasSuffix(path, "tsdb")) {
				continue // refused for that
			}
			if code, text := on.ask(t, method, path, "", tenant, nil); (code == 403) != (want == 403) {
				t.Errorf("%s of %s: %d %s", path, tenant, code, text)
			}
		}
	}
	patch(`{"disabled":true}`)
	expect(403, "c")
	expect(403, "b|c")
	for _, other := range []string{"", "b", "nobody-made-it"} {
		expect(200, other)
	}
	if code, text := on.ask(t, "GET", "/api/v1/admin/tenants", "", "c", nil); code != 200 {
		t.Errorf("the administration: %d %s", code, text)
	}
	patch(`{"disabled":false}`)
	expect(200, "c")
	// Keys are not looked at.
	if code, text := on.ask(t, "GET", "/api/v1/query?query=up", "ms_garbage", "", nil); code != 200 {
		t.Errorf("%d %s", code, text)
	}
}

// TestRoutes holds what each endpoint needs against a list that people have looked at: a new endpoint has to be added
// there, by `go test ./cmd/metricstream -run TestRoutes -update`.
func TestRoutes(t *testing.T) {
	g := startGuarded(t)
	_, operator := g.key(t, db.Spec{Tenant: "a", Scopes: []string{"admin"}, Tenants: []string{"*"}})
	var lines []string
	for _, r := range g.list(t, operator) {
		method := r.Method
		if method == "" {
			method = "any"
		}
		lines = append(lines, r.Need+" "+method+" "+r.Path)
	}
	slices.Sort(lines)
	got := strings.Join(lines, "\n") + "\n"
	file := filepath.Join("testdata", "routes.txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("the endpoints have changed:\n%s", d)
	}
}

// users creates some of each role, and returns their names with the password.
func (g *guarded) users(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, u := range []db.User{
		{Name: "viewer", Tenant: "a", Role: db.RoleViewer},
		{Name: "editor", Tenant: "a", Role: db.RoleEditor},
		{Name: "manager", Tenant: "a", Role: db.RoleAdmin},
		{Name: "chief", Tenant: "a", Role: db.RoleAdmin, Tenants: []string{db.AllTenants}},
		{Name: "stranger", Tenant: "b", Role: db.RoleAdmin},
		{Name: "disabled", Tenant: "a", Role: db.RoleAdmin, Tenants: []string{db.AllTenants}},
		{Name: "deleted", Tenant: "a", Role: db.RoleAdmin, Tenants: []string{db.AllTenants}},
	} {
		if _, err := g.parts.metadata.CreateUser(t.Context(), root, u, "correct horse battery"); err != nil {
			t.Fatal(err)
		}
		all[u.Name] = u.Name + ":correct horse battery"
	}
	if _, err := g.parts.metadata.UpdateUser(t.Context(), root, "disabled", "", func(u *db.User) { u.Disabled = time.Now() }); err != nil {
		t.Fatal(err)
	}
	if err := g.parts.metadata.DeleteUser(t.Context(), root, "deleted"); err != nil {
		t.Fatal(err)
	}
	all["wrong password"] = "chief:wrong horse battery"
	return all
}

// TestLimitsOfAQuerier are shown there, where they hold.
func TestLimitsOfAQuerier(t *testing.T) {
	g := &guarded{}
	for _, r := range roles {
		if r.queries && !r.receives {
			// The role has no database of its own; what serves is what counts.
			r.name = roles[0].name
			g = startRole(t, r, func(c *config.Config) { c.Limits.QuerySeries = 17 })
		}
	}
	for _, prefix := range prefixes {
		if code, text := g.ask(t, "GET", prefix+"/api/v1/user_limits", "", "", nil); code != 200 || !strings.Contains(text, `"max_fetched_series_per_query":17`) {
			t.Errorf("%d %s", code, text)
		}
	}
}

// TestServiceSettings are in force at once in the process that takes them.
func TestServiceSettings(t *testing.T) {
	g := startNode(t, func(c *config.Config) {
		c.Web.EnableAdminAPI = true
		c.Limits.SamplesPerSecond, c.Limits.SamplesBurst = 1, 1
	})
	set := func(body string) {
		t.Helper()
		if code, text := g.ask(t, "PUT", "/api/v1/admin/settings", "", "", strings.NewReader(body), "Content-Type", "application/json"); code != 200 {
			t.Fatalf("%s: %d %s", body, code, text)
		}
	}
	write := func() int {
		code, _ := g.ask(t, "POST", "/api/v1/write", "", "a", bytes.NewReader(writeRequest(t, "__name__", "up", "user", "ada@example.org")))
		return code
	}
	over := func(want int) {
		t.Helper()
		for range 100 { // a second's worth may have come since
			if code := write(); code == want {
				return
			} else if code != 204 {
				t.Fatalf("%d, want %d", code, want)
			}
		}
		t.Errorf("the limit is not reached")
	}
	set(`{"limit_status":529,"pii":{"detectors":{"email":"mask"}}}`)
	if code := write(); code != 204 {
		t.Fatal(code)
	}
	if _, text := g.ask(t, "GET", "/api/v1/series?match[]=up", "", "a", nil); strings.Contains(text, "ada@") || !strings.Contains(text, `"user"`) {
		t.Error(text)
	}
	over(529)
	set(`{}`)
	over(429)
}

func writeRequest(t *testing.T, pairs ...string) []byte {
	t.Helper()
	s := prompb.TimeSeries{Samples: []prompb.Sample{{Timestamp: time.Now().UnixMilli(), Value: 1}}}
	for i := 0; i < len(pairs); i += 2 {
		s.Labels = append(s.Labels, prompb.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	raw, err := (&prompb.WriteRequest{Timeseries: []prompb.TimeSeries{s}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return snappy.Encode(nil, raw)
}

// goodFor are the keys that are good for a need; every other one is refused.
var goodFor = map[string]string{
	"write": "write editor manager chief", "read": "read part both watcher viewer editor manager chief", "read_all": "read both watcher viewer editor manager chief",
	"monitor": "watcher chief", "admin": "admin both operator manager chief", "operator": "operator chief",
}

// TestMatrix asks every endpoint that the process lists with every kind of key and user, which each of the databases has.
func TestMatrix(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { testMatrix(t, startGuarded(t)) })
	t.Run("PostgreSQL", func(t *testing.T) {
		dsn := testenv.StartPostgres(t).DSN
		testMatrix(t, startNode(t, func(c *config.Config) { c.Auth.Enabled, c.Metadata.DSN = true, dsn }))
	})
}

func testMatrix(t *testing.T, g *guarded) {
	t.Helper()
	fill(t, g.data)
	scope := func(s ...string) []string { return s }
	keys := map[string]string{"none": "", "garbage": "ms_garbage"}
	make := func(name string, s db.Spec) (id string) {
		id, keys[name] = g.key(t, s)
		return id
	}
	make("write", db.Spec{Tenant: "a", Scopes: scope("write")})
	make("read", db.Spec{Tenant: "a", Scopes: scope("read")})
	make("part", db.Spec{Tenant: "a", Scopes: scope("read"), Selector: `{part="1"}`})
	make("rules", db.Spec{Tenant: "a", Scopes: scope("rules")})
	make("admin", db.Spec{Tenant: "a", Scopes: scope("admin")})
	make("both", db.Spec{Tenant: "a", Scopes: scope("read", "admin")})
	make("watcher", db.Spec{Tenant: "a", Scopes: scope("read"), Tenants: scope("*")})
	make("operator", db.Spec{Tenant: "a", Scopes: scope("admin"), Tenants: scope("*")})
	make("other tenant's", db.Spec{Tenant: "b", Scopes: db.Scopes()})
	expired := make("expired", db.Spec{Tenant: "a", Scopes: db.Scopes(), Tenants: scope("*"), Lifetime: time.Hour})
	revoked := make("revoked", db.Spec{Tenant: "a", Scopes: db.Scopes(), Tenants: scope("*")})
	if err := g.parts.metadata.RevokeKey(t.Context(), root, revoked); err != nil {
		t.Fatal(err)
	}
	keys["wrong secret"] = keys["operator"][:len(keys["operator"])-1] + "x"
	maps.Copy(keys, g.users(t))
	routes := g.list(t, keys["operator"])
	for range 61 {
		g.later()
	}
	asked, tried := 0, map[string]bool{}
	for i, r := range routes {
		if i%10 == 0 {
			g.later() // and the failures so far are forgiven
		}
		method, path := r.Method, strings.NewReplacer("{$}", "", "{name}", "part", "{id}", expired).Replace(r.Path)
		if method == "" {
			method = "POST"
		}
		for name, key := range keys {
			want := 403
			switch name {
			case "deleted", "wrong password":
				if tried[name+r.Need] {
					continue // each costs a hash, and it is the same for all endpoints of a need
				}
				tried[name+r.Need] = true
				want = 401
			case "none", "garbage", "wrong secret", "expired", "revoked", "disabled":
				want = 401
			}
			good := slices.Contains(strings.Fields(goodFor[r.Need]), name)
			if good && (path == "/debug/pprof/profile" || path == "/debug/pprof/trace") {
				continue // they take their time
			}
			code, text := g.ask(t, method, path, key, "a", strings.NewReader("{}"), "Content-Type", "application/json")
			asked++
			switch {
			case r.Need == "open" || good:
				if code == 401 || code == 403 || code >= 500 {
					t.Errorf("%s %s with %s: %d %s", method, path, name, code, text)
				}
			case code != want || !strings.Contains(text, `"status":"error"`) || strings.Contains(text, secret):
				t.Errorf("%s %s with %s: %d %s, want %d", method, path, name, code, text, want)
			}
		}
	}
	t.Logf("%d endpoints, %d requests", len(routes), asked)
	// Browsers ask without a key whether they may ask.
	if code, text := g.ask(t, "OPTIONS", "/api/v1/query", "", "", nil, "Origin", "http://x"); code != 204 || text != "" {
		t.Errorf("OPTIONS: %d %s", code, text)
	}
	// And what they were refused for they may read.
	for _, path := range []string{"/api/v1/query", "/api/v1/write"} {
		r, err := http.NewRequestWithContext(t.Context(), "POST", g.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", "http://x")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if h := resp.Header; resp.StatusCode != 401 || h.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "X-API-Key") {
			t.Errorf("%s: %d %v", path, resp.StatusCode, h)
		}
	}
	// What is not there is told only to who may see everything.
	for name, want := range map[string]int{"none": 401, "read": 403, "operator": 404} {
		if code, _ := g.ask(t, "GET", "/api/v1/nothing", keys[name], "", nil); code != want {
			t.Errorf("an endpoint that is not there with %s: %d, want %d", name, code, want)
		}
	}
}
