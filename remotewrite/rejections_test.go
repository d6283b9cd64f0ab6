package remotewrite

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/metricstream/metricstream/remotewrite/codec"
)

// rejectionsOf asks as a tenant would.
func rejectionsOf(t *testing.T, h *Handler, id string) []Rejection {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/api/v1/status/rejections", nil)
	r.Header.Set("X-Scope-OrgID", id)
	w := httptest.NewRecorder()
	h.Rejections(w, r)
	var a struct {
		Status string
		Data   struct{ Rejections []Rejection }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || a.Status != "success" || w.Code != http.StatusOK {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return a.Data.Rejections
}

const dayMs = 86_400_000

func TestRejectionsAreShownToTheirTenant(t *testing.T) {
	h := newHandler(t, &recorder{}, nil)
	late := requestV1(t, seriesV1(nowMs-8*dayMs, 1, "__name__", "up", "job", "x"), seriesV1(nowMs-6*dayMs, 1, "__name__", "up"))
	if res := post(h, late, map[string]string{"X-Scope-OrgID": "a"}); res.Code != 400 {
		t.Fatalf("status %d", res.Code)
	}
	if res := post(h, []byte("no snappy"), map[string]string{"X-Scope-OrgID": "a"}); res.Code != 400 {
		t.Fatalf("status %d", res.Code)
	}
	got := rejectionsOf(t, h, "a")
	for i := range got {
		got[i].Detail = ""
	}
	at := time.UnixMilli(nowMs).UTC()
	want := []Rejection{{Time: at, Reason: "whole_request"}, {Time: at, Reason: "too_old", Series: `"up"{"job"="x"}`}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
	if got := rejectionsOf(t, h, "b"); got == nil || len(got) != 0 {
		t.Errorf("another tenant sees %v", got)
	}
	if n := testutil.ToFloat64(h.metrics.rejected.total.WithLabelValues("a", codec.TooOld.String())); n != 1 {
		t.Errorf("counted %v for the tenant", n)
	}
}

func TestRejectionsOfABadTenant(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("X-Scope-OrgID", "a/b")
	w := httptest.NewRecorder()
	newHandler(t, &recorder{}, nil).Rejections(w, r)
	if w.Code != 400 || !json.Valid(w.Body.Bytes()) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestTheNewestRejectionsStay(t *testing.T) {
	h := newHandler(t, &recorder{}, nil)
	for i := range maxRejections + 30 {
		post(h, requestV1(t, seriesV1(1, 1, "__name__", fmt.Sprint("m", i))), nil)
	}
	got := rejectionsOf(t, h, "")
	if len(got) != maxRejections {
		t.Fatalf("%d are shown", len(got))
	}
	for i, r := range got {
		if want := fmt.Sprintf(`"m%d"{}`, maxRejections+29-i); r.Series != want {
			t.Fatalf("number %d is of %s, want %s", i, r.Series, want)
		}
	}
}

func TestRejectionsAreBoundedByTenants(t *testing.T) {
	h := newHandler(t, &recorder{}, nil)
	now := int64(nowMs)
	h.now = func() time.Time { now++; return time.UnixMilli(now) }
	refuse := func(id string) {
		post(h, requestV1(t, seriesV1(1, 1, "__name__", "up")), map[string]string{"X-Scope-OrgID": id})
	}
	refuse("first")
	refuse("second")
	for i := range maxRejectedTenants - 2 {
		refuse(fmt.Sprint("t", i))
	}
	refuse("first") // is now newer than the second
	refuse("one-more")
	for id, want := range map[string]int{"first": 2, "second": 0, "t0": 1, "one-more": 1} {
		if got := len(rejectionsOf(t, h, id)); got != want {
			t.Errorf("%s: %d, want %d", id, got, want)
		}
	}
	// The default tenant has counters from the start, so two tenants share.
	if n := testutil.ToFloat64(h.metrics.rejected.total.WithLabelValues(otherTenants, codec.TooOld.String())); n != 2 {
		t.Errorf("%v refusals of other tenants", n)
	}
	if n, most := testutil.CollectAndCount(h.metrics.rejected.total), (maxTenantLabels+1)*len(codec.Reasons()); n > most {
		t.Errorf("%d counters, at most %d are allowed", n, most)
	}
}
