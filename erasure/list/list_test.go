package list_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/erasure/list"
	"github.com/metricstream/metricstream/store"
)

func randomKeys(rng *rand.Rand, n int) []store.Key {
	keys := make([]store.Key, n)
	for i := range keys {
		keys[i] = store.Key{Metric: uint32(rng.IntN(20)), ID: rng.Uint64()}
	}
	slices.SortFunc(keys, store.Key.Compare)
	return keys
}

func TestKeys(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	keys := randomKeys(rng, 1000)
	blob := list.AppendKeys(nil, keys)
	if len(blob) > 8*len(keys)+200 {
		t.Errorf("%d keys take %d bytes", len(keys), len(blob))
	}
	decoded, err := list.DecodeKeys(nil, blob)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(keys, decoded); diff != "" {
		t.Error(diff)
	}
	rng.Shuffle(len(decoded), func(i, j int) { decoded[i], decoded[j] = decoded[j], decoded[i] })
	set := list.NewKeys(decoded[:500])
	set.Add(decoded[500:])
	for _, k := range keys {
		if !set.Has(k) {
			t.Fatalf("%v is missing", k)
		}
		if set.Has(store.Key{Metric: k.Metric, ID: k.ID + 1}) || set.Has(store.Key{Metric: k.Metric + 100, ID: k.ID}) {
			t.Fatalf("a neighbour of %v is in the set", k)
		}
	}
	n := 0
	set.Each(func(store.Key) { n++ })
	if n != len(keys) || set.Len() != n {
		t.Errorf("%d and %d keys of %d", n, set.Len(), len(keys))
	}
	var none *list.Keys
	if none.Has(keys[0]) || none.Len() != 0 {
		t.Error("a nil set is not empty")
	}
	whole := 0
	for i := range blob {
		if _, err := list.DecodeKeys(nil, blob[:i]); err == nil {
			whole++ // a prefix of whole metrics is a list too
		}
	}
	if whole > 20 {
		t.Errorf("%d truncated lists were read", whole)
	}
}

// decimal makes values that tell samples apart.
func decimal(v int64) store.Decimal { return store.Decimal{Mant: v} }

func TestApply(t *testing.T) {
	gone, part, other := store.Key{Metric: 1, ID: 1}, store.Key{Metric: 1, ID: 2}, store.Key{Metric: 1, ID: 3}
	fill := func() *store.Batch {
		b := &store.Batch{}
		for _, k := range []store.Key{gone, part, other} {
			b.Series = append(b.Series, store.Series{Tenant: "a", Key: k})
			for _, at := range []int64{9, 10, 20, 21} {
				b.Samples.Append(k, at, decimal(at))
				b.Histograms = append(b.Histograms, store.Histogram{Key: k, TimeMs: at})
				b.Exemplars = append(b.Exemplars, store.Exemplar{Key: k, TimeMs: at})
				b.Starts = append(b.Starts, store.Start{Key: k, TimeMs: at, StartMs: at})
			}
		}
		b.Metadata = []store.Metadata{{Tenant: "a", Name: "x"}, {Tenant: "b", Name: "x"}, {Tenant: "a", Name: "y"}}
		return b
	}
	e := &list.Entry{Tenant: "a", Range: list.Range{MinMs: 10, MaxMs: 20}, Keys: list.NewKeys([]store.Key{gone, part}), Gone: list.NewKeys([]store.Key{gone}), Families: map[string]bool{"x": true}}
	b := fill()
	if n := e.Apply(b, list.Mark{}); n != 1+2*2*3+2+1 {
		t.Errorf("%d rows were removed", n)
	}
	want := &store.Batch{
		Series:   []store.Series{{Tenant: "a", Key: part}, {Tenant: "a", Key: other}},
		Metadata: []store.Metadata{{Tenant: "b", Name: "x"}, {Tenant: "a", Name: "y"}},
		Starts: []store.Start{
			{Key: gone, TimeMs: 9, StartMs: 9}, {Key: gone, TimeMs: 21, StartMs: 21},
			{Key: part, TimeMs: 9, StartMs: 9}, {Key: part, TimeMs: 21, StartMs: 10}, {Key: part, TimeMs: 21, StartMs: 20}, {Key: part, TimeMs: 21, StartMs: 21},
		},
	}
	for k, times := range map[store.Key][]int64{gone: {9, 21}, part: {9, 21}, other: {9, 10, 20, 21}} {
		for _, at := range times {
			want.Samples.Append(k, at, decimal(at))
			want.Histograms = append(want.Histograms, store.Histogram{Key: k, TimeMs: at})
			want.Exemplars = append(want.Exemplars, store.Exemplar{Key: k, TimeMs: at})
			if k == other {
				want.Starts = append(want.Starts, store.Start{Key: k, TimeMs: at, StartMs: at})
			}
		}
	}
	sortSamples(want)
	if diff := cmp.Diff(want, b, cmp.Comparer(labels.Equal)); diff != "" {
		t.Error(diff)
	}

	// Rows before the mark are of other records, and stay.
	b = fill()
	if n := e.Apply(b, list.MarkOf(b)); n != 0 {
		t.Errorf("%d rows before the mark were removed", n)
	}
	if diff := cmp.Diff(fill(), b, cmp.Comparer(labels.Equal)); diff != "" {
		t.Error(diff)
	}
	all := &list.Entry{Tenant: "a", Range: list.All(), Keys: e.Keys, Gone: e.Keys, AllFamilies: true}
	all.Apply(b, list.Mark{})
	if b.Samples.Len() != 4 || len(b.Starts) != 4 || len(b.Metadata) != 1 || len(b.Series) != 1 || !all.Range.Whole() || e.Range.Whole() {
		t.Errorf("of all time there is left %+v", b)
	}
}

// sortSamples puts rows into the order of their keys and times.
func sortSamples(b *store.Batch) {
	slices.SortFunc(b.Histograms, func(x, y store.Histogram) int { return compare(x.Key, x.TimeMs, y.Key, y.TimeMs) })
	slices.SortFunc(b.Exemplars, func(x, y store.Exemplar) int { return compare(x.Key, x.TimeMs, y.Key, y.TimeMs) })
	b.Samples.Reset()
	for _, h := range b.Histograms {
		b.Samples.Append(h.Key, h.TimeMs, decimal(h.TimeMs))
	}
}

func compare(a store.Key, x int64, b store.Key, y int64) int {
	if c := a.Compare(b); c != 0 {
		return c
	}
	return int(x - y)
}

func TestCovers(t *testing.T) {
	e := &list.Entry{Generation: "g", Ends: map[int32]int64{1: 5}}
	for _, c := range []struct {
		generation string
		partition  int32
		offset     int64
		want       bool
	}{{"g", 1, 4, true}, {"g", 1, 5, false}, {"g", 0, 0, false}, {"h", 1, 0, false}, {"g", 1, math.MaxInt64, false}} {
		if got := e.Covers(c.generation, c.partition, c.offset); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	keys := randomKeys(rng, 100_000)
	e := &list.Entry{Range: list.All(), Keys: list.NewKeys(keys[:10_000])}
	e.Gone = e.Keys
	batch := &store.Batch{}
	for _, k := range keys[90_000:] {
		batch.Samples.Append(k, 1, store.Decimal{})
	}
	b.ReportAllocs()
	for b.Loop() {
		e.Apply(batch, list.Mark{})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/sample")
}
