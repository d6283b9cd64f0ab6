package admin

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/metricstream/metricstream/pii"
	"github.com/metricstream/metricstream/tenant/db"
	"github.com/prometheus/client_golang/prometheus"
)

// TestPII sets and clears what is done with personal data, as those who may.
func TestPII(t *testing.T) {
	s := newServer(t, db.Config{})
	operator, err := s.db.FirstKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var admin, other made
	for tenant, k := range map[string]*made{"team-a": &admin, "team-b": &other} {
		s.ask(t, operator, "POST", "/tenants", `{"id":"`+tenant+`"}`, nil)
		s.ask(t, operator, "POST", "/keys", `{"tenant":"`+tenant+`","scopes":["admin"]}`, k)
	}
	const mask = `{"detectors":{"email":"mask"}}`
	for _, c := range []struct {
		code                    int
		key, method, path, body string
		want                    string
	}{
		{200, operator, "PUT", "/tenants/team-a/pii", mask, mask},
		{200, admin.Secret, "GET", "/tenants/team-a/pii", "", mask},
		{404, other.Secret, "GET", "/tenants/team-a/pii", "", ""},
		{403, admin.Secret, "PUT", "/tenants/team-a/pii", `{}`, ""},
		{403, admin.Secret, "DELETE", "/tenants/team-a/pii", "", ""},
		{404, operator, "PUT", "/tenants/nobody/pii", mask, ""},
		{400, operator, "PUT", "/tenants/team-a/pii", `{"detectors":{"mail":"mask"}}`, ""},
		{400, operator, "PUT", "/tenants/team-a/pii", `{"detectors":{"email":"hide"}}`, ""},
		{400, operator, "PUT", "/tenants/team-a/pii", `{"detector":{}}`, ""},
		{400, operator, "PUT", "/tenants/team-a/pii", `{"patterns":[{"name":"x","regex":"a*","action":"mask"}]}`, ""},
		{400, operator, "PUT", "/tenants/team-a/pii", `{"patterns":[{"name":"x","regex":"(","action":"mask"}]}`, ""},
		{400, operator, "PUT", "/tenants/team-a/pii", `{"patterns":[{"name":"email","regex":"x","action":"mask"}]}`, ""},
		{200, operator, "PUT", "/tenants/team-a/pii", `{"patterns":[{"name":"x","regex":"E[0-9]{6}","action":"drop"}],"exempt":{"job":["*"]}}`,
			`{"patterns":[{"name":"x","regex":"E[0-9]{6}","action":"drop"}],"exempt":{"job":["*"]}}`},
		{200, operator, "DELETE", "/tenants/team-a/pii", "", `{}`},
	} {
		var got struct{ Overrides, Effective json.RawMessage }
		if code := s.ask(t, c.key, c.method, c.path, c.body, &got); code != c.code || string(got.Overrides) != c.want {
			t.Errorf("%+v: got %d %s", c, code, got.Overrides)
		}
	}
}

// TestPIIFindings shows each key those of its tenants.
func TestPIIFindings(t *testing.T) {
	s := newServer(t, db.Config{})
	operator, err := s.db.FirstKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f := db.NewPIIFindings(s.db, prometheus.NewRegistry())
	for _, tenant := range []string{"anonymous", "team-a"} {
		f.Add(db.PIIFinding{Tenant: tenant, Detector: "email", Label: "user", Metric: "up", Action: "mask", Series: 2})
	}
	if err := f.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	var admin made
	s.ask(t, operator, "POST", "/tenants", `{"id":"team-a"}`, nil)
	s.ask(t, operator, "POST", "/keys", `{"tenant":"team-a","scopes":["admin"]}`, &admin)
	for _, c := range []struct {
		code, n   int
		key, path string
	}{
		{200, 2, operator, ""}, {200, 1, operator, "?tenant=team-a"}, {200, 1, operator, "?limit=1"}, {200, 0, operator, "?tenant=nobody"}, {200, 1, admin.Secret, ""},
		{404, 0, admin.Secret, "?tenant=anonymous"}, {400, 0, operator, "?limit=x"},
	} {
		var got []db.PIIFinding
		if code := s.ask(t, c.key, "GET", "/pii/findings"+c.path, "", &got); code != c.code || len(got) != c.n || c.n > 0 && got[0].Series != 2 {
			t.Errorf("%+v: %d %+v", c, code, got)
		}
	}
}

// TestPIISchemas have the fields that the code has.
func TestPIISchemas(t *testing.T) {
	schemas := described(t).Components.Schemas
	for name, v := range map[string]any{"PIISettings": pii.Settings{}, "PIIPattern": pii.Pattern{}, "PIIPolicy": db.PIIPolicy{}, "PIIFinding": db.PIIFinding{}} {
		var want, has []string
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			want = append(want, tag)
		}
		for property := range schemas[name].Properties {
			has = append(has, property)
		}
		slices.Sort(want)
		slices.Sort(has)
		if d := cmp.Diff(want, has); d != "" {
			t.Errorf("%s: the code (-) and the schema (+) differ:\n%s", name, d)
		}
	}
}
