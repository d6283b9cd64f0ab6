package codec

import (
	"fmt"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"golang.org/x/sys/unix"
)

const benchSeries = 2000

// benchLabels are twelve labels as a node exporter in Kubernetes has them.
func benchLabels(i int) []prompb.Label {
	return []prompb.Label{
		{Name: "__name__", Value: fmt.Sprintf("node_network_receive_bytes_%d_total", i/40)},
		{Name: "cluster", Value: "eu-west-1-production"},
		{Name: "container", Value: "node-exporter"},
		{Name: "device", Value: fmt.Sprintf("eth%d", i%8)},
		{Name: "endpoint", Value: "http-metrics"},
		{Name: "instance", Value: fmt.Sprintf("10.42.%d.%d:9100", i%5, i%40)},
		{Name: "job", Value: "monitoring/node-exporter"},
		{Name: "namespace", Value: "monitoring"},
		{Name: "node", Value: fmt.Sprintf("ip-10-42-%d-%d.eu-west-1.compute.internal", i%5, i%40)},
		{Name: "pod", Value: fmt.Sprintf("node-exporter-%05x", i%40*7919)},
		{Name: "prometheus", Value: "monitoring/k8s"},
		{Name: "service", Value: "node-exporter"},
	}
}

func benchV1(b *testing.B) []byte {
	var req prompb.WriteRequest
	for i := range benchSeries {
		req.Timeseries = append(req.Timeseries, prompb.TimeSeries{
			Labels:  benchLabels(i),
			Samples: []prompb.Sample{{Timestamp: testNowMs + int64(i%1000), Value: float64(i*i) + 0.25}},
		})
	}
	raw, err := req.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	return snappy.Encode(nil, raw)
}

func benchV2(b *testing.B) []byte {
	var req writev2.Request
	symbols := writev2.NewSymbolTable()
	for i := range benchSeries {
		ts := writev2.TimeSeries{
			Samples:  []writev2.Sample{{Timestamp: testNowMs + int64(i%1000), Value: float64(i*i) + 0.25, StartTimestamp: testNowMs - 3600_000}},
			Metadata: writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_COUNTER, HelpRef: symbols.Symbolize("Bytes received.")},
		}
		for _, l := range benchLabels(i) {
			ts.LabelsRefs = append(ts.LabelsRefs, symbols.Symbolize(l.Name), symbols.Symbolize(l.Value))
		}
		req.Timeseries = append(req.Timeseries, ts)
	}
	req.Symbols = symbols.Symbols()
	raw, err := req.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	return snappy.Encode(nil, raw)
}

func BenchmarkDecodeV1(b *testing.B) {
	body := benchV1(b)
	b.Run("ours", func(b *testing.B) { benchOurs(b, V1, body) })
	b.Run("elected", func(b *testing.B) { benchPair(b, V1, body, false) })
	b.Run("duplicates", func(b *testing.B) { benchPair(b, V1, body, true) })
	b.Run("generated", func(b *testing.B) { benchGenerated(b, body, func() message { return &prompb.WriteRequest{} }) })
	b.Run("snappy", func(b *testing.B) { benchSnappy(b, body) })
}

func BenchmarkDecodeV2(b *testing.B) {
	body := benchV2(b)
	b.Run("ours", func(b *testing.B) { benchOurs(b, V2, body) })
	b.Run("elected", func(b *testing.B) { benchPair(b, V2, body, false) })
	b.Run("duplicates", func(b *testing.B) { benchPair(b, V2, body, true) })
	b.Run("generated", func(b *testing.B) { benchGenerated(b, body, func() message { return &writev2.Request{} }) })
	b.Run("snappy", func(b *testing.B) { benchSnappy(b, body) })
}

// benchOurs measures the steady state: every series has been seen before. Snappy is included.
func benchOurs(b *testing.B, v Version, body []byte) {
	benchSteady(b, NewDecoder(testLimits(), NewCache(1<<20, 3600_000)), v, body, nil)
}

// benchPair is benchOurs for replicas of pairs: one that is taken, and one that is dropped.
func benchPair(b *testing.B, v Version, body []byte, duplicate bool) {
	d := NewDecoder(testLimits(), NewCache(1<<20, 3600_000))
	d.DetectPairs(PairLabels{Cluster: "cluster", Replica: "prometheus"})
	benchSteady(b, d, v, body, func(Pair) (bool, error) { return duplicate, nil })
}

func benchSteady(b *testing.B, d *Decoder, v Version, body []byte, judge func(Pair) (bool, error)) {
	r := Request{Judge: judge}
	var buf []byte
	decode := func() {
		var err error
		if buf, err = snappy.Decode(buf[:cap(buf)], body); err != nil {
			b.Fatal(err)
		}
		if err := d.Decode(&r, v, "anonymous", buf, testNowMs); err != nil {
			b.Fatal(err)
		}
		if r.Accepted.Samples+r.Duplicates.Samples != benchSeries || r.Rejected.Total() != 0 {
			b.Fatalf("decoded %d samples, refused %s", r.Batch.Samples.Len(), r.Rejected.String())
		}
		r.Commit()
	}
	decode()
	since := cpuTime(b)
	b.ReportAllocs()
	for b.Loop() {
		decode()
	}
	perSample(b, since)
}

type message interface{ Unmarshal([]byte) error }

func benchGenerated(b *testing.B, body []byte, newMessage func() message) {
	var buf []byte
	since := cpuTime(b)
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = snappy.Decode(buf[:cap(buf)], body); err != nil {
			b.Fatal(err)
		}
		if err := newMessage().Unmarshal(buf); err != nil {
			b.Fatal(err)
		}
	}
	perSample(b, since)
}

func benchSnappy(b *testing.B, body []byte) {
	var buf []byte
	since := cpuTime(b)
	for b.Loop() {
		var err error
		if buf, err = snappy.Decode(buf[:cap(buf)], body); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(buf)))
	perSample(b, since)
}

// cpuTime is what the process has used: on a busy machine it says more than the clock.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func perSample(b *testing.B, since time.Duration) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchSeries, "ns/sample")
	b.ReportMetric(float64(cpuTime(b)-since)/float64(b.N)/benchSeries, "cpu-ns/sample")
}

// BenchmarkFirstSight decodes series that the cache has never seen: what a restart costs.
func BenchmarkFirstSight(b *testing.B) {
	raw, err := snappy.Decode(nil, benchV1(b))
	if err != nil {
		b.Fatal(err)
	}
	var r Request
	since := cpuTime(b)
	b.ReportAllocs()
	for b.Loop() {
		d := NewDecoder(testLimits(), NewCache(1<<20, 3600_000))
		if err := d.Decode(&r, V1, "anonymous", raw, testNowMs); err != nil {
			b.Fatal(err)
		}
	}
	perSample(b, since)
}
