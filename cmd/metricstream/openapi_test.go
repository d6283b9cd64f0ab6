package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/metricstream/metricstream/tenant/db"
	"go.yaml.in/yaml/v3"
)

// operation is an operation of the description of the administration.
type operation struct {
	Need     string `yaml:"x-need"`
	Security any    `yaml:"security"`
	Body     any    `yaml:"requestBody"`
}

// TestDescription has every endpoint of the administration that the process serves, with its need, and no other.
func TestDescription(t *testing.T) {
	g := startGuarded(t)
	_, operator := g.key(t, db.Spec{Tenant: "a", Scopes: []string{"admin"}, Tenants: []string{"*"}})
	var want []string
	for _, r := range g.list(t, operator) {
		if strings.HasPrefix(r.Path, "/api/v1/admin/") {
			want = append(want, r.Method+" "+r.Path+" "+r.Need)
		}
	}
	_, text := g.ask(t, "GET", "/api/v1/admin/openapi.yaml", "", "", nil)
	has := operations(t, text)
	slices.Sort(has)
	slices.Sort(want)
	if d := cmp.Diff(want, has); d != "" {
		t.Errorf("the endpoints (-) and the description (+) differ:\n%s", d)
	}
}

// operations returns those of a description, and checks what of them can be seen by themselves.
func operations(t *testing.T, text string) (all []string) {
	t.Helper()
	var d struct {
		Paths map[string]map[string]yaml.Node
	}
	if err := yaml.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	for path, of := range d.Paths {
		for method, node := range of {
			if method == "parameters" {
				continue
			}
			var o operation
			if err := node.Decode(&o); err != nil {
				t.Fatal(err)
			}
			all = append(all, strings.ToUpper(method)+" "+path+" "+o.Need)
			if (o.Security != nil) != (o.Need == "open") {
				t.Errorf("%s %s: security does not go with the need", method, path)
			}
			// Prometheus' own endpoints have their parameters in the URL or a form.
			if form := strings.Contains(path, "/tsdb/"); (o.Body != nil) != (!form && (method == "post" || method == "patch" || method == "put")) {
				t.Errorf("%s %s: has it a body?", method, path)
			}
		}
	}
	return all
}
