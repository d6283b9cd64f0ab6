package bench

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// point is one decoded sample.
type point struct {
	labels string
	timeMs int64
	value  float64
}

// decode reads a request with the generated types, as a receiver does.
func decode(t testing.TB, protocol string, compressed []byte) (points []point, metadata []prompb.MetricMetadata) {
	t.Helper()
	raw, err := snappy.Decode(nil, compressed)
	if err != nil {
		t.Fatal(err)
	}
	if protocol == Protocol1 {
		var req prompb.WriteRequest
		if err := req.Unmarshal(raw); err != nil {
			t.Fatal(err)
		}
		for _, ts := range req.Timeseries {
			b := labels.NewScratchBuilder(0)
			for _, s := range ts.Samples {
				points = append(points, point{ts.ToLabels(&b, nil).String(), s.Timestamp, s.Value})
			}
		}
		return points, req.Metadata
	}
	var req writev2.Request
	if err := req.Unmarshal(raw); err != nil {
		t.Fatal(err)
	}
	if req.Symbols[0] != "" {
		t.Fatalf("symbols[0] is %q, want the empty string", req.Symbols[0])
	}
	for _, ts := range req.Timeseries {
		b := labels.NewScratchBuilder(0)
		ls, err := ts.ToLabels(&b, req.Symbols)
		if err != nil {
			t.Fatal(err)
		}
		m, err := ts.ToMetadata(req.Symbols)
		if err != nil {
			t.Fatal(err)
		}
		metadata = append(metadata, prompb.MetricMetadata{MetricFamilyName: ls.Get("__name__"), Help: m.Help, Unit: m.Unit, Type: prompb.FromMetadataType(m.Type)})
		for _, s := range ts.Samples {
			points = append(points, point{ls.String(), s.Timestamp, s.Value})
		}
	}
	return points, metadata
}

func encodeAll(protocol string, f *fleetSeries, timeMs int64) []byte {
	e := newEncoder(protocol, f.symbols)
	e.reset()
	for i := range f.series {
		e.add(&f.series[i].feed, timeMs, f.series[i].walk.next())
	}
	compressed, _ := e.request()
	return compressed
}

func TestBothProtocolsCarryTheSameSamples(t *testing.T) {
	const n = 3000
	one, _ := decode(t, Protocol1, encodeAll(Protocol1, newFleet(7, n), 1_700_000_000_000))
	two, meta := decode(t, Protocol2, encodeAll(Protocol2, newFleet(7, n), 1_700_000_000_000))
	if len(one) != n || !slices.Equal(one, two) {
		t.Fatalf("1.0 carries %d samples, 2.0 %d, want the same %d", len(one), len(two), n)
	}
	if meta[0].MetricFamilyName != "node_cpu_seconds_total" || meta[0].Type != prompb.MetricMetadata_COUNTER || meta[0].Unit != "seconds" || meta[0].Help == "" {
		t.Errorf("metadata of the first series is %+v", meta[0])
	}
}

func TestEncoderKeepsNothingOfTheRequestBefore(t *testing.T) {
	f := newFleet(7, 500)
	e := newEncoder(Protocol2, f.symbols)
	for _, rows := range [][]series{f.series[:300], f.series[250:]} {
		e.reset()
		for i := range rows {
			e.add(&rows[i].feed, 5, 1)
		}
		compressed, _ := e.request()
		points, _ := decode(t, Protocol2, compressed)
		for i := range points {
			if want := toLabels(&rows[i]).String(); points[i].labels != want {
				t.Fatalf("series %d is %s, want %s", i, points[i].labels, want)
			}
		}
	}
}

func TestSampleValuesSurvive(t *testing.T) {
	s := &newFleet(1, 1).series[0]
	for _, protocol := range []string{Protocol1, Protocol2} {
		for _, v := range []float64{0, 1, -1.5, math.MaxFloat64, 5e-324, math.Inf(1)} {
			e := newEncoder(protocol, newFleet(1, 1).symbols)
			e.reset()
			e.add(&s.feed, 1, v)
			compressed, _ := e.request()
			points, _ := decode(t, protocol, compressed)
			if len(points) != 1 || points[0].value != v || points[0].timeMs != 1 {
				t.Errorf("protocol %s: %v became %v", protocol, v, points)
			}
		}
	}
}

func TestMetadataRequest(t *testing.T) {
	f := newFleet(1, 2000)
	var raw []byte
	for _, m := range f.families {
		raw = appendMetadata1(raw, m)
	}
	_, got := decode(t, Protocol1, snappy.Encode(nil, raw))
	if len(got) != len(f.families) {
		t.Fatalf("%d families, want %d", len(got), len(f.families))
	}
	for i, m := range got {
		if f := f.families[i]; m.MetricFamilyName != f.name || m.Help != f.help || m.Unit != f.unit || uint32(m.Type) != f.typ {
			t.Errorf("family %+v became %+v", f, m)
		}
	}
}

func toLabels(s *series) labels.Labels {
	b := labels.NewScratchBuilder(len(s.labels))
	for _, l := range s.labels {
		b.Add(l.name, l.value)
	}
	return b.Labels()
}

func TestSqueezeIsSnappy(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, sizes := range [][]int{{}, {1}, {100, 0, 5}, {squeezeBlock}, {squeezeBlock - 1, 2, 3 * squeezeBlock}, {10 * squeezeBlock, 127}} {
		var q squeeze
		for range 2 { // the second time with the memory of the first
			var want []byte
			q.reset()
			for _, n := range sizes {
				part := make([]byte, n)
				for i := range part {
					part[i] = byte(rng.IntN(4))
				}
				q.add(part)
				want = append(want, part...)
			}
			got, err := snappy.Decode(nil, q.finish())
			if err != nil || !bytes.Equal(got, want) || q.raw != len(want) {
				t.Errorf("parts %v: %d bytes of %d (%v)", sizes, len(got), len(want), err)
			}
		}
	}
}

// benchmarkEncode builds requests as a run of 10,000 series in 8 shards does.
func benchmarkEncode(b *testing.B, protocol string) {
	const shards = 8
	f := newFleet(1, 10_000)
	var encoders []encoder
	var feeds [][]feed
	for i := range shards {
		encoders, feeds = append(encoders, newEncoder(protocol, f.symbols)), append(feeds, f.shard(i, shards))
	}
	raw, wire, next, n := 0, 0, [shards]int{}, 0
	began := ownCPU()
	for b.Loop() {
		e, mine, k := encoders[n%shards], feeds[n%shards], &next[n%shards]
		n++
		e.reset()
		for range 2000 {
			one := &mine[*k]
			e.add(one, 1_700_000_000_000, one.walk.next())
			*k = (*k + 1) % len(mine)
		}
		compressed, size := e.request()
		raw, wire = size, len(compressed)
	}
	b.ReportMetric(float64(ownCPU()-began)/float64(b.N)/2000, "cpu-ns/sample")
	b.ReportMetric(float64(wire)/2000, "wire-B/sample")
	b.ReportMetric(float64(raw)/2000, "raw-B/sample")
}

func BenchmarkEncode1(b *testing.B) { benchmarkEncode(b, Protocol1) }
func BenchmarkEncode2(b *testing.B) { benchmarkEncode(b, Protocol2) }
