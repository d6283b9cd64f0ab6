package retention

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/metricstream/metricstream/store/rollup"
)

type covered struct {
	rollup.Reader
	coverage rollup.Coverage
	err      error
}

func (c covered) Coverage(context.Context, string) (rollup.Coverage, error) { return c.coverage, c.err }

func TestStatusSaysWhatATenantHas(t *testing.T) {
	policies := NewPolicies(Config{Policy: Policy{Raw: 7 * day, Hour: 365 * day}, Classes: map[uint8]Class{3: {Policy: Policy{Raw: 30 * day}, Tenants: []string{"acme"}}}})
	all := rollup.Coverage{{{FromMs: 1500, ToMs: math.MaxInt64}}, nil, {{FromMs: 0, ToMs: 3_600_000}, {FromMs: 7_200_000, ToMs: 10_800_000}}}
	for _, c := range []struct {
		tenant string
		reader covered
		code   int
		want   string
	}{
		{"anybody", covered{coverage: all}, 200, `{"data":{"class":0,"tiers":[{"tier":"raw","keep":"1w","spans":[{"from":1.5}]},` +
			`{"tier":"1m","keep":"0s","spans":[]},{"tier":"1h","keep":"1y","spans":[{"from":0,"to":3600},{"from":7200,"to":10800}]}]},"status":"success"}`},
		{"acme", covered{coverage: rollup.Coverage{{{FromMs: math.MaxInt64, ToMs: math.MaxInt64}}}}, 200, `{"data":{"class":3,"tiers":[{"tier":"raw","keep":"30d","spans":[]},` +
			`{"tier":"1m","keep":"0s","spans":[]},{"tier":"1h","keep":"0s","spans":[]}]},"status":"success"}`},
		{"", covered{}, 400, `"error":"no tenant"`},
		{"anybody", covered{err: errors.New("away")}, 503, `"error":"away"`},
	} {
		w := httptest.NewRecorder()
		Status(policies, c.reader, func(*http.Request) (string, error) {
			if c.tenant == "" {
				return "", errors.New("no tenant")
			}
			return c.tenant, nil
		})(w, httptest.NewRequest("GET", "/", nil))
		if (w.Code == 503) != (w.Header().Get("Retry-After") == "5") {
			t.Errorf("tenant %q: %d with %v", c.tenant, w.Code, w.Header())
		}
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("tenant %q: %d %s\nwant %d %s", c.tenant, w.Code, w.Body, c.code, c.want)
		}
	}
}
