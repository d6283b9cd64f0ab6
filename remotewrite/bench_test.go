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
	"github.com/metricstream/metricstream/tenant/limits"
)

// BenchmarkHandler is the whole edge for a request of 2000 series, without the network and the Writer: without replicas, with limits,
// and for an elected one and another one of a pair.
func BenchmarkHandler(b *testing.B) {
	discard := store.WriterFunc(func(context.Context, *store.Batch) error { return nil })
	b.Run("off", func(b *testing.B) { benchHandler(b, newHandler(b, discard, nil), "a") })
	all := &limits.Limits{SamplesPerSecond: 1 << 40, ActiveSeries: 1 << 40, NewSeriesPerMinute: 1 << 40, RequestBytes: 1 << 30,
		LabelsPerSeries: 30, LabelNameBytes: 100, LabelValueBytes: 200, ExemplarsPerRequest: 100, MetadataPerRequest: 100}
	b.Run("limits", func(b *testing.B) { benchHandler(b, newLimited(b, discard, all, 429), "a") })
	pair, _ := newPairHandler(b, discard, nil)
	post(pair, pairV1(b, "a"), nil)
	b.Run("elected", func(b *testing.B) { benchHandler(b, pair, "a") })
	b.Run("duplicates", func(b *testing.B) { benchHandler(b, pair, "b") })
}

func benchHandler(b *testing.B, h *Handler, replica string) {
	const n = 2000
	var series []prompb.TimeSeries
	for i := range n {
		series = append(series, seriesV1(nowMs, float64(i), "__name__", "node_cpu_seconds_total", "cpu", fmt.Sprint(i%64),
			"cluster", "c", "instance", fmt.Sprintf("10.0.0.%d:9100", i/64), "job", "node-exporter", "mode", "idle", "__replica__", replica))
	}
	body := requestV1(b, series...)
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
