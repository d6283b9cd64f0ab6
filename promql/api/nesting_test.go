package api_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestDeepAndLongQueriesAreRefused guards against queries that end the process by their depth, or that keep the
// parser, which no timeout reaches, busy for many seconds.
func TestDeepAndLongQueriesAreRefused(t *testing.T) {
	server := serveAPI(t, loaded(t, fixture), nil)
	brackets := func(n int) string { return strings.Repeat("(", n) + "up" + strings.Repeat(")", n) }
	for _, c := range []struct {
		name, query string
		code        int
		want        string
	}{
		{"brackets", brackets(400), 200, ""},
		{"too many brackets", brackets(2_000), 400, "nested more than 500 levels"},
		{"too many pluses", "up" + strings.Repeat("+1", 2_000), 400, "nested more than 500 levels"},
		{"far too many brackets", brackets(40_000), 400, "more than 5000 operators"},
		{"far too many pluses", "up" + strings.Repeat("+1", 40_000), 400, "more than 5000 operators"},
		{"far too many signs", strings.Repeat("-", 90_000) + "up", 400, "more than 5000 operators"},
		{"many matchers", "up{" + strings.Repeat(`instance=~".+",`, 3_000) + "}", 200, ""},
		{"too many calls", strings.Repeat("abs(", 600) + "up" + strings.Repeat(")", 600), 400, "nested more than 500 levels"},
		{"long and flat", `up{instance=~"` + strings.Repeat("host-123456|", 5000) + `"}`, 200, ""},
		{"too long", strings.Repeat(" ", 100_000) + "up", 400, "at most 100000 are allowed"},
		{"long and wrong", brackets(2_000) + ")", 400, "parse error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, path := range []string{"query", "query_range", "format_query", "parse_query", "query_exemplars"} {
				code, body := call(t, server, http.MethodPost, "/api/v1/"+path, values("query", c.query, "start", "0", "end", "60", "step", "60"))
				if code != c.code || !strings.Contains(body, c.want) {
					t.Errorf("%s: got %d %.200s, want %d %s", path, code, body, c.code, c.want)
				}
			}
		})
	}
}
