package remotewrite

import (
	"context"
	"errors"
	"math"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/metricstream/metricstream/store"
)

// send sends one request with the client library that Prometheus' own sender is built on, over a real
// connection, and tells whether the sender would send it again.
func send(t *testing.T, w store.Writer, typ remote.WriteMessageType, msg any) (stats remote.WriteResponseStats, again bool, err error) {
	t.Helper()
	srv := httptest.NewServer(newHandler(t, w, nil))
	defer srv.Close()
	api, err := remote.NewAPI(srv.URL, remote.WithAPIPath("api/v1/write"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	stats, err = api.Write(ctx, typ, msg, remote.WithWriteRetryCallback(func(error) {
		again = true
		cancel()
	}))
	return stats, again, err
}

// complianceCase is what the remote write specification, and the public suite for receivers, expect of one
// request of 2.0.
type complianceCase struct {
	name  string
	add   func(*requestBuilder)
	ok    bool
	stats remote.WriteResponseStats
}

// requestBuilder makes a request of 2.0 with one series for each call.
type requestBuilder struct {
	symbols writev2.SymbolsTable
	req     writev2.Request
}

func (b *requestBuilder) series(ts writev2.TimeSeries, nameValues ...string) {
	for _, s := range nameValues {
		ts.LabelsRefs = append(ts.LabelsRefs, b.symbols.Symbolize(s))
	}
	b.req.Timeseries = append(b.req.Timeseries, ts)
}

func (b *requestBuilder) sample(v float64, nameValues ...string) {
	b.series(writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: nowMs, Value: v}}}, nameValues...)
}

func (b *requestBuilder) exemplar(nameValues ...string) writev2.Exemplar {
	e := writev2.Exemplar{Timestamp: nowMs, Value: 1}
	for _, s := range nameValues {
		e.LabelsRefs = append(e.LabelsRefs, b.symbols.Symbolize(s))
	}
	return e
}

func (b *requestBuilder) metadata(typ writev2.Metadata_MetricType, help, unit string) writev2.Metadata {
	return writev2.Metadata{Type: typ, HelpRef: b.symbols.Symbolize(help), UnitRef: b.symbols.Symbolize(unit)}
}

func complianceCases() []complianceCase {
	stats := func(samples, histograms, exemplars int) remote.WriteResponseStats {
		return remote.WriteResponseStats{Samples: samples, Histograms: histograms, Exemplars: exemplars}
	}
	h := &histogram.Histogram{Schema: 1, Count: 4, Sum: 3, ZeroThreshold: 0.01, ZeroCount: 1,
		PositiveSpans: []histogram.Span{{Length: 2}}, PositiveBuckets: []int64{1, 0},
		NegativeSpans: []histogram.Span{{Length: 1}}, NegativeBuckets: []int64{1}}
	bad := h.Copy()
	bad.Count = 40
	bounds := &histogram.Histogram{Schema: histogram.CustomBucketsSchema, Count: 1, CustomValues: []float64{0.1, 1},
		PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{1}}
	histograms := func(hs ...*histogram.Histogram) writev2.TimeSeries {
		var ts writev2.TimeSeries
		for _, h := range hs {
			ts.Histograms = append(ts.Histograms, writev2.FromIntHistogram(0, nowMs, h))
		}
		return ts
	}
	cases := []complianceCase{
		{"newlines, dots, spaces and emoji", func(b *requestBuilder) {
			b.sample(1, "__name__", "up", "job", "test\njob\n")
			b.sample(1, "__name__", "resource.cpu usage", "job name", "x", "region", "🌍")
		}, true, stats(2, 0, 0)},
		{"no labels", func(b *requestBuilder) { b.sample(1) }, false, stats(0, 0, 0)},
		{"no name", func(b *requestBuilder) { b.sample(1, "job", "x") }, false, stats(0, 0, 0)},
		{"empty name", func(b *requestBuilder) { b.sample(1, "__name__", "") }, false, stats(0, 0, 0)},
		{"one of three has no name", func(b *requestBuilder) {
			b.sample(1, "__name__", "up")
			b.sample(1, "job", "x")
			b.sample(1, "__name__", "up", "job", "y")
		}, false, stats(2, 0, 0)},
		{"start timestamp", func(b *requestBuilder) {
			b.series(writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: nowMs, StartTimestamp: nowMs - 3600_000}}}, "__name__", "x_total")
		}, true, stats(1, 0, 0)},
		{"histogram", func(b *requestBuilder) { b.series(histograms(h), "__name__", "h") }, true, stats(0, 1, 0)},
		{"custom bounds", func(b *requestBuilder) { b.series(histograms(bounds), "__name__", "h") }, true, stats(0, 1, 0)},
		{"empty histogram", func(b *requestBuilder) { b.series(histograms(&histogram.Histogram{}), "__name__", "h") }, true, stats(0, 1, 0)},
		{"bad count", func(b *requestBuilder) { b.series(histograms(bad), "__name__", "h") }, false, stats(0, 0, 0)},
		{"good and bad histogram", func(b *requestBuilder) { b.series(histograms(h, bad), "__name__", "h") }, false, stats(0, 1, 0)},
		{"exemplars with and without labels", func(b *requestBuilder) {
			ts := writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: nowMs}}}
			ts.Exemplars = []writev2.Exemplar{b.exemplar("trace_id", "unicode_trace_测试"), b.exemplar()}
			b.series(ts, "__name__", "up")
		}, true, stats(1, 0, 2)},
		{"exemplars alone", func(b *requestBuilder) {
			b.series(writev2.TimeSeries{Exemplars: []writev2.Exemplar{b.exemplar("trace_id", "x")}}, "__name__", "up")
		}, true, stats(0, 0, 1)},
		{"metadata alone", func(b *requestBuilder) {
			b.series(writev2.TimeSeries{Metadata: b.metadata(writev2.Metadata_METRIC_TYPE_COUNTER, "Help.", "unit")}, "__name__", "x_total")
		}, true, stats(0, 0, 0)},
		{"metadata without a name", func(b *requestBuilder) {
			b.series(writev2.TimeSeries{Metadata: b.metadata(writev2.Metadata_METRIC_TYPE_COUNTER, "Help.", "unit")}, "__name__", "")
		}, false, stats(0, 0, 0)},
	}
	for name, bits := range map[string]uint64{"stale": value.StaleNaN, "NaN": value.NormalNaN, "+Inf": math.Float64bits(math.Inf(1)), "-Inf": math.Float64bits(math.Inf(-1))} {
		cases = append(cases, complianceCase{name, func(b *requestBuilder) { b.sample(math.Float64frombits(bits), "__name__", "up") }, true, stats(1, 0, 0)})
	}
	for typ := range writev2.Metadata_MetricType_name {
		cases = append(cases, complianceCase{"metadata type", func(b *requestBuilder) {
			b.series(writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: nowMs}}, Metadata: b.metadata(writev2.Metadata_MetricType(typ), "a\nb \"c\"", "bytes/sec")}, "__name__", "x")
		}, true, stats(1, 0, 0)})
	}
	return cases
}

func TestCompliance(t *testing.T) {
	for _, tc := range complianceCases() {
		t.Run(tc.name, func(t *testing.T) {
			b := requestBuilder{symbols: writev2.NewSymbolTable()}
			tc.add(&b)
			b.req.Symbols = b.symbols.Symbols()
			var w recorder
			stats, again, err := send(t, &w, remote.WriteV2MessageType, &b.req)
			if (err == nil) != tc.ok || again {
				t.Errorf("got %v, again %v", err, again)
			}
			if stats.Samples != tc.stats.Samples || stats.Histograms != tc.stats.Histograms || stats.Exemplars != tc.stats.Exemplars {
				t.Errorf("the sender counts %+v, want %+v", stats, tc.stats)
			}
			var got remote.WriteResponseStats
			for _, b := range w.batches { // what was really handed on
				got.Samples += b.Samples.Len()
				got.Histograms += len(b.Histograms)
				got.Exemplars += len(b.Exemplars)
			}
			if got.Samples != tc.stats.Samples || got.Histograms != tc.stats.Histograms || got.Exemplars != tc.stats.Exemplars {
				t.Errorf("written was %+v, want %+v", got, tc.stats)
			}
		})
	}
}

// TestSenderRetriesWhatFailedAndNothingElse checks what a real sender makes of the answers.
func TestSenderRetriesWhatFailedAndNothingElse(t *testing.T) {
	req := &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{seriesV1(nowMs, 1, "__name__", "up")}}
	for name, tc := range map[string]struct {
		err   error
		again bool
	}{"unavailable": {errors.New("no"), true}, "limit": {store.Limitf("no"), true}, "invalid": {store.Invalidf("no"), false}, "fine": {nil, false}} {
		w := store.WriterFunc(func(context.Context, *store.Batch) error { return tc.err })
		if _, again, err := send(t, w, remote.WriteV1MessageType, req); again != tc.again || (err == nil) != (tc.err == nil) {
			t.Errorf("%s: again %v, %v", name, again, err)
		}
	}
}
