package remotewrite

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"

	"github.com/metricstream/metricstream/store"
)

const nowMs = 1_790_000_000_000

// recorder is a Writer that keeps copies of what it was given.
type recorder struct {
	err     error
	batches []store.Batch
}

func (w *recorder) Write(_ context.Context, b *store.Batch) error {
	if w.err != nil {
		return w.err
	}
	w.batches = append(w.batches, clone(b))
	return nil
}

func clone(b *store.Batch) store.Batch {
	c := store.Batch{}
	c.Series = append(c.Series, b.Series...)
	c.Samples.Metrics = append(c.Samples.Metrics, b.Samples.Metrics...)
	c.Samples.IDs = append(c.Samples.IDs, b.Samples.IDs...)
	c.Samples.TimesMs = append(c.Samples.TimesMs, b.Samples.TimesMs...)
	c.Samples.Exps = append(c.Samples.Exps, b.Samples.Exps...)
	c.Samples.Mants = append(c.Samples.Mants, b.Samples.Mants...)
	c.Starts = append(c.Starts, b.Starts...)
	c.Histograms = append(c.Histograms, b.Histograms...)
	for i := range c.Histograms {
		c.Histograms[i].Blob = bytes.Clone(c.Histograms[i].Blob)
	}
	c.Exemplars = append(c.Exemplars, b.Exemplars...)
	c.Metadata = append(c.Metadata, b.Metadata...)
	return c
}

func newHandler(t testing.TB, w store.Writer, change func(*Config)) *Handler {
	t.Helper()
	c := DefaultConfig()
	if change != nil {
		change(&c)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return New(c, Options{
		Writer: w, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
		Now: func() time.Time { return time.UnixMilli(nowMs) },
	})
}

func post(h http.Handler, body []byte, headers map[string]string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/api/v1/write", bytes.NewReader(body))
	for k, v := range headers {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func requestV1(t testing.TB, series ...prompb.TimeSeries) []byte {
	t.Helper()
	b, err := (&prompb.WriteRequest{Timeseries: series}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return snappy.Encode(nil, b)
}

func seriesV1(ms int64, v float64, nameValues ...string) prompb.TimeSeries {
	ts := prompb.TimeSeries{Samples: []prompb.Sample{{Timestamp: ms, Value: v}}}
	for i := 0; i < len(nameValues); i += 2 {
		ts.Labels = append(ts.Labels, prompb.Label{Name: nameValues[i], Value: nameValues[i+1]})
	}
	return ts
}

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
