package remotewrite

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/metricstream/metricstream/remotewrite/ha"
	"github.com/metricstream/metricstream/store"
)

// newPairHandler returns a handler that elects replicas by the labels cluster and __replica__, and its clock.
func newPairHandler(t testing.TB, w store.Writer, change func(*ha.Config)) (h *Handler, clock *time.Time) {
	t.Helper()
	c := DefaultConfig()
	c.HA.Enabled = true
	if change != nil {
		change(&c.HA)
	}
	at := time.UnixMilli(nowMs)
	clock = &at
	now := func() time.Time { return *clock }
	reg := prometheus.NewRegistry()
	tracker := ha.New(c.HA, ha.Options{Logger: slog.New(slog.DiscardHandler), Registerer: reg, Now: now})
	return New(c, Options{Writer: w, Logger: slog.New(slog.DiscardHandler), Registerer: reg, Now: now, HA: tracker}), clock
}

func pairV1(t testing.TB, replica string) []byte {
	return requestV1(t, seriesV1(nowMs, 1, "__name__", "up", "cluster", "c", "__replica__", replica))
}

// pairV2 has two samples, a histogram and an exemplar.
func pairV2(replica string) *writev2.Request {
	b := requestBuilder{symbols: writev2.NewSymbolTable()}
	b.series(writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: nowMs}, {Timestamp: nowMs + 1}}, Exemplars: []writev2.Exemplar{b.exemplar("trace_id", "x")}},
		"__name__", "up", "cluster", "c", "__replica__", replica)
	b.series(writev2.TimeSeries{Histograms: []writev2.Histogram{{Timestamp: nowMs, Count: &writev2.Histogram_CountInt{}}}},
		"__name__", "h", "cluster", "c", "__replica__", replica)
	b.req.Symbols = b.symbols.Symbols()
	return &b.req
}

// TestDuplicatesAreAnsweredAsAccepted lets the client library of Prometheus send as two replicas: both read the same
// answers, and one is written.
func TestDuplicatesAreAnsweredAsAccepted(t *testing.T) {
	var w recorder
	h, _ := newPairHandler(t, &w, nil)
	srv := httptest.NewServer(h)
	defer srv.Close()
	api, err := remote.NewAPI(srv.URL, remote.WithAPIPath("api/v1/write"))
	if err != nil {
		t.Fatal(err)
	}
	for _, replica := range []string{"a", "b", "a", "b"} {
		stats, err := api.Write(t.Context(), remote.WriteV2MessageType, pairV2(replica))
		if err != nil || stats.Samples != 2 || stats.Histograms != 1 || stats.Exemplars != 1 {
			t.Errorf("%s: %+v, %v", replica, stats, err)
		}
	}
	if len(w.batches) != 2 {
		t.Fatalf("%d writes", len(w.batches))
	}
	for _, b := range w.batches {
		if len(b.Series) != 2 || b.Series[0].Labels.String() != `{__name__="up", cluster="c"}` || b.Samples.Len() != 2 || len(b.Histograms) != 1 || len(b.Exemplars) != 1 {
			t.Errorf("written was %+v", b)
		}
	}
	for kind, want := range map[string]float64{"samples": 4, "histograms": 2, "exemplars": 2} {
		if got := testutil.ToFloat64(h.metrics.dropped.WithLabelValues(store.DefaultTenant, kind)); got != want {
			t.Errorf("%v %s are counted as deduplicated, want %v", got, kind, want)
		}
		if got := testutil.ToFloat64(h.metrics.received.WithLabelValues(kind)); got != want {
			t.Errorf("%v %s are counted as written, want %v", got, kind, want)
		}
	}
}

// TestPairFailover lets the elected replica be silent for the timeout.
func TestPairFailover(t *testing.T) {
	var w recorder
	h, clock := newPairHandler(t, &w, nil)
	for _, step := range []struct {
		after   time.Duration
		replica string
		writes  int
	}{{0, "a", 1}, {0, "b", 1}, {29 * time.Second, "b", 1}, {0, "a", 2}, {30 * time.Second, "b", 3}, {0, "a", 3}, {0, "b", 4}} {
		*clock = clock.Add(step.after)
		if res := post(h, pairV1(t, step.replica), nil); res.Code != http.StatusNoContent || len(w.batches) != step.writes {
			t.Errorf("%+v: status %d, %d writes", step, res.Code, len(w.batches))
		}
	}
}

// TestTooManyClusters checks that a request beyond the limit comes again, and that it is seen.
func TestTooManyClusters(t *testing.T) {
	var w recorder
	h, _ := newPairHandler(t, &w, func(c *ha.Config) { c.MaxClusters = 1 })
	post(h, pairV1(t, "a"), nil)
	res := post(h, requestV1(t, seriesV1(nowMs, 1, "__name__", "up", "cluster", "d", "__replica__", "a")), nil)
	if res.Code != statusSiteOverloaded || !strings.Contains(res.Body.String(), "remote_write.ha.max_clusters") || len(w.batches) != 1 {
		t.Errorf("got %d %s, %d writes", res.Code, res.Body, len(w.batches))
	}
	if n := testutil.ToFloat64(h.metrics.limited.WithLabelValues(limitClusters)); n != 1 {
		t.Errorf("limited_requests_total is %v", n)
	}
	if list := h.rejections.of(store.DefaultTenant); len(list) != 0 {
		t.Errorf("a request that comes again is among the refusals: %+v", list)
	}
}

// TestElectedWriteFails checks that a failure of the writer is the elected replica's, and no other takes over for it.
func TestElectedWriteFails(t *testing.T) {
	w := &recorder{err: errors.New("no")}
	h, _ := newPairHandler(t, w, nil)
	for _, tc := range []struct {
		replica string
		status  int
	}{{"a", 503}, {"b", 204}, {"a", 503}} {
		if res := post(h, pairV1(t, tc.replica), nil); res.Code != tc.status {
			t.Errorf("%s: status %d, want %d", tc.replica, res.Code, tc.status)
		}
	}
}

// TestHAOff keeps the labels as they are.
func TestHAOff(t *testing.T) {
	var w recorder
	h := newHandler(t, &w, nil)
	for _, replica := range []string{"a", "b"} {
		post(h, pairV1(t, replica), nil)
	}
	if len(w.batches) != 2 || w.batches[0].Series[0].Labels.Get("__replica__") != "a" || w.batches[1].Series[0].Labels.Get("__replica__") != "b" {
		t.Errorf("written was %+v", w.batches)
	}
	if got := statusHA(t, h, ""); got != `{"status":"success","data":{"enabled":false,"clusters":[]}}` {
		t.Errorf("got %s", got)
	}
}

func statusHA(t *testing.T, h *Handler, id string) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/api/v1/status/ha", nil)
	r.Header.Set("X-Scope-OrgID", id)
	w := httptest.NewRecorder()
	h.HA(w, r)
	if !json.Valid(w.Body.Bytes()) {
		t.Errorf("no JSON: %s", w.Body)
	}
	return strings.TrimSpace(w.Body.String())
}

// TestStatus shows a tenant its own clusters.
func TestStatus(t *testing.T) {
	h, clock := newPairHandler(t, &recorder{}, nil)
	post(h, pairV1(t, "a"), map[string]string{"X-Scope-OrgID": "acme"})
	*clock = clock.Add(10 * time.Second)
	post(h, pairV1(t, "a"), map[string]string{"X-Scope-OrgID": "acme"})
	const want = `{"status":"success","data":{"enabled":true,"clusters":[{"cluster":"c","replica":"a","electedSince":"2026-09-21T14:13:20Z","lastSeen":"2026-09-21T14:13:30Z"}]}}`
	if got := statusHA(t, h, "acme"); got != want {
		t.Errorf("got %s", got)
	}
	if got := statusHA(t, h, "other"); got != `{"status":"success","data":{"enabled":true,"clusters":[]}}` {
		t.Errorf("another tenant got %s", got)
	}
	if got := statusHA(t, h, "a/b"); !strings.Contains(got, `"errorType":"bad_data"`) {
		t.Errorf("a bad tenant got %s", got)
	}
}
