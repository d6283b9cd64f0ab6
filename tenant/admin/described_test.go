package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/metricstream/metricstream/tenant/db"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	"github.com/pb33f/libopenapi-validator/errors"
)

// contract is the description, to which answers are held, and requests that were accepted.
type contract struct {
	validator validator.Validator

	mu   sync.Mutex
	kept map[string]bool // operations that have been answered as they should
}

func newContract(t *testing.T) *contract {
	t.Helper()
	d, err := libopenapi.NewDocument(description(t))
	if err != nil {
		t.Fatal(err)
	}
	// Strict is that nothing may be there that is not described. What was changed is of many kinds, and detectors and labels
	// have any name there.
	v, errs := validator.NewValidator(d, config.WithStrictMode(), config.WithFormatAssertions(), config.WithoutSecurityValidation(),
		config.WithStrictIgnoredHeadersExtra("X-API-Key", "X-Scope-OrgID", "Location"),
		config.WithStrictIgnorePaths("$.body.data[*].before.**", "$.body.data[*].after.**",
			"$.body.detectors.*", "$.body.exempt.*", "$.body.data.*.detectors.*", "$.body.data.*.exempt.*",
			"$.body.pii.detectors.*", "$.body.pii.exempt.*", "$.body.data.*.pii.detectors.*", "$.body.data.*.pii.exempt.*"))
	if errs != nil {
		t.Fatal(errs)
	}
	if ok, problems := v.ValidateDocument(); !ok {
		t.Fatalf("the description is not one: %s", explain(problems))
	}
	return &contract{validator: v, kept: map[string]bool{}}
}

func description(t *testing.T) []byte {
	t.Helper()
	w := httptest.NewRecorder()
	describe(w, httptest.NewRequest("GET", "/api/v1/admin/openapi.yaml", nil))
	return w.Body.Bytes()
}

// holds returns a handler that reports what does not go with the description. It is for recorders.
func (c *contract) holds(t *testing.T, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		r.Body = io.NopCloser(io.TeeReader(r.Body, &body))
		h.ServeHTTP(w, r)
		if strings.HasPrefix(r.URL.Path, "/prometheus/") {
			return // the same again
		}
		asked := httptest.NewRequest(r.Method, r.URL.String(), strings.NewReader(body.String()))
		asked.Header = r.Header
		answer := w.(*httptest.ResponseRecorder).Result()
		if err := c.check(asked, answer); err != nil {
			t.Errorf("%s %s: %d does not go with the description: %v\nthe request: %s\nthe answer: %s", r.Method, r.URL, answer.StatusCode, err, &body, w.(*httptest.ResponseRecorder).Body)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if answer.StatusCode < 300 {
			c.kept[r.Pattern] = true
		}
	})
}

func (c *contract) check(r *http.Request, answer *http.Response) error {
	if ok, problems := c.validator.ValidateHttpResponse(r, answer); !ok {
		return explain(problems)
	}
	if answer.StatusCode >= 300 {
		return nil // what is refused need not be as described
	}
	if ok, problems := c.validator.ValidateHttpRequest(r); !ok {
		return explain(problems)
	}
	return nil
}

func explain(problems []*errors.ValidationError) error {
	var all []string
	for _, p := range problems {
		all = append(all, p.Message+": "+p.Reason)
		for _, s := range p.SchemaValidationErrors {
			all = append(all, s.FieldPath+" "+s.Reason)
		}
	}
	return fmt.Errorf("%s", strings.Join(all, "; "))
}

// TestContract has every operation of the description accepted once.
func TestContract(t *testing.T) {
	s := newServer(t, db.Config{})
	operator, err := s.db.FirstKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id := ""
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/tenants", `{"id":"a","description":"the a"}`},
		{"PATCH", "/tenants/a", `{"description":"A","disabled":false,"retention_class":3}`},
		{"GET", "/tenants/a", ""},
		{"GET", "/tenants", ""},
		{"POST", "/keys", `{"tenant":"a","description":"d","scopes":["read","write"],"tenants":["b"],"selector":"{x=\"y\"}","expires_in":"1h"}`},
		{"POST", "/keys/{id}/rotate", `{"overlap":"1h","expires_in":"0s"}`},
		{"PUT", "/keys/{id}/limits", `{"samples_per_second":5}`},
		{"PATCH", "/keys/{id}/limits", `{"samples_per_second":null,"query_range":"1d"}`},
		{"GET", "/keys/{id}/limits", ""},
		{"GET", "/keys/{id}", ""},
		{"DELETE", "/keys/{id}", ""},
		{"GET", "/keys", ""},
		{"POST", "/users", `{"name":"ada","tenant":"a","tenants":["b"],"role":"admin","description":"d"}`},
		{"PATCH", "/users/ada", `{"password":"","tenants":[],"role":"viewer","description":"","disabled":true}`},
		{"GET", "/users/ada", ""},
		{"GET", "/users", ""},
		{"DELETE", "/users/ada", ""},
		{"PUT", "/settings", `{"limit_status":529,"pii":{"detectors":{"email":"mask"},"exempt":{"job":["*"]}}}`},
		{"GET", "/settings", ""},
		{"PUT", "/limits", `{"samples_per_second":5,"query_duration":"30s"}`},
		{"PATCH", "/limits", `{"samples_per_second":null}`},
		{"GET", "/limits", ""},
		{"PUT", "/tenants/a/limits", `{"samples_per_second":5}`},
		{"PATCH", "/tenants/a/limits", `{"active_series":5}`},
		{"GET", "/tenants/a/limits", ""},
		{"PUT", "/tenants/a/pii", `{"detectors":{"email":"mask"},"patterns":[{"name":"card","regex":"[0-9]{16}","action":"drop"}],"exempt":{"job":["*"]}}`},
		{"GET", "/tenants/a/pii", ""},
		{"DELETE", "/tenants/a/pii", ""},
		{"GET", "/pii/findings?limit=5&tenant=a", ""},
		{"POST", "/erasures", `{"tenant":"a","selectors":["up"],"start":"1","end":"2026-01-02T03:04:05Z","reason":"law"}`},
		{"GET", "/erasures/{id}", ""},
		{"GET", "/erasures", ""},
		{"POST", "/tsdb/delete_series?match[]=up&start=1", ""},
		{"PUT", "/tsdb/delete_series?match[]=up", ""},
		{"POST", "/tsdb/clean_tombstones", ""},
		{"PUT", "/tsdb/clean_tombstones", ""},
		{"GET", "/openapi.yaml", ""},
		{"DELETE", "/tenants/a", ""},
		{"GET", "/audit?limit=1000&before=1000", ""},
	} {
		r := httptest.NewRequest(c.method, "/api/v1/admin"+strings.ReplaceAll(c.path, "{id}", id), strings.NewReader(c.body))
		r.Header.Set("X-API-Key", operator)
		if c.body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code >= 300 {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
		}
		if c.method == "POST" && (c.path == "/keys" || c.path == "/erasures") {
			var made struct{ Data struct{ ID string } }
			if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil {
				t.Fatal(err)
			}
			id = made.Data.ID
		}
	}
	var want, has []string
	for _, e := range New(s.db, nil).Endpoints() {
		if !strings.Contains(e.Pattern, "/prometheus/") {
			want = append(want, e.Pattern)
		}
	}
	for pattern := range s.contract.kept {
		has = append(has, pattern)
	}
	slices.Sort(want)
	slices.Sort(has)
	if d := cmp.Diff(want, has); d != "" {
		t.Errorf("the endpoints (-) and those that were tried (+):\n%s", d)
	}
}
