package remotewrite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/prompb"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant/limits"
)

// newLimited returns a handler whose requests are all held to *l.
func newLimited(t testing.TB, w store.Writer, l *limits.Limits, status int) *Handler {
	c := DefaultConfig()
	c.LimitStatus = status
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return New(c, Options{
		Writer: w, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
		Now:   func() time.Time { return time.UnixMilli(nowMs) },
		Grant: func(_ context.Context, id string) limits.Grant { return limits.Grant{Tenant: id, Limits: *l} },
	})
}

func ofSeries(t testing.TB, first, n int) []byte {
	var series []prompb.TimeSeries
	for i := first; i < first+n; i++ {
		series = append(series, seriesV1(nowMs, 1, "__name__", "up", "i", fmt.Sprint(i)))
	}
	return requestV1(t, series...)
}

// TestOverTheRate refuses the whole request with the status that is configured and Retry-After, and writes nothing of it.
func TestOverTheRate(t *testing.T) {
	for _, status := range []int{429, 529} {
		w, l := &recorder{}, &limits.Limits{SamplesPerSecond: 1, SamplesBurst: 10}
		h := newLimited(t, w, l, status)
		w.err = errors.New("away")
		for range 5 { // what is not written is not counted
			if got := post(h, ofSeries(t, 0, 10), nil); got.Code != http.StatusServiceUnavailable {
				t.Fatalf("a writer that is away: %d", got.Code)
			}
		}
		w.err = nil
		if got := post(h, ofSeries(t, 0, 8), nil); got.Code != http.StatusNoContent {
			t.Fatalf("within the burst: %d", got.Code)
		}
		for range 2 {
			got := post(h, ofSeries(t, 0, 8), nil)
			if got.Code != status || got.Header().Get("Retry-After") == "" || !strings.Contains(got.Body.String(), `limits.samples_per_second of the tenant "anonymous"`) || len(w.batches) != 1 {
				t.Errorf("beyond: %d %v %s, %d batches", got.Code, got.Header(), got.Body, len(w.batches))
			}
		}
		if got := post(h, requestV2(t, startSeries(nowMs, 0)), typeV2); got.Code != http.StatusNoContent {
			t.Errorf("one more sample: %d", got.Code)
		}
		if n := testutil.ToFloat64(h.metrics.tenantLimited.WithLabelValues("anonymous", "samples_per_second")); n != 2 {
			t.Errorf("%v refused requests are counted", n)
		}
		*l = limits.Limits{}
		if got := post(h, ofSeries(t, 0, 1000), nil); got.Code != http.StatusNoContent {
			t.Errorf("without the limit: %d", got.Code)
		}
	}
}

// TestTooManySeries takes what the limit has room for and the series that are known, and refuses the others by name.
func TestTooManySeries(t *testing.T) {
	for reason, l := range map[string]*limits.Limits{
		"too_many_active_series": {ActiveSeries: 10},
		"too_many_new_series":    {NewSeriesPerMinute: 10},
		"too_many_labels":        {LabelsPerSeries: 2},
	} {
		w := &recorder{}
		h := newLimited(t, w, l, 429)
		for range 2 {
			body := ofSeries(t, 0, 15)
			if reason == "too_many_labels" {
				body = requestV1(t, seriesV1(nowMs, 1, "__name__", "up", "a", "b", "c", "d"), seriesV1(nowMs, 1, "__name__", "up"))
			}
			got := post(h, body, nil)
			if got.Code != http.StatusBadRequest || !strings.Contains(got.Body.String(), reason) || !strings.Contains(got.Body.String(), ", or raise limits.") || got.Header().Get("Retry-After") != "" {
				t.Errorf("%s: %d %s", reason, got.Code, got.Body)
			}
		}
		if got := post(h, ofSeries(t, 0, 10), nil); got.Code != http.StatusNoContent && reason != "too_many_labels" {
			t.Errorf("%s: known series: %d %s", reason, got.Code, got.Body)
		}
		if n := len(w.batches[0].Series); n != 10 && reason != "too_many_labels" || len(w.batches[1].Series) != n {
			t.Errorf("%s: %d series were written", reason, n)
		}
		if list := h.rejections.of("anonymous"); len(list) == 0 || list[0].Reason != reason {
			t.Errorf("%s: rejections %+v", reason, list)
		}
	}
}

// TestRequestLimits: a body that is too large for the tenant, and what is dropped of one.
func TestRequestLimits(t *testing.T) {
	w := &recorder{}
	h := newLimited(t, w, &limits.Limits{RequestBytes: 100, ExemplarsPerRequest: 1}, 429)
	if got := post(h, ofSeries(t, 0, 1000), nil); got.Code != http.StatusBadRequest || !strings.Contains(got.Body.String(), `more than 100 bytes; send fewer samples at once, or raise limits.request_bytes of the tenant "anonymous"`) {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	ts := seriesV1(nowMs, 1, "__name__", "up")
	ts.Exemplars = []prompb.Exemplar{{Timestamp: nowMs, Value: 1}, {Timestamp: nowMs - 1, Value: 2}}
	if got := post(h, requestV1(t, ts), nil); got.Code != http.StatusNoContent || len(w.batches) != 1 || len(w.batches[0].Exemplars) != 1 {
		t.Errorf("%d %s, %+v", got.Code, got.Body, w.batches)
	}
	for limit, want := range map[string]float64{"request_bytes": 1, "exemplars_per_request": 1} {
		if n := testutil.ToFloat64(h.metrics.tenantLimited.WithLabelValues("anonymous", limit)); n != want {
			t.Errorf("%s: %v are counted", limit, n)
		}
	}
}

func TestUserStatsAndLimits(t *testing.T) {
	for _, l := range []*limits.Limits{{}, {ActiveSeries: 100, SamplesPerSecond: 1000}} {
		h := newLimited(t, &recorder{}, l, 429)
		post(h, ofSeries(t, 0, 25), nil)
		w := httptest.NewRecorder()
		h.UserStats(w, httptest.NewRequest(http.MethodGet, "/", nil))
		var stats map[string]float64
		if err := json.Unmarshal(w.Body.Bytes(), &stats); err != nil || stats["numSeries"] != 25 || len(stats) != 5 {
			t.Errorf("%v %s", err, w.Body)
		}
		w = httptest.NewRecorder()
		limits.Handler(h.grant)(w, httptest.NewRequest(http.MethodGet, "/", nil))
		var got struct {
			Rate   int64 `json:"ingestion_rate"`
			Burst  int64 `json:"ingestion_burst_size"`
			Limits limits.Limits
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Rate != l.SamplesPerSecond || got.Burst != 10*l.SamplesPerSecond || got.Limits != *l {
			t.Errorf("%v %s", err, w.Body)
		}
	}
}
