package auth_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/metricstream/metricstream/tenant"
	"github.com/metricstream/metricstream/tenant/auth"
	"github.com/metricstream/metricstream/tenant/db"
)

const password = "correct horse battery"

func (g *gate) user(t testing.TB, u db.User) {
	t.Helper()
	if _, err := g.db.CreateUser(t.Context(), root, u, password); err != nil {
		t.Fatal(err)
	}
}

func person(name, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(name, password) }
}

// TestUsers are let in with name and password, for what their role may and for their tenants.
func TestUsers(t *testing.T) {
	g := newGate(t)
	// Without any user every name goes with a key, and nothing takes long.
	if w := g.ask(auth.Read, person("eve", "x")); w.Code != 401 {
		t.Errorf("%d", w.Code)
	}
	key := g.key(t, db.Spec{Tenant: "b", Scopes: []string{"read"}})
	g.user(t, db.User{Name: "vera@x", Tenant: "a", Role: db.RoleViewer})
	g.user(t, db.User{Name: "ed", Tenant: "a", Role: db.RoleEditor, Tenants: []string{"b"}})
	g.user(t, db.User{Name: "ada", Tenant: "a", Role: db.RoleAdmin})
	g.user(t, db.User{Name: "op", Tenant: "a", Role: db.RoleAdmin, Tenants: []string{"*"}})
	may := map[string]string{
		"vera@x": "read read_all", "ed": "read read_all write", "ada": "read read_all write admin", "op": "read read_all write admin monitor operator",
	}
	for name, needs := range may {
		for n := auth.Operator; n <= auth.Admin; n++ {
			if n == auth.Open {
				continue
			}
			w := g.ask(n, person(name, password))
			if good := strings.Contains(" "+needs+" ", " "+n.String()+" "); good != (w.Code == 200) || !good && w.Code != 403 {
				t.Errorf("%s %s: %d %s", name, n, w.Code, w.Body)
			}
		}
	}
	for name, c := range map[string]struct {
		change func(*http.Request)
		code   int
		body   string
	}{
		"wrong":                  {person("ed", "wrong horse battery"), 401, "is not known"},
		"nobody":                 {person("eve", password), 401, "is not known"},
		"another's name":         {person("ED", password), 401, "is not known"},
		"no password":            {person("ed", ""), 401, "is needed"},
		"as a key":               {bearer(password), 401, "is not known"},
		"a key with a name":      {person("ed", key), 200, "b<nil>"},
		"no other tenant":        {func(r *http.Request) { person("vera@x", password)(r); r.Header.Set(tenant.Header, "b") }, 403, "the user may not"},
		"another tenant":         {func(r *http.Request) { person("ed", password)(r); r.Header.Set(tenant.Header, "b") }, 200, "b<nil>"},
		"a tenant that is off":   {func(r *http.Request) { person("op", password)(r); r.Header.Set(tenant.Header, "off") }, 403, "the user may not"},
		"scope":                  {person("vera@x", password), 200, "a<nil>"},
		"the hash as a password": {person("ed", g.db.Snapshot().User("ed").Hash()), 401, "is not known"},
	} {
		if w := g.ask(auth.Read, c.change); w.Code != c.code || !strings.Contains(w.Body.String(), c.body) {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, c.code)
		}
	}
}

// TestUsersChange: a password, a role, a user who is disabled or deleted count at once, though the password was good a
// moment before.
func TestUsersChange(t *testing.T) {
	g := newGate(t)
	g.user(t, db.User{Name: "ed", Tenant: "a", Role: db.RoleEditor})
	expect := func(what string, need auth.Need, password string, want int) {
		t.Helper()
		if w := g.ask(need, person("ed", password)); w.Code != want {
			t.Errorf("%s: %d %s", what, w.Code, w.Body)
		}
	}
	update := func(password string, change func(*db.User)) {
		t.Helper()
		if _, err := g.db.UpdateUser(t.Context(), root, "ed", password, change); err != nil {
			t.Fatal(err)
		}
	}
	expect("an editor", auth.Write, password, 200)
	update("", func(u *db.User) { u.Role = db.RoleViewer })
	expect("a viewer", auth.Write, password, 403)
	update("another password", func(*db.User) {})
	expect("the old password", auth.Read, password, 401)
	expect("the new password", auth.Read, "another password", 200)
	update("", func(u *db.User) { u.Disabled = g.now })
	expect("disabled", auth.Read, "another password", 401)
	update("", func(u *db.User) { u.Disabled = time.Time{} })
	expect("enabled", auth.Read, "another password", 200)
	if err := g.db.DeleteUser(t.Context(), root, "ed"); err != nil {
		t.Fatal(err)
	}
	expect("deleted", auth.Read, "another password", 401)
}

// TestPasswordGuessing slows down who guesses at a user, whether there is one or not, also when a guess is right; not
// others at the same address.
func TestPasswordGuessing(t *testing.T) {
	g := newGate(t)
	g.user(t, db.User{Name: "ed", Tenant: "a", Role: db.RoleViewer})
	g.user(t, db.User{Name: "ada", Tenant: "a", Role: db.RoleViewer})
	if w := g.ask(auth.Read, person("ed", password)); w.Code != 200 {
		t.Fatalf("%d", w.Code)
	}
	for _, name := range []string{"ed", "eve", strings.Repeat("e", 10_000)} {
		codes := map[int]int{}
		for range 23 {
			codes[g.ask(auth.Read, person(name, "wrong horse battery")).Code]++
		}
		if codes[401] != 20 || codes[429] != 3 {
			t.Errorf("%s: %v", name, codes)
		}
	}
	// The password was good a moment ago and is remembered; it does not help who guesses.
	if w := g.ask(auth.Read, person("ed", password)); w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d", w.Code)
	}
	if w := g.ask(auth.Read, person("ada", password)); w.Code != 200 {
		t.Errorf("another user: %d", w.Code)
	}
	g.now = g.now.Add(time.Minute)
	if w := g.ask(auth.Read, person("ed", password)); w.Code != 200 {
		t.Errorf("later: %d", w.Code)
	}
}

// TestManyPasswordsAtOnce are all answered.
func TestManyPasswordsAtOnce(t *testing.T) {
	g := newGate(t)
	g.user(t, db.User{Name: "ed", Tenant: "a", Role: db.RoleViewer})
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if w := g.ask(auth.Read, person("ed", password)); w.Code != 200 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	all.Wait()
}

func BenchmarkUser(b *testing.B) {
	g := newGate(b)
	g.user(b, db.User{Name: "ed", Tenant: "a", Role: db.RoleViewer})
	h := g.Protect(auth.Read, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r, err := http.NewRequest("GET", "/", nil)
	if err != nil {
		b.Fatal(err)
	}
	person("ed", password)(r)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(nil, r)
	}
}
