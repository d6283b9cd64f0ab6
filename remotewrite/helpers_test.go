package remotewrite

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

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

func requestV2(t testing.TB, series ...writev2.TimeSeries) []byte {
	t.Helper()
	b, err := (&writev2.Request{Symbols: []string{"", "__name__", "up", "job", "x"}, Timeseries: series}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return snappy.Encode(nil, b)
}

var typeV2 = map[string]string{"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request", "Content-Encoding": "snappy"}

// mixedV2 is a request of 2.0 with four things that are fine and a series without a name.
func mixedV2(t testing.TB) []byte {
	return requestV2(t,
		writev2.TimeSeries{LabelsRefs: []uint32{1, 2}, Samples: []writev2.Sample{{Timestamp: nowMs}, {Timestamp: nowMs + 1}},
			Exemplars: []writev2.Exemplar{{Timestamp: nowMs, Value: 1}}},
		writev2.TimeSeries{LabelsRefs: []uint32{1, 4}, Histograms: []writev2.Histogram{{Timestamp: nowMs, Count: &writev2.Histogram_CountInt{}}}},
		writev2.TimeSeries{LabelsRefs: []uint32{3, 4}, Samples: []writev2.Sample{{Timestamp: nowMs}}},
	)
}

// wholeV2 is mixedV2 without the series that is wrong.
func wholeV2(t testing.TB) []byte {
	return requestV2(t,
		writev2.TimeSeries{LabelsRefs: []uint32{1, 2}, Samples: []writev2.Sample{{Timestamp: nowMs}, {Timestamp: nowMs + 1}},
			Exemplars: []writev2.Exemplar{{Timestamp: nowMs, Value: 1}}},
		writev2.TimeSeries{LabelsRefs: []uint32{1, 4}, Histograms: []writev2.Histogram{{Timestamp: nowMs, Count: &writev2.Histogram_CountInt{}}}},
	)
}

func startSeries(ms, start int64) writev2.TimeSeries {
	return writev2.TimeSeries{LabelsRefs: []uint32{1, 2}, Samples: []writev2.Sample{{Timestamp: ms, StartTimestamp: start}}}
}

func labelOf(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
