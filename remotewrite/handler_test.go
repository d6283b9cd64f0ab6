package remotewrite

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"

	"github.com/metricstream/metricstream/remotewrite/codec"
	"github.com/metricstream/metricstream/store"
)

func TestWritesWhatWasSent(t *testing.T) {
	var w recorder
	h := newHandler(t, &w, nil)
	for range 2 { // parsed, then found in the cache
		res := post(h, requestV1(t, seriesV1(nowMs, 12.5, "__name__", "up", "job", "x")), map[string]string{"X-Scope-OrgID": "acme"})
		if res.Code != http.StatusNoContent {
			t.Fatalf("status %d: %s", res.Code, res.Body)
		}
	}
	want := labels.FromStrings("__name__", "up", "job", "x")
	for _, b := range w.batches {
		if len(b.Series) != 1 || b.Samples.Len() != 1 {
			t.Fatalf("got %+v", b)
		}
		s := b.Series[0]
		if s.Tenant != "acme" || !labels.Equal(s.Labels, want) || s.Key != store.KeyOf("acme", want) || s.MinMs != nowMs || s.MaxMs != nowMs {
			t.Errorf("got series %+v", s)
		}
		if v := (store.Decimal{Exp: b.Samples.Exps[0], Mant: b.Samples.Mants[0]}).Float(); v != 12.5 || b.Samples.TimesMs[0] != nowMs {
			t.Errorf("got %v at %d", v, b.Samples.TimesMs[0])
		}
	}
	if len(w.batches) != 2 {
		t.Errorf("got %d batches", len(w.batches))
	}
}

func TestStatusMatrix(t *testing.T) {
	good := requestV1(t, seriesV1(nowMs, 1, "__name__", "up"))
	noName := requestV1(t, seriesV1(nowMs, 1, "job", "x"), seriesV1(nowMs, 1, "__name__", "up"))
	proto := func(s string) map[string]string { return map[string]string{"Content-Type": s} }
	truncated := snappy.Encode(nil, []byte{0x0a, 0x05, 0x0a})
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0x00} // snappy for 4 GiB
	tests := []struct {
		name    string
		method  string
		body    []byte
		headers map[string]string
		err     error // of the Writer
		status  int
		writes  int
		text    string
	}{
		{name: "1.0 without headers", body: good, status: 204, writes: 1},
		{name: "1.0", body: good, headers: proto("application/x-protobuf"), status: 204, writes: 1},
		{name: "1.0 named", body: good, headers: proto("application/x-protobuf;proto=prometheus.WriteRequest"), status: 204, writes: 1},
		{name: "1.0 with a charset", body: good, headers: proto("application/x-protobuf; charset=utf-8"), status: 204, writes: 1},
		{name: "2.0", body: wholeV2(t), headers: typeV2, status: 204, writes: 1},
		{name: "2.0 with spaces and quotes", body: wholeV2(t), headers: proto(`application/x-protobuf; proto="io.prometheus.write.v2.Request"`), status: 204, writes: 1},
		{name: "the version header alone decides nothing", body: good, headers: map[string]string{"X-Prometheus-Remote-Write-Version": "2.0.0"}, status: 204, writes: 1},
		{name: "empty 1.0", body: snappy.Encode(nil, nil), status: 204},
		{name: "empty 2.0", body: snappy.Encode(nil, nil), headers: typeV2, status: 204},
		{name: "metadata only", body: metadataV1(t), status: 204, writes: 1},

		{name: "GET", method: "GET", status: 405},
		{name: "PUT", method: "PUT", body: good, status: 405},
		{name: "JSON, and the body is broken too", body: []byte("0"), headers: proto("application/json"), status: 415},
		{name: "image", body: good, headers: proto("image/png"), status: 415},
		{name: "unknown message", body: good, headers: proto("application/x-protobuf;proto=io.prometheus.write.v3.Request"), status: 415},
		{name: "parameter without value", body: good, headers: proto("application/x-protobuf;proto"), status: 415},
		{name: "gzip, and the body is broken too", body: []byte("0"), headers: map[string]string{"Content-Encoding": "gzip"}, status: 415},
		{name: "zstd", body: good, headers: map[string]string{"Content-Encoding": "zstd"}, status: 415},
		{name: "bad tenant", body: good, headers: map[string]string{"X-Scope-OrgID": "a/b"}, status: 400, text: "X-Scope-OrgID"},
		{name: "too large", body: make([]byte, 2<<20), status: 413},
		{name: "declared too large", body: huge, status: 400, text: "max_decoded_bytes"},
		{name: "not snappy", body: []byte("hello"), status: 400},
		{name: "no body", status: 400},
		{name: "truncated protobuf", body: truncated, status: 400, text: "truncated"},
		{name: "too many series", body: requestV1(t, seriesV1(1, 1, "__name__", "a"), seriesV1(1, 1, "__name__", "b"), seriesV1(1, 1, "__name__", "c")), status: 400, text: "more than 2 series"},
		{name: "2.0 sent as 1.0", body: wholeV2(t), status: 400, text: "Content-Type"},
		{name: "partly wrong 1.0", body: noName, status: 400, writes: 1, text: "missing_metric_name"},
		{name: "all wrong", body: requestV1(t, seriesV1(nowMs, 1, "job", "x")), status: 400, text: "missing_metric_name"},
		{name: "too far in the future", body: requestV1(t, seriesV1(nowMs+600_001, 1, "__name__", "up")), status: 400, text: "too_far_in_future"},

		{name: "writer unavailable", body: good, err: errors.New("disk on fire"), status: 503, text: "disk on fire"},
		{name: "writer limit", body: good, err: store.Limitf("rate limit of 10/s"), status: 529, text: "rate limit"},
		{name: "writer says invalid", body: good, err: store.Invalidf("cannot hold that"), status: 400, text: "cannot hold that"},
		{name: "partly wrong, writer unavailable", body: noName, err: errors.New("disk on fire"), status: 503},
		{name: "the client is gone", body: good, err: context.Canceled, status: 503},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			w := &recorder{err: tc.err}
			h := newHandler(t, w, func(c *Config) { c.MaxBodyBytes, c.MaxSeriesPerRequest = 1<<20, 2 })
			method := tc.method
			if method == "" {
				method = http.MethodPost
			}
			r := httptest.NewRequest(method, "/api/v1/write", bytes.NewReader(tc.body))
			for k, v := range tc.headers {
				r.Header.Set(k, v)
			}
			res := httptest.NewRecorder()
			h.ServeHTTP(res, r)
			if res.Code != tc.status || !strings.Contains(res.Body.String(), tc.text) {
				t.Errorf("got %d %q", res.Code, res.Body)
			}
			if res.Code == 204 && res.Body.Len() > 0 {
				t.Errorf("204 with a body: %q", res.Body)
			}
			if len(w.batches) != tc.writes {
				t.Errorf("%d writes, want %d", len(w.batches), tc.writes)
			}
			if retry := res.Header().Get("Retry-After"); (retry != "") != (res.Code >= 500) {
				t.Errorf("status %d with Retry-After %q", res.Code, retry)
			}
		})
	}
}

func metadataV1(t testing.TB) []byte {
	b, err := (&prompb.WriteRequest{Metadata: []prompb.MetricMetadata{{MetricFamilyName: "x", Help: "Help."}}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return snappy.Encode(nil, b)
}

// TestWrittenHeaders checks that 2.0 senders are told what was accepted, and that 1.0 senders are told nothing.
func TestWrittenHeaders(t *testing.T) {
	for _, tc := range []struct {
		name    string
		body    []byte
		headers map[string]string
		err     error
		want    string // samples, histograms, exemplars
	}{
		{"2.0", wholeV2(t), typeV2, nil, "2 1 1"},
		{"2.0, partly", mixedV2(t), typeV2, nil, "2 1 1"},
		{"2.0, not written", wholeV2(t), typeV2, errors.New("no"), "0 0 0"},
		{"2.0, broken", []byte("x"), typeV2, nil, "0 0 0"},
		{"1.0", requestV1(t, seriesV1(nowMs, 1, "__name__", "up")), nil, nil, "  "},
		{"1.0, partly", requestV1(t, seriesV1(nowMs, 1, "a", "b")), nil, nil, "  "},
		{"1.0, not written", requestV1(t, seriesV1(nowMs, 1, "__name__", "up")), nil, errors.New("no"), "  "},
	} {
		res := post(newHandler(t, &recorder{err: tc.err}, nil), tc.body, tc.headers)
		var got []string
		for _, kind := range []string{"Samples", "Histograms", "Exemplars"} {
			got = append(got, res.Header().Get("X-Prometheus-Remote-Write-"+kind+"-Written"))
		}
		if s := strings.Join(got, " "); s != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, s, tc.want)
		}
	}
}

// TestPartialWrite reads the valid part back: a status alone proves little.
func TestPartialWrite(t *testing.T) {
	var w recorder
	res := post(newHandler(t, &w, nil), mixedV2(t), typeV2)
	if res.Code != 400 || len(w.batches) != 1 {
		t.Fatalf("status %d, %d writes", res.Code, len(w.batches))
	}
	b := w.batches[0]
	if len(b.Series) != 2 || b.Samples.Len() != 2 || len(b.Histograms) != 1 || len(b.Exemplars) != 1 {
		t.Errorf("got %+v", b)
	}
	if s := b.Series[0]; s.MinMs != nowMs || s.MaxMs != nowMs+1 || !labels.Equal(s.Labels, labels.FromStrings("__name__", "up")) {
		t.Errorf("got series %+v", s)
	}
}

// TestNothingIsRememberedBeforeTheWrite fails the first write: the retry says again what it has to.
func TestNothingIsRememberedBeforeTheWrite(t *testing.T) {
	w := &recorder{err: errors.New("no")}
	h := newHandler(t, w, nil)
	body := requestV2(t, startSeries(nowMs, 77))
	for _, tc := range []struct {
		err            error
		status, starts int
	}{{errors.New("no"), 503, 0}, {nil, 204, 1}, {nil, 204, 0}} {
		w.err, w.batches = tc.err, nil
		if res := post(h, body, typeV2); res.Code != tc.status {
			t.Fatalf("status %d", res.Code)
		}
		if tc.err == nil && len(w.batches[0].Starts) != tc.starts {
			t.Errorf("got starts %v, want %d", w.batches[0].Starts, tc.starts)
		}
	}
}

func TestInFlightLimit(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	h := newHandler(t, store.WriterFunc(func(context.Context, *store.Batch) error {
		entered <- struct{}{}
		<-leave
		return nil
	}), func(c *Config) { c.MaxInFlight = 1 })
	body := requestV1(t, seriesV1(nowMs, 1, "__name__", "up"))
	first := make(chan int)
	go func() { first <- post(h, body, nil).Code }()
	<-entered
	res := post(h, body, nil)
	if res.Code != 503 || res.Header().Get("Retry-After") == "" {
		t.Errorf("got %d, Retry-After %q", res.Code, res.Header().Get("Retry-After"))
	}
	close(leave)
	if code := <-first; code != 204 {
		t.Errorf("the first request got %d", code)
	}
	go func() { <-entered }()
	if res := post(h, body, nil); res.Code != 204 {
		t.Errorf("then got %d", res.Code)
	}
	if n := testutil.ToFloat64(h.metrics.limited.WithLabelValues(limitInFlight)); n != 1 {
		t.Errorf("limited_requests_total is %v", n)
	}
}

func TestRetryAfter(t *testing.T) {
	for _, tc := range []struct {
		attempt     string
		least, most int
	}{{"", 3, 9}, {"1", 3, 9}, {"2", 6, 18}, {"3", 12, 36}, {"5", 48, 144}, {"99999999", 48, 144}, {"-4", 3, 9}, {"x", 3, 9}} {
		if got := retryAfter(tc.attempt, 0); got != tc.least {
			t.Errorf("attempt %q: at least %d, want %d", tc.attempt, got, tc.least)
		}
		if got := retryAfter(tc.attempt, 0.999999); got != tc.most {
			t.Errorf("attempt %q: at most %d, want %d", tc.attempt, got, tc.most)
		}
	}
}

// TestBodyOfUnknownLength sends a body in chunks, and one that breaks off.
func TestBodyOfUnknownLength(t *testing.T) {
	var w recorder
	h := newHandler(t, &w, nil)
	body := requestV1(t, seriesV1(nowMs, 1, "__name__", "up"))
	r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(bytes.NewReader(body[:5]), bytes.NewReader(body[5:])))
	res := httptest.NewRecorder()
	h.ServeHTTP(res, r)
	if res.Code != 204 || len(w.batches) != 1 {
		t.Errorf("got %d, %d writes", res.Code, len(w.batches))
	}
	r = httptest.NewRequest(http.MethodPost, "/", io.MultiReader(bytes.NewReader(body[:5]), brokenReader{}))
	res = httptest.NewRecorder()
	h.ServeHTTP(res, r)
	if res.Code != 400 || len(w.batches) != 1 {
		t.Errorf("got %d, %d writes", res.Code, len(w.batches))
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestMetrics(t *testing.T) {
	h := newHandler(t, &recorder{}, nil)
	post(h, mixedV2(t), typeV2)
	post(h, metadataV1(t), nil)
	for name, tc := range map[string]struct{ got, want float64 }{
		"requests 2.0": {testutil.ToFloat64(h.metrics.requests.WithLabelValues("2.0", "400")), 1},
		"requests 1.0": {testutil.ToFloat64(h.metrics.requests.WithLabelValues("1.0", "204")), 1},
		"samples":      {testutil.ToFloat64(h.metrics.received.WithLabelValues("samples")), 2},
		"histograms":   {testutil.ToFloat64(h.metrics.received.WithLabelValues("histograms")), 1},
		"exemplars":    {testutil.ToFloat64(h.metrics.received.WithLabelValues("exemplars")), 1},
		"metadata":     {testutil.ToFloat64(h.metrics.received.WithLabelValues("metadata")), 1},
		"rejected":     {testutil.ToFloat64(h.metrics.rejected.total.WithLabelValues(store.DefaultTenant, codec.NoMetricName.String())), 1},
		"in flight":    {testutil.ToFloat64(h.metrics.inFlight), 0},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: got %v, want %v", name, tc.got, tc.want)
		}
	}
}

// TestMetricsCanBeScraped gathers what a scrape gathers.
func TestMetricsCanBeScraped(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	h := New(DefaultConfig(), Options{Writer: &recorder{}, Logger: slog.New(slog.DiscardHandler), Registerer: reg})
	series := seriesV1(time.Now().UnixMilli(), 1, "__name__", "up")
	if res := post(h, requestV1(t, series), nil); res.Code != 204 {
		t.Fatal(res.Code, res.Body)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
	want := strings.NewReader(`
# HELP metricstream_remote_write_cached_series Series whose labels are remembered.
# TYPE metricstream_remote_write_cached_series gauge
metricstream_remote_write_cached_series 1
# HELP metricstream_remote_write_series_cache_misses_total Label sets that had to be parsed.
# TYPE metricstream_remote_write_series_cache_misses_total counter
metricstream_remote_write_series_cache_misses_total 1
`)
	if err := testutil.GatherAndCompare(reg, want, "metricstream_remote_write_cached_series", "metricstream_remote_write_series_cache_misses_total"); err != nil {
		t.Error(err)
	}
}

// TestLargeScratchIsNotKept answers a request whose memory is too large for the pool, then a small one.
func TestLargeScratchIsNotKept(t *testing.T) {
	h := newHandler(t, &recorder{}, func(c *Config) { c.MaxAge = 0 })
	large := seriesV1(nowMs, 1, "__name__", "up")
	large.Samples = make([]prompb.Sample, 400_000)
	for _, body := range [][]byte{requestV1(t, large), requestV1(t, seriesV1(nowMs, 1, "__name__", "up"))} {
		if res := post(h, body, nil); res.Code != 204 {
			t.Fatal(res.Code, res.Body)
		}
	}
	s := h.scratch.Get().(*scratch)
	if n := cap(s.decoded) + s.request.Bytes(); n > maxScratchBytes {
		t.Errorf("a scratch of %d bytes was kept", n)
	}
}

// TestManySendersAtOnce is for the race detector: pooled memory must not be shared.
func TestManySendersAtOnce(t *testing.T) {
	h := newHandler(t, store.WriterFunc(func(_ context.Context, b *store.Batch) error {
		for i := range b.Samples.Len() {
			v := store.Decimal{Exp: b.Samples.Exps[i], Mant: b.Samples.Mants[i]}.Float()
			if b.Series[0].Labels.Get("sender") != labelOf(v) {
				return store.Invalidf("sender %s sent %v", b.Series[0].Labels.Get("sender"), v)
			}
		}
		return nil
	}), nil)
	done := make(chan string)
	for sender := range 8 {
		go func() {
			body := requestV1(t, seriesV1(nowMs, float64(sender), "__name__", "up", "sender", labelOf(float64(sender))))
			for range 200 {
				if res := post(h, body, nil); res.Code != 204 {
					done <- res.Body.String()
					return
				}
			}
			done <- ""
		}()
	}
	for range 8 {
		if msg := <-done; msg != "" {
			t.Error(msg)
		}
	}
}
