package erasure

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/metricstream/metricstream/erasure/list"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant/auth"
	"github.com/metricstream/metricstream/tenant/db"
)

// asked remembers what it was asked for.
type asked struct {
	err error
	got db.Erasure
	by  db.Actor
}

func (a *asked) CreateErasure(_ context.Context, by db.Actor, e db.Erasure) (db.Erasure, error) {
	a.got, a.by = e, by
	e.ID = "abc"
	return e, a.err
}

func (a *asked) DeleteTenant(_ context.Context, by db.Actor, id, _ string) (db.Erasure, error) {
	return db.Erasure{ID: "abc", Tenant: id}, a.err
}

func (a *asked) Erasures(context.Context, db.Actor, int) ([]db.Erasure, error) { return nil, a.err }

func (a *asked) Erasure(_ context.Context, _ db.Actor, id string) (db.Erasure, error) {
	return db.Erasure{ID: id}, a.err
}

// send sends a request to the API over a.
func (a *asked) send(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	mux := http.NewServeMux()
	for _, e := range NewAPI(a, slog.New(slog.DiscardHandler)).Endpoints() {
		mux.Handle(e.Pattern, auth.Unguarded(e.Handler))
	}
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w
}

func TestDeleteSeries(t *testing.T) {
	for _, c := range []struct {
		path, body string
		want       db.Erasure
		bounds     list.Range
	}{
		{"/api/v1/admin/tsdb/delete_series?match[]=up&match[]=x{y=\"z\"}&start=1.5&end=2026-01-02T03:04:05.678Z", "", db.Erasure{Selectors: []string{"up", `x{y="z"}`}}, list.Range{MinMs: 1500, MaxMs: 1767323045678}},
		{"/prometheus/api/v1/admin/tsdb/delete_series", "match[]=up", db.Erasure{Selectors: []string{"up"}}, list.All()},
		{"/api/v1/admin/tsdb/delete_series?match[]=up&start=-9223372036854775&end=9223372036854775", "", db.Erasure{Selectors: []string{"up"}}, list.Range{MinMs: -1e15, MaxMs: 1e15}},
	} {
		a := &asked{}
		w := a.send("POST", c.path, c.body, "Content-Type", "application/x-www-form-urlencoded", "X-Scope-OrgID", "team")
		if w.Code != http.StatusNoContent || w.Header().Get("Location") != "/api/v1/admin/erasures/abc" || w.Body.Len() > 0 {
			t.Errorf("%s: %d %s", c.path, w.Code, w.Body)
		}
		if a.got.Tenant != "team" || a.got.Reason != "delete_series" || !a.by.Covers("team") || a.got.Range() != c.bounds {
			t.Errorf("%s: %+v by %+v", c.path, a.got, a.by)
		}
		if diff := cmp.Diff(c.want.Selectors, a.got.Selectors); diff != "" {
			t.Error(diff)
		}
	}
	for path, want := range map[string]string{"": "match[]", "?match[]=up&start=never": "start", "?match[]=up&end=NaN": "end"} {
		if w := new(asked).send("PUT", "/api/v1/admin/tsdb/delete_series"+path, ""); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	for err, want := range map[error]int{
		db.ErrNotFound: 404, db.ErrForbidden: 403, store.Limitf("too many"): 422, store.Invalidf("bad"): 400, errors.New("at host secret"): 503,
	} {
		for _, path := range []string{"POST /api/v1/admin/tsdb/delete_series?match[]=up", "GET /api/v1/admin/erasures", "GET /api/v1/admin/erasures/x", "DELETE /api/v1/admin/tenants/x"} {
			method, path, _ := strings.Cut(path, " ")
			if w := (&asked{err: err}).send(method, path, ""); w.Code != want || strings.Contains(w.Body.String(), "secret") {
				t.Errorf("%v of %s: %d %s", err, path, w.Code, w.Body)
			}
		}
	}
}

func TestCreate(t *testing.T) {
	json := []string{"Content-Type", "application/json"}
	a := &asked{}
	if w := a.send("POST", "/api/v1/admin/erasures", `{"tenant":"x","selectors":["up"],"start":"1","reason":"law"}`, json...); w.Code != 200 || !strings.Contains(w.Body.String(), `"id":"abc"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if a.got.Tenant != "x" || a.got.Reason != "law" || a.got.Range() != (list.Range{MinMs: 1000, MaxMs: math.MaxInt64}) {
		t.Errorf("%+v", a.got)
	}
	for body, want := range map[string]string{
		`{"selectors":["up"]}`:                             "reason",
		`{"selectors":["up"],"reason":"x","start":"x"}`:    "start",
		`{"selectors":["up"],"reason":"x","end":"x"}`:      "end",
		`{"tenant":"a/b","selectors":["up"],"reason":"x"}`: "tenant",
		`{"matchers":["up"],"reason":"x"}`:                 "matchers",
	} {
		if w := new(asked).send("POST", "/api/v1/admin/erasures", body, json...); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	if w := new(asked).send("POST", "/api/v1/admin/erasures", `{}`); w.Code != http.StatusBadRequest {
		t.Errorf("without the content type: %d", w.Code)
	}
}

func TestParseTime(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "-1.25": -1250, "1767323045.678": 1767323045678, "2026-01-02T03:04:05+01:00": 1767319445000} {
		if got, err := parseTime(text); err != nil || got.UnixMilli() != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if got, err := parseTime(""); err != nil || got != (time.Time{}) {
		t.Errorf("%v, %v", got, err)
	}
}
