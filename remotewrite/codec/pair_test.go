package codec

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/metricstream/metricstream/store"
)

func newPairDecoder() *Decoder {
	d := newDecoder()
	d.DetectPairs(PairLabels{Cluster: "cluster", Replica: "__replica__"})
	return d
}

// electing is a Judge for which one replica of each cluster is elected.
func electing(replica string) func(Pair) (bool, error) {
	return func(p Pair) (bool, error) { return p.Replica != replica, nil }
}

func decodeJudged(t testing.TB, d *Decoder, v Version, body []byte, judge func(Pair) (bool, error)) *Request {
	t.Helper()
	r := Request{Judge: judge}
	if err := d.Decode(&r, v, testTenant, body, testNowMs); err != nil {
		t.Fatal(err)
	}
	return &r
}

var pairHistogram = &histogram.Histogram{Schema: 1, Count: 3, Sum: 3, ZeroThreshold: 0.01, ZeroCount: 1,
	PositiveSpans: []histogram.Span{{Length: 2}}, PositiveBuckets: []int64{1, 0}}

// everyForm is a request with every form of series, each with these labels more; the series have 3 samples, 2
// histograms and 1 exemplar.
func everyForm(t testing.TB, v Version, more ...string) []byte {
	with := func(name string) []string { return append([]string{"__name__", name, "job", "x"}, more...) }
	floats := pairHistogram.ToFloat(nil)
	if v == V1 {
		return requestV1(t,
			floatV1(testNowMs, 1, with("float")...),
			prompb.TimeSeries{Labels: labelsV1(with("exemplar")...), Samples: []prompb.Sample{{Timestamp: testNowMs}, {Timestamp: testNowMs + 1}},
				Exemplars: []prompb.Exemplar{{Timestamp: testNowMs, Value: 1, Labels: labelsV1("trace_id", "1")}}},
			prompb.TimeSeries{Labels: labelsV1(with("histogram")...), Histograms: []prompb.Histogram{prompb.FromIntHistogram(testNowMs, pairHistogram)}},
			prompb.TimeSeries{Labels: labelsV1(with("float_histogram")...), Histograms: []prompb.Histogram{prompb.FromFloatHistogram(testNowMs, floats)}},
		)
	}
	b := newBuilderV2()
	b.add(writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: testNowMs, Value: 1, StartTimestamp: testNowMs - 1000}}}, with("float")...)
	b.add(writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: testNowMs}, {Timestamp: testNowMs + 1}},
		Exemplars: []writev2.Exemplar{{Timestamp: testNowMs, Value: 1, LabelsRefs: b.refs("trace_id", "1")}}}, with("exemplar")...)
	b.add(writev2.TimeSeries{Histograms: []writev2.Histogram{writev2.FromIntHistogram(0, testNowMs, pairHistogram)}}, with("histogram")...)
	b.add(writev2.TimeSeries{Histograms: []writev2.Histogram{writev2.FromFloatHistogram(0, testNowMs, floats)}}, with("float_histogram")...)
	b.add(writev2.TimeSeries{Metadata: writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_GAUGE}}, with("metadata")...)
	return b.bytes(t)
}

var everyFormHas = Counts{Samples: 3, Histograms: 2, Exemplars: 1}

// batches compares batches.
var batches = cmp.Options{cmp.Comparer(labels.Equal), cmpopts.EquateEmpty()}

func kinds(c Counts) Counts {
	c.Metadata = 0 // comes with some forms only
	return c
}

// TestReplicaLabelIsDropped decodes what two replicas send, twice so that the second time comes from the cache: the
// series of the elected one are those of a sender without the label, and of the other one nothing is left.
func TestReplicaLabelIsDropped(t *testing.T) {
	for _, v := range versions {
		plain := decode(t, newDecoder(), v, everyForm(t, v, "cluster", "c"))
		d := newPairDecoder()
		for round := range 2 {
			name := fmt.Sprintf("v%d, round %d", v, round)
			got := decodeJudged(t, d, v, everyForm(t, v, "cluster", "c", "__replica__", "a"), electing("a"))
			if diff := cmp.Diff(plain.Batch, got.Batch, batches); diff != "" {
				t.Errorf("%s: the elected replica's batch differs from that of a sender without the label (-want +got):\n%s", name, diff)
			}
			if kinds(got.Accepted) != everyFormHas || got.Duplicates != (Counts{}) || got.Rejected.Total() != 0 {
				t.Errorf("%s: accepted %+v, duplicates %+v, refused %s", name, got.Accepted, got.Duplicates, got.Rejected.String())
			}
			dropped := decodeJudged(t, d, v, everyForm(t, v, "cluster", "c", "__replica__", "b"), electing("a"))
			if !dropped.Batch.Empty() || dropped.Accepted != (Counts{}) || dropped.Duplicates != everyFormHas || dropped.Rejected.Total() != 0 {
				t.Errorf("%s: of the other one accepted %+v, duplicates %+v, refused %s, batch %+v", name,
					dropped.Accepted, dropped.Duplicates, dropped.Rejected.String(), dropped.Batch)
			}
		}
		if n := d.cache.Stats().Series; n != 4 && n != 5 {
			t.Errorf("v%d: %d series in the cache: those of the replicas are not the same", v, n)
		}
	}
}

// TestKeyWithoutReplica checks the labels and the key themselves, the labels being unsorted on the wire.
func TestKeyWithoutReplica(t *testing.T) {
	want := labels.FromStrings("__name__", "up", "cluster", "c", "job", "x")
	body := requestV1(t, floatV1(testNowMs, 1, "job", "x", "__replica__", "a", "cluster", "c", "__name__", "up"))
	r := decodeJudged(t, newPairDecoder(), V1, body, electing("a"))
	if s := r.Batch.Series; len(s) != 1 || !labels.Equal(s[0].Labels, want) || s[0].Key != store.KeyOf(testTenant, want) {
		t.Errorf("got %+v", s)
	}
}

// TestNoPair checks that a series without one of the two labels is stored as it is, and nobody is asked.
func TestNoPair(t *testing.T) {
	for _, more := range [][]string{nil, {"cluster", "c"}, {"__replica__", "a"}, {"cluster", "", "__replica__", "a"}, {"cluster", "c", "__replica__", ""}} {
		for _, v := range versions {
			body := everyForm(t, v, more...)
			want := decode(t, newDecoder(), v, body)
			got := decodeJudged(t, newPairDecoder(), v, body, func(p Pair) (bool, error) {
				t.Errorf("v%d %q: asked about %+v", v, more, p)
				return true, nil
			})
			if diff := cmp.Diff(want.Batch, got.Batch, batches); diff != "" {
				t.Errorf("v%d %q: (-want +got):\n%s", v, more, diff)
			}
		}
	}
}

// TestMixedRequest has series of several pairs, and of none, in one request: each is judged by its own.
func TestMixedRequest(t *testing.T) {
	body := requestV1(t,
		floatV1(testNowMs, 1, "__name__", "m", "i", "1", "cluster", "c", "__replica__", "a"),
		floatV1(testNowMs, 1, "__name__", "m", "i", "2", "cluster", "c", "__replica__", "a"),
		floatV1(testNowMs, 1, "__name__", "m", "i", "3", "cluster", "c", "__replica__", "b"),
		floatV1(testNowMs, 1, "__name__", "m", "i", "4", "cluster", "d", "__replica__", "b"),
		floatV1(testNowMs, 1, "__name__", "m", "i", "5"),
		floatV1(testNowMs, 1, "i", "6", "cluster", "c", "__replica__", "b"),
	)
	var asked []Pair
	elected := map[Pair]bool{{"c", "a"}: true, {"d", "b"}: true}
	r := decodeJudged(t, newPairDecoder(), V1, body, func(p Pair) (bool, error) {
		asked = append(asked, p)
		return !elected[p], nil
	})
	var got []string
	for _, s := range r.Batch.Series {
		got = append(got, s.Labels.Get("i"))
	}
	if strings.Join(got, " ") != "1 2 4 5" || r.Duplicates != (Counts{Samples: 1}) || r.Rejected.Count(NoMetricName) != 1 {
		t.Errorf("series %v, duplicates %+v, refused %s", got, r.Duplicates, r.Rejected.String())
	}
	if diff := cmp.Diff([]Pair{{"c", "a"}, {"c", "b"}, {"d", "b"}}, asked); diff != "" {
		t.Errorf("asked: %s", diff)
	}
}

// TestJudgeFails checks that nothing of a request is written whose pairs cannot be judged.
func TestJudgeFails(t *testing.T) {
	for _, v := range versions {
		d, body := newPairDecoder(), everyForm(t, v, "cluster", "c", "__replica__", "a")
		want := errors.New("too many clusters")
		for range 2 {
			r := Request{Judge: func(Pair) (bool, error) { return false, want }}
			if err := d.Decode(&r, v, testTenant, body, testNowMs); !errors.Is(err, want) {
				t.Errorf("v%d: got %v", v, err)
			}
		}
	}
}

// TestDuplicatesCountAgainstTheLimit checks that what is dropped is bounded too.
func TestDuplicatesCountAgainstTheLimit(t *testing.T) {
	limits := testLimits()
	limits.Points = 5
	for _, v := range versions {
		d := NewDecoder(limits, NewCache(100, 3600_000))
		d.DetectPairs(PairLabels{Cluster: "cluster", Replica: "__replica__"})
		r := Request{Judge: electing("a")}
		err := d.Decode(&r, v, testTenant, everyForm(t, v, "cluster", "c", "__replica__", "b"), testNowMs)
		if !errors.Is(err, ErrTooMuch) {
			t.Errorf("v%d: got %v", v, err)
		}
	}
}

// FuzzDuplicates decodes any bytes as the request of a replica that is not elected: what is refused as broken is so
// for the elected one too, except for what stands inside the points, and nothing is taken.
func FuzzDuplicates(f *testing.F) {
	for _, v := range versions {
		f.Add(int(v), everyForm(f, v, "cluster", "c", "__replica__", "b"))
		f.Add(int(v), everyForm(f, v, "cluster", "c"))
	}
	f.Fuzz(func(t *testing.T, version int, body []byte) {
		v := versions[version&1]
		d := newPairDecoder()
		var taken, dropped Request
		taken.Judge = func(Pair) (bool, error) { return false, nil }
		dropped.Judge = func(Pair) (bool, error) { return true, nil }
		takenErr := d.Decode(&taken, v, testTenant, body, testNowMs)
		droppedErr := d.Decode(&dropped, v, testTenant, body, testNowMs)
		if takenErr == nil && droppedErr != nil {
			t.Fatalf("dropped: %v, taken without an error", droppedErr)
		}
		if takenErr == nil && kinds(dropped.Accepted.Plus(dropped.Duplicates)).Total() < kinds(taken.Accepted).Total() {
			t.Fatalf("accepted %+v and duplicates %+v, without duplicates it is %+v", dropped.Accepted, dropped.Duplicates, taken.Accepted)
		}
	})
}
