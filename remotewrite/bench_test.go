package remotewrite

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/prometheus/prompb"

	"github.com/metricstream/metricstream/store"
)

// BenchmarkHandler is the whole edge for a request of 2000 series, without the network and the Writer.
func BenchmarkHandler(b *testing.B) {
	const n = 2000
	var series []prompb.TimeSeries
	for i := range n {
		series = append(series, seriesV1(nowMs, float64(i), "__name__", "node_cpu_seconds_total", "cpu", fmt.Sprint(i%64),
			"instance", fmt.Sprintf("10.0.0.%d:9100", i/64), "job", "node-exporter", "mode", "idle"))
	}
	body := requestV1(b, series...)
	h := newHandler(b, store.WriterFunc(func(context.Context, *store.Batch) error { return nil }), nil)
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body)))
		if w.Code != http.StatusNoContent {
			b.Fatal(w.Code)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/sample")
}
