package admin

import (
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metricstream/metricstream/erasure/list"
	"github.com/metricstream/metricstream/tenant/db"
)

// TestDeleteSeries asks as Prometheus' clients do, and finds the requests that this made.
func TestDeleteSeries(t *testing.T) {
	s := newServer(t, db.Config{})
	operator, err := s.db.FirstKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if code := s.ask(t, operator, "POST", "/tenants", `{"id":"team"}`, nil); code != 200 {
		t.Fatal(code)
	}
	send := func(method, path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("X-API-Key", operator)
		r.Header.Set("X-Scope-OrgID", "team")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w
	}
	const path = "/api/v1/admin/tsdb/delete_series"
	for _, c := range []struct {
		path, body string
		selectors  []string
		bounds     list.Range
	}{
		{path + `?match[]=up&match[]=x{y="z"}&start=1.5&end=2026-01-02T03:04:05.678Z`, "", []string{"up", `x{y="z"}`}, list.Range{MinMs: 1500, MaxMs: 1767323045678}},
		{"/prometheus" + path, "match[]=up", []string{"up"}, list.All()},
		{path + "?match[]=up&start=-9223372036854775&end=9223372036854775", "", []string{"up"}, list.All()},
	} {
		w := send("POST", c.path, c.body)
		id, ok := strings.CutPrefix(w.Header().Get("Location"), "/api/v1/admin/erasures/")
		if w.Code != http.StatusNoContent || !ok || w.Body.Len() > 0 {
			t.Fatalf("%s: %d %s", c.path, w.Code, w.Body)
		}
		var got db.Erasure
		if code := s.ask(t, operator, "GET", "/erasures/"+id, "", &got); code != 200 || got.Tenant != "team" || got.Reason != "delete_series" || got.Range() != c.bounds || !slices.Equal(got.Selectors, c.selectors) {
			t.Errorf("%s: %d %+v", c.path, code, got)
		}
	}
	for query, want := range map[string]string{"": "match[]", "?match[]=up&start=never": "start", "?match[]=up&end=NaN": "end", "?match[]=up{": "up{"} {
		if w := send("PUT", path+query, ""); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
	if w := send("POST", "/api/v1/admin/tsdb/clean_tombstones", ""); w.Code != http.StatusNoContent {
		t.Errorf("clean_tombstones: %d", w.Code)
	}
}

func TestCreateErasure(t *testing.T) {
	s := newServer(t, db.Config{})
	operator, err := s.db.FirstKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got db.Erasure
	if code := s.ask(t, operator, "POST", "/erasures", `{"selectors":["up"],"start":"1","reason":"law"}`, &got); code != 200 || got.Reason != "law" || got.Range() != (list.Range{MinMs: 1000, MaxMs: math.MaxInt64}) {
		t.Errorf("%d %+v", code, got)
	}
	var all []db.Erasure
	if code := s.ask(t, operator, "GET", "/erasures", "", &all); code != 200 || len(all) != 1 || all[0].ID != got.ID {
		t.Errorf("%d %+v", code, all)
	}
	for body, want := range map[string]int{
		`{"selectors":["up"]}`:                             400,
		`{"selectors":["up"],"reason":"x","start":"x"}`:    400,
		`{"selectors":["up"],"reason":"x","end":"x"}`:      400,
		`{"tenant":"a/b","selectors":["up"],"reason":"x"}`: 400,
		`{"matchers":["up"],"reason":"x"}`:                 400,
	} {
		if code := s.ask(t, operator, "POST", "/erasures", body, nil); code != want {
			t.Errorf("%s: %d, want %d", body, code, want)
		}
	}
	if code := s.ask(t, operator, "GET", "/erasures/none", "", nil); code != 404 {
		t.Errorf("an erasure that is not there: %d", code)
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
