package tenant

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/metricstream/metricstream/store"
)

func TestFromRequest(t *testing.T) {
	for _, c := range []struct{ header, want, problem string }{
		{header: "", want: store.DefaultTenant},
		{header: "team-a", want: "team-a"},
		{header: "A_b.c*'(1)!", want: "A_b.c*'(1)!"},
		{header: strings.Repeat("x", 150), want: strings.Repeat("x", 150)},
		{header: strings.Repeat("x", 151), problem: "151 bytes"},
		{header: "a|b", problem: "several tenants"},
		{header: "a/b", problem: `'/'`},
		{header: "..", problem: "not allowed"},
		{header: "é", problem: "character"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if c.header != "" {
			r.Header.Set(Header, c.header)
		}
		got, err := FromRequest(r)
		if c.problem == "" {
			if err != nil || got != c.want {
				t.Errorf("header %q: got %q, %v, want %q", c.header, got, err, c.want)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.problem) || !strings.Contains(err.Error(), Header) {
			t.Errorf("header %q: got error %v, want one that has %q and the header's name", c.header, err, c.problem)
		}
	}
}

// TestContextWins: what let a request in knows better than its header.
func TestContextWins(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set(Header, "a|b")
	if got, err := FromRequest(r.WithContext(NewContext(r.Context(), "team-a"))); got != "team-a" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestContext(t *testing.T) {
	if got := FromContext(t.Context()); got != store.DefaultTenant {
		t.Errorf("a context without a tenant speaks for %q", got)
	}
	if got := FromContext(NewContext(t.Context(), "team-a")); got != "team-a" {
		t.Errorf("got %q", got)
	}
}

func TestFromReadRequest(t *testing.T) {
	numbered := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("t%02d", i))
		}
		return strings.Join(all, "|")
	}
	for _, c := range []struct{ header, want, problem string }{
		{header: "", want: store.DefaultTenant},
		{header: "a", want: "a"},
		{header: "a|b", want: "a|b"},
		{header: "b|a|b|c", want: "a|b|c"},
		{header: "a|a", want: "a"},
		{header: numbered(32), want: numbered(32)},
		{header: numbered(32) + "|t00", want: numbered(32)},
		{header: numbered(33), problem: "names 33 tenants, at most 32"},
		{header: "a||b", problem: "empty"},
		{header: "|a", problem: "empty"},
		{header: "a|", problem: "empty"},
		{header: "|", problem: "empty"},
		{header: " a | b ", problem: "' '"},
		{header: "a|..", problem: "not allowed"},
		{header: "a|b,c", problem: "','"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if c.header != "" {
			r.Header.Set(Header, c.header)
		}
		got, err := FromReadRequest(r)
		switch {
		case c.problem == "" && (err != nil || got != c.want):
			t.Errorf("header %q: got %q, %v, want %q", c.header, got, err, c.want)
		case c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem) || !strings.Contains(err.Error(), Header)):
			t.Errorf("header %q: got %q, %v, want an error with %q", c.header, got, err, c.problem)
		}
	}
	// What is for one tenant does not take several for one, whoever let them in.
	r := httptest.NewRequest("GET", "/", nil)
	r = r.WithContext(NewContext(r.Context(), "a|b"))
	if id, err := FromRequest(r); err == nil {
		t.Errorf("several tenants are one: %q", id)
	}
	if id, err := FromReadRequest(r); id != "a|b" || err != nil {
		t.Errorf("got %q, %v", id, err)
	}
}
