package admin

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/tenant/auth"
	"github.com/metricstream/metricstream/tenant/db"
	"github.com/metricstream/metricstream/tenant/limits"
	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/bcrypt"
)

// server is the API behind the guard, over one of the databases.
type server struct {
	http.Handler
	db       *db.DB
	contract *contract
}

func newServer(t *testing.T, c db.Config) *server {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	d, err := db.Open(t.Context(), c, db.Options{Dir: t.TempDir(), Classes: []uint8{3}, LimitStatus: 429, PasswordCost: bcrypt.MinCost, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	g := auth.New(auth.Config{Enabled: true}, auth.Options{})
	g.Open(d)
	mux := http.NewServeMux()
	for _, e := range New(d, logger).Endpoints() {
		mux.Handle(e.Pattern, g.Protect(e.Need, e.Handler))
	}
	described := newContract(t)
	return &server{described.holds(t, mux), d, described}
}

// ask sends a request with a key and reads the data of the answer, where the status is 200.
func (s *server) ask(t *testing.T, key, method, path, body string, data any) int {
	t.Helper()
	r := httptest.NewRequest(method, "/api/v1/admin"+path, strings.NewReader(body))
	if name, password, ok := strings.Cut(key, ":"); ok {
		r.SetBasicAuth(name, password)
	} else {
		r.Header.Set("X-API-Key", key)
	}
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	answer := struct {
		Status, ErrorType, Error string
		Data                     json.RawMessage
	}{}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || (answer.Status == "success") != (w.Code == 200) || (w.Code == 200) != (answer.Error == "") {
		t.Fatalf("%s %s: %d %s: %v", method, path, w.Code, w.Body, err)
	}
	if data != nil && !reflect.ValueOf(data).IsNil() && w.Code == 200 {
		if err := json.Unmarshal(answer.Data, data); err != nil {
			t.Fatalf("%s: %v", answer.Data, err)
		}
	}
	return w.Code
}

type made struct {
	db.Key
	Secret string `json:"key"`
}

// TestLife does everything by HTTP, on both databases, and takes PostgreSQL away.
func TestLife(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { life(t, newServer(t, db.Config{})) })
	t.Run("PostgreSQL", func(t *testing.T) {
		p := testenv.StartPostgres(t)
		s := newServer(t, db.Config{DSN: p.DSN})
		operator := life(t, s)
		p.Kill()
		for _, request := range [][3]string{{"POST", "/tenants", `{"id":"x"}`}, {"GET", "/keys", ""}, {"POST", "/keys", `{"scopes":["read"]}`}, {"GET", "/audit", ""}} {
			if code := s.ask(t, operator, request[0], request[1], request[2], nil); code != 503 {
				t.Errorf("%v without the database: %d", request, code)
			}
		}
		p.Restart()
		for deadline := time.Now().Add(30 * time.Second); s.ask(t, operator, "POST", "/tenants", `{"id":"x"}`, nil) != 200; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("changes do not work again")
			}
		}
	})
}

func life(t *testing.T, s *server) (operator string) {
	t.Helper()
	operator, err := s.db.FirstKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	expect := func(want int, key, method, path, body string, data any) {
		t.Helper()
		if got := s.ask(t, key, method, path, body, data); got != want {
			t.Errorf("%s %s %s: %d, want %d", method, path, body, got, want)
		}
	}
	expect(200, operator, "POST", "/tenants", `{"id":"team-a","description":"the a"}`, nil)
	expect(409, operator, "POST", "/tenants", `{"id":"team-a"}`, nil)
	expect(400, operator, "POST", "/tenants", `{"id":"a/b"}`, nil)
	expect(400, operator, "POST", "/tenants", `{"name":"a"}`, nil)
	expect(400, operator, "POST", "/tenants", `{`, nil)
	expect(400, operator, "POST", "/tenants", strings.Repeat(" ", maxBody)+`{"id":"x"}`, nil)
	expect(404, operator, "GET", "/tenants/nobody", "", nil)
	var one db.Tenant
	expect(200, operator, "PATCH", "/tenants/team-a", `{"disabled":true}`, &one)
	if one.Disabled.IsZero() || one.Description != "the a" {
		t.Errorf("%+v", one)
	}
	expect(200, operator, "PATCH", "/tenants/team-a", `{"disabled":false,"description":"A"}`, nil)
	expect(400, operator, "PATCH", "/tenants/team-a", `{"retention_class":7}`, nil)
	expect(400, operator, "PATCH", "/tenants/team-a", `{"retention_class":300}`, nil)
	expect(200, operator, "PATCH", "/tenants/team-a", `{"retention_class":3}`, &one)
	if one.RetentionClass != 3 {
		t.Errorf("%+v", one)
	}
	var all []db.Tenant
	expect(200, operator, "GET", "/tenants", "", &all)
	if len(all) != 2 || all[1].ID != "team-a" || all[1].Description != "A" || !all[1].Disabled.IsZero() {
		t.Errorf("%+v", all)
	}

	limitsLife(t, s, operator)
	usersLife(t, s, operator)

	var admin, reader, next made
	expect(200, operator, "POST", "/keys", `{"tenant":"team-a","scopes":["admin"],"expires_in":"1h"}`, &admin)
	if left := time.Until(admin.Expires); left > time.Hour || left < 50*time.Minute || admin.Tenant != "team-a" {
		t.Errorf("%+v", admin)
	}
	expect(200, admin.Secret, "POST", "/keys", `{"scopes":["read"],"selector":"{a=\"b\"}"}`, &reader)
	if reader.Tenant != "team-a" || reader.Selector != `{a="b"}` || !reader.Expires.IsZero() {
		t.Errorf("%+v", reader)
	}
	expect(400, admin.Secret, "POST", "/keys", `{"scopes":["root"]}`, nil)
	expect(403, admin.Secret, "POST", "/keys", `{"scopes":["read"],"tenant":"anonymous"}`, nil)
	expect(403, admin.Secret, "POST", "/keys", `{"scopes":["admin"],"tenants":["*"]}`, nil)
	expect(403, admin.Secret, "POST", "/tenants", `{"id":"mine"}`, nil)
	expect(404, admin.Secret, "GET", "/tenants/anonymous", "", nil)
	expect(403, reader.Secret, "GET", "/keys", "", nil)
	expect(400, operator, "POST", "/keys/"+reader.ID+"/rotate", `{"overlap":"60d"}`, nil)
	expect(200, admin.Secret, "POST", "/keys/"+reader.ID+"/rotate", `{"expires_in":"1h"}`, nil)
	expect(200, admin.Secret, "POST", "/keys/"+reader.ID+"/rotate", `{}`, &next)
	if !next.Expires.IsZero() {
		t.Errorf("%+v", next)
	}
	expect(403, next.Secret, "GET", "/keys", "", nil)
	expect(200, admin.Secret, "DELETE", "/keys/"+next.ID, "", nil)
	expect(401, next.Secret, "GET", "/keys", "", nil)
	expect(404, admin.Secret, "DELETE", "/keys/0000", "", nil)
	var keys []db.Key
	expect(200, admin.Secret, "GET", "/keys", "", &keys)
	if len(keys) != 4 {
		t.Errorf("%d keys", len(keys))
	}
	var log []db.Entry
	expect(200, operator, "GET", "/audit?limit=1", "", &log)
	if len(log) != 1 || log[0].Action != "key.revoke" || log[0].Actor != "key "+admin.Prefix || log[0].Object != next.ID {
		t.Errorf("%+v", log)
	}
	expect(400, operator, "GET", "/audit?limit=x", "", nil)
	return operator
}

// limitsLife sets limits and takes them back.
func limitsLife(t *testing.T, s *server, operator string) {
	t.Helper()
	for _, c := range []struct {
		code   int
		method string
		path   string
		body   string
		want   string
	}{
		{200, "PUT", "/limits", `{"query_range":"30d","active_series":null}`, `{"query_range":"30d"}`},
		{200, "PUT", "/tenants/team-a/limits", `{"samples_per_second":5}`, `{"samples_per_second":5}`},
		{200, "GET", "/tenants/team-a/limits", ``, `{"samples_per_second":5}`},
		{400, "PUT", "/tenants/team-a/limits", `{"samples":5}`, ""},
		{400, "PUT", "/limits", `{"active_series":-1}`, ""},
		{404, "PUT", "/tenants/nobody/limits", `{}`, ""},
		{404, "PUT", "/keys/nobody/limits", `{}`, ""},
		{200, "PATCH", "/tenants/team-a/limits", `{"query_series":7}`, `{"query_series":7,"samples_per_second":5}`},
		{200, "PATCH", "/tenants/team-a/limits", `{"samples_per_second":null,"query_duration":null}`, `{"query_series":7}`},
		{200, "PATCH", "/limits", `{"active_series":8}`, `{"active_series":8,"query_range":"30d"}`},
		{400, "PATCH", "/limits", `{"active_series":-1}`, ""},
		{400, "PATCH", "/limits", `{"samples":1}`, ""},
		{404, "PATCH", "/tenants/nobody/limits", `{}`, ""},
		{404, "PATCH", "/keys/nobody/limits", `{}`, ""},
		{200, "PUT", "/tenants/team-a/limits", `{}`, `{}`},
		{200, "PUT", "/limits", `{}`, `{}`},
	} {
		var got struct{ Overrides, Effective json.RawMessage }
		if code := s.ask(t, operator, c.method, c.path, c.body, &got); code != c.code || string(got.Overrides) != c.want {
			t.Errorf("%+v: got %d %s", c, code, got)
		}
		if c.path == "/tenants/team-a/limits" && c.method == "GET" && !strings.Contains(string(got.Effective), `"query_range":"30d"`) {
			t.Errorf("%s", got.Effective)
		}
	}
}

// usersLife creates a user, who administers, changes and is deleted.
func usersLife(t *testing.T, s *server, operator string) {
	t.Helper()
	type answer struct {
		db.User
		Password string
	}
	var ada, ed answer
	expect := func(want int, key, method, path, body string, data *answer) {
		t.Helper()
		if got := s.ask(t, key, method, path, body, data); got != want {
			t.Errorf("%s %s %s: %d, want %d", method, path, body, got, want)
		}
	}
	expect(200, operator, "POST", "/users", `{"name":"ada","tenant":"team-a","role":"admin"}`, &ada)
	if len(ada.Password) < 20 || ada.Role != "admin" {
		t.Errorf("%+v", ada)
	}
	by := "ada:" + ada.Password
	expect(200, by, "POST", "/users", `{"name":"ed","role":"viewer","password":"correct horse battery"}`, &ed)
	if ed.Password != "" || ed.Tenant != "team-a" {
		t.Errorf("%+v", ed)
	}
	expect(409, by, "POST", "/users", `{"name":"ed","role":"viewer"}`, nil)
	expect(400, by, "POST", "/users", `{"name":"eve","role":"root"}`, nil)
	expect(400, by, "POST", "/users", `{"name":"eve","role":"viewer","password":"short"}`, nil)
	expect(403, by, "POST", "/users", `{"name":"eve","role":"viewer","tenant":"anonymous"}`, nil)
	expect(403, "ed:correct horse battery", "GET", "/users", "", nil)
	expect(200, by, "PATCH", "/users/ed", `{"role":"admin"}`, &ed)
	expect(200, "ed:correct horse battery", "GET", "/users/ada", "", nil)
	expect(200, by, "PATCH", "/users/ed", `{"password":""}`, &ed)
	expect(401, "ed:correct horse battery", "GET", "/users", "", nil)
	expect(200, "ed:"+ed.Password, "GET", "/users", "", nil)
	expect(200, by, "PATCH", "/users/ed", `{"disabled":true}`, &ed)
	expect(404, by, "PATCH", "/users/eve", `{"disabled":true}`, nil)
	expect(200, by, "DELETE", "/users/ed", "", nil)
	expect(404, by, "DELETE", "/users/ed", "", nil)
	var log []db.Entry
	if s.ask(t, operator, "GET", "/audit?limit=1", "", &log); len(log) != 1 || log[0].Action != "user.delete" || log[0].Actor != "user ada" || strings.Contains(string(log[0].Before), "password") {
		t.Errorf("%+v", log)
	}
}

// TestForms of other sites carry no JSON: without its content type nothing is changed.
func TestForms(t *testing.T) {
	s := newServer(t, db.Config{})
	operator, err := s.db.FirstKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/tenants", "/keys"} {
		r := httptest.NewRequest("POST", "/api/v1/admin"+path, strings.NewReader(`{"id":"x","scopes":["read"]}`))
		r.SetBasicAuth("", operator)
		r.Header.Set("Content-Type", "text/plain")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != 400 || !strings.Contains(w.Body.String(), "application/json") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

type document struct {
	Components struct {
		Schemas map[string]struct {
			Required   []string
			Properties map[string]struct {
				Type  any
				Items struct{ Enum []string }
			}
		}
	}
}

func described(t *testing.T) document {
	t.Helper()
	var d document
	if err := yaml.Unmarshal(description(t), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestSchemas have the fields that the code has.
func TestSchemas(t *testing.T) {
	schemas := described(t).Components.Schemas
	for name, v := range map[string]any{
		"Tenant": db.Tenant{}, "Key": db.Key{}, "Change": db.Entry{}, "NewTenant": newTenant{}, "TenantChange": tenantChange{}, "NewKey": newKey{}, "Rotation": rotation{}, "Limits": limits.Limits{}, "Limited": db.Limited{}, "User": db.User{}, "NewUser": newUser{}, "UserChange": userChange{},
		"Settings": db.Settings{}, "ServiceSettings": db.ServiceSettings{}, "NewErasure": NewErasure{}, "Erasure": db.Erasure{}, "ErasureReport": db.ErasureReport{}, "ErasedTable": db.ErasedTable{},
	} {
		var want, has, always []string
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if tag == "" || tag == "-" {
				continue
			}
			want = append(want, tag)
			if !strings.HasPrefix(options, "omit") {
				always = append(always, tag)
			}
		}
		for property := range schemas[name].Properties {
			has = append(has, property)
		}
		slices.Sort(want)
		slices.Sort(has)
		if d := cmp.Diff(want, has); d != "" {
			t.Errorf("%s: the code (-) and the schema (+) differ:\n%s", name, d)
		}
		// An answer always has what is not left out.
		if name == "Tenant" || name == "Key" || name == "Change" || name == "Limited" || name == "User" || strings.HasPrefix(name, "Eras") {
			if d := cmp.Diff(always, schemas[name].Required); d != "" {
				t.Errorf("%s: the code always has (-), the schema requires (+):\n%s", name, d)
			}
		}
	}
	for _, name := range []string{"Key", "NewKey"} {
		if d := cmp.Diff(db.Scopes(), schemas[name].Properties["scopes"].Items.Enum); d != "" {
			t.Errorf("scopes of %s:\n%s", name, d)
		}
	}
}
