package record

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/store"
)

// everything is a batch with every kind of row.
func everything() *store.Batch {
	up := labels.FromStrings("__name__", "up", "instance", "a:1", "job", "node")
	reqs := labels.FromStrings("__name__", "requests_total", "instance", "a:1", "job", "node")
	k1, k2 := store.KeyOf("t1", up), store.KeyOf("t2", reqs)
	b := &store.Batch{
		Series: []store.Series{
			{Tenant: "t1", Key: k1, Labels: up, MinMs: 1_700_000_000_000, MaxMs: 1_700_000_015_000, Has: store.HasHistograms},
			{Tenant: "t2", Key: k2, Labels: reqs, MinMs: -5, MaxMs: -5, Has: store.HasStarts},
		},
		Starts:     []store.Start{{Key: k2, TimeMs: 1_700_000_000_000, StartMs: 1_699_999_000_000}},
		Histograms: []store.Histogram{{Key: k1, TimeMs: 7, Count: 3, Sum: math.Copysign(0, -1), Blob: []byte("blob")}, {Key: k1, TimeMs: 9}},
		Exemplars:  []store.Exemplar{{Key: k2, TimeMs: 11, Value: 0.5, Labels: labels.FromStrings("trace_id", "abc")}},
		Metadata:   []store.Metadata{{Tenant: "t1", Name: "up", Type: "gauge", Help: "Whether it is up.", Unit: ""}},
	}
	for i, v := range []float64{1, 0.5, math.NaN(), math.Copysign(0, -1), 1e300, -12.25} {
		d, _ := store.DecimalOf(v, 0)
		k := k1
		if i%3 == 2 {
			k = k2
		}
		b.Samples.Append(k, 1_700_000_000_000+int64(i)*15_000, d)
	}
	return b
}

// scrape is what one partition gets of a request: n series with a sample each, some of a metric.
func scrape(n int) *store.Batch {
	r := rand.New(rand.NewPCG(1, 2))
	b := &store.Batch{}
	for i := range n {
		k := store.Key{Metric: uint32(1000 + i/10), ID: r.Uint64()}
		d, _ := store.DecimalOf(float64(r.IntN(1_000_000))/float64(1+99*(i/10%2)), 0)
		b.Samples.Append(k, 1_700_000_000_000+int64(i/200), d)
	}
	return b
}

var equal = cmp.Options{cmpopts.EquateEmpty(), cmp.Comparer(func(a, b labels.Labels) bool { return labels.Equal(a, b) })}

func encode(b *store.Batch) []byte { var e Encoder; return e.Append(nil, b) }

func TestRoundTrip(t *testing.T) {
	for name, want := range map[string]*store.Batch{"empty": {}, "everything": everything(), "scrape": scrape(1000)} {
		t.Run(name, func(t *testing.T) {
			var got store.Batch
			var d Decoder
			if err := d.Decode(&got, encode(want)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, &got, equal); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeAppends(t *testing.T) {
	var got store.Batch
	var d Decoder
	for range 2 {
		if err := d.Decode(&got, encode(everything())); err != nil {
			t.Fatal(err)
		}
	}
	if got.Samples.Len() != 12 || len(got.Series) != 4 || len(got.Histograms) != 4 || got.Series[2].Tenant != "t1" {
		t.Errorf("two records gave %d samples, %d series, %d histograms", got.Samples.Len(), len(got.Series), len(got.Histograms))
	}
}

func TestBytesEachSample(t *testing.T) {
	b := scrape(250)
	if size := float64(len(encode(b))) / 250; size > 16 {
		t.Errorf("a sample takes %.1f bytes, at most 16 are wanted", size)
	} else {
		t.Logf("%.1f bytes a sample", size)
	}
}

func TestUnknownVersion(t *testing.T) {
	data := encode(everything())
	data[0] = 3
	var got store.Batch
	var d Decoder
	var v *VersionError
	if err := d.Decode(&got, data); !errors.As(err, &v) || v.Version != 3 || errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v, want a VersionError", err)
	}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	data := encode(everything())
	var d Decoder
	got := *everything()
	for n := range data {
		if err := d.Decode(&got, data[:n]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%d of %d bytes: got %v, want ErrCorrupt", n, len(data), err)
		}
		if diff := cmp.Diff(everything(), &got, equal); diff != "" {
			t.Fatalf("%d of %d bytes changed the batch: %s", n, len(data), diff)
		}
	}
	if err := d.Decode(&got, append(data, 0)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a byte too many: got %v, want ErrCorrupt", err)
	}
}

func TestHostileLengthsReserveNothing(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}
	whole := encode(&store.Batch{})
	for i := 1; i < len(whole); i++ {
		data := append(append([]byte{}, whole[:i]...), huge...)
		data = append(data, make([]byte, 1000)...)
		allocs := testing.AllocsPerRun(1, func() {
			var d Decoder
			if err := d.Decode(&store.Batch{}, data); !errors.Is(err, ErrCorrupt) {
				t.Errorf("length at byte %d: got %v, want ErrCorrupt", i, err)
			}
		})
		if allocs > 20 {
			t.Errorf("length at byte %d: %v allocations", i, allocs)
		}
	}
}

func TestLabelsMustAscend(t *testing.T) {
	b := &store.Batch{Series: []store.Series{{Tenant: "t", Labels: labels.New(labels.Label{Name: "a", Value: "1"})}}}
	data := encode(b)
	data = append(data[:len(data)-7], 2, 1, 2, 1, 2, 0, 0, 0, 0, 0) // the same label twice
	var d Decoder
	if err := d.Decode(&store.Batch{}, data); !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v, want ErrCorrupt", err)
	}
}

func BenchmarkEncode(b *testing.B) {
	batch := scrape(1000)
	var e Encoder
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = e.Append(buf[:0], batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/sample")
	b.ReportMetric(float64(len(buf))/1000, "B/sample")
}

func BenchmarkDecode(b *testing.B) {
	data := encode(scrape(1000))
	var d Decoder
	var batch store.Batch
	b.ReportAllocs()
	for b.Loop() {
		batch.Reset()
		if err := d.Decode(&batch, data); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/sample")
}
