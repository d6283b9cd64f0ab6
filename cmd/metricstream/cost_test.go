package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/metricstream/metricstream/cmd/metricstream/internal/config"
	"github.com/metricstream/metricstream/cmd/metricstream/internal/web"
	"github.com/metricstream/metricstream/pii"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant/db"
	"github.com/prometheus/prometheus/prompb"
)

// BenchmarkGuarded is what the edge does with requests of series that it knows, with everything off and with API keys,
// limits and all detectors of personal data on. The two take turns, so that both have the same of a busy machine; what is
// measured is the time of the processors. The log and the tables, which take most of the time of a sample, are not part of it.
func BenchmarkGuarded(b *testing.B) {
	off, on := newEdge(b, func(*config.Config) {}), newEdge(b, everythingOn)
	ends := map[*edge]time.Duration{}
	body := steadyRequest(b)
	turns := []*edge{off, on}
	for b.Loop() {
		slices.Reverse(turns) // the first of a pair finds the caches cold
		for _, e := range turns {
			begin := processorTime(b)
			for range 50 {
				e.post(b, body)
			}
			ends[e] += processorTime(b) - begin
		}
	}
	samples := float64(b.N) * 50 * steadySeries
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(ends[off].Nanoseconds())/samples, "off-ns/sample")
	b.ReportMetric(float64(ends[on].Nanoseconds())/samples, "on-ns/sample")
	b.ReportMetric(100*(float64(ends[on])/float64(ends[off])-1), "%more")
}

func everythingOn(c *config.Config) {
	c.Auth.Enabled = true
	c.Limits.SamplesPerSecond = 1 << 40
	c.Limits.ActiveSeries, c.Limits.NewSeriesPerMinute = 1<<40, 1<<40
	c.Limits.LabelsPerSeries, c.Limits.LabelNameBytes, c.Limits.LabelValueBytes, c.Limits.RequestBytes = 30, 200, 2000, 10<<20
	for _, name := range pii.Names() {
		c.PII.Detectors[name] = pii.Mask
	}
}

// edge is the write path of a process up to the log.
type edge struct {
	*guarded
	token string
}

func newEdge(b *testing.B, change func(*config.Config)) *edge {
	b.Helper()
	e := &edge{guarded: startNode(b, change)}
	_, e.token = e.key(b, db.Spec{Tenant: "a", Scopes: []string{"write"}})
	e.registry, e.mux = newRegistry(), web.NewRouter(e.guard)
	e.serveWrites(store.WriterFunc(func(context.Context, *store.Batch) error { return nil }))
	return e
}

func (e *edge) post(b *testing.B, body []byte) {
	r := httptest.NewRequest(http.MethodPost, "/api/v1/write", bytes.NewReader(body))
	r.SetBasicAuth("prometheus", e.token)
	w := httptest.NewRecorder()
	if e.mux.ServeHTTP(w, r); w.Code != http.StatusNoContent {
		b.Fatal(w.Code, w.Body)
	}
}

// steadySeries is what Prometheus sends at once unless told otherwise.
const steadySeries = 2000

func steadyRequest(b *testing.B) []byte {
	b.Helper()
	var req prompb.WriteRequest
	for i := range steadySeries {
		s := prompb.TimeSeries{Samples: []prompb.Sample{{Timestamp: time.Now().UnixMilli(), Value: float64(i)}}}
		for _, l := range [][2]string{{"__name__", "node_cpu_seconds_total"}, {"cpu", fmt.Sprint(i % 64)}, {"host", fmt.Sprintf("node-%d", i/64)}, {"job", "node-exporter"}, {"mode", "idle"}} {
			s.Labels = append(s.Labels, prompb.Label{Name: l[0], Value: l[1]})
		}
		req.Timeseries = append(req.Timeseries, s)
	}
	raw, err := req.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	return snappy.Encode(nil, raw)
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
