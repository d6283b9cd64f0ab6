package clickhouse_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse"
)

// checksums are of the rows of every table as they are when merged. When metadata was seen is not part of them.
func checksums(t *testing.T, s *clickhouse.Store) map[string]uint64 {
	t.Helper()
	out := map[string]uint64{}
	for table, columns := range map[string]string{
		"samples": "*", "starts": "*", "histograms": "*", "exemplars": "*", "series": "*", "postings": "*",
		"ingest_progress": "*", "metric_metadata": "* EXCEPT seen",
	} {
		var sum, rows uint64
		q := fmt.Sprintf("SELECT groupBitXor(cityHash64(*)), count() FROM (SELECT %s FROM %s FINAL)", columns, table)
		if err := s.Scan(context.Background(), q, &sum, &rows); err != nil {
			t.Fatalf("checksum of %s: %v", table, err)
		}
		if rows == 0 {
			t.Fatalf("table %s is empty", table)
		}
		out[table] = sum
	}
	return out
}

// mixedBatch has everything that a batch can have.
func mixedBatch(rng *rand.Rand) *store.Batch {
	b := &store.Batch{}
	for i := range 20 {
		at := int64(rng.IntN(4)-2)*dayMs + int64(rng.IntN(1000))
		one := batchOf("t", at, labels.FromStrings("__name__", fmt.Sprintf("m%d", i%3), "i", fmt.Sprint(i)))
		k := one.Series[0].Key
		one.Series[0].Has = store.HasHistograms | store.HasStarts
		b.Series = append(b.Series, one.Series...)
		for j := range 50 {
			d, _ := store.DecimalOf(rng.NormFloat64(), 0)
			b.Samples.Append(k, at+int64(j), d)
		}
		h := &histogram.Histogram{Count: uint64(i), Sum: rng.Float64()}
		b.Histograms = append(b.Histograms, store.Histogram{Key: k, TimeMs: at, Count: float64(i), Sum: h.Sum, Blob: store.AppendHistogram(nil, h)})
		b.Exemplars = append(b.Exemplars, store.Exemplar{Key: k, TimeMs: at, Value: rng.Float64(), Labels: labels.FromStrings("id", fmt.Sprint(i))})
		b.Starts = append(b.Starts, store.Start{Key: k, TimeMs: at, StartMs: at - 5})
		b.Metadata = append(b.Metadata, store.Metadata{Tenant: "t", Name: fmt.Sprintf("m%d", i%3), Type: "counter", Help: "same"})
	}
	return b
}

// Whatever is replayed, in whatever pieces, the tables hold the same rows.
func TestAReplayChangesNothing(t *testing.T) {
	s := open(t)
	rng := rand.New(rand.NewPCG(7, 7))
	var batches []*store.Batch
	for i := range 3 {
		b := mixedBatch(rng)
		b.Progress = []store.Progress{{Topic: "x", Partition: 1, NextOffset: int64(10 * (i + 1)), MaxMs: int64(i)}}
		batches = append(batches, b)
		write(t, s, b)
	}
	before := checksums(t, s)
	all := &store.Batch{}
	for _, b := range batches {
		write(t, s, b)
		all.Series = append(all.Series, b.Series...)
		for i := range b.Samples.Len() {
			all.Samples.Append(store.Key{Metric: b.Samples.Metrics[i], ID: b.Samples.IDs[i]}, b.Samples.TimesMs[i], store.Decimal{Exp: b.Samples.Exps[i], Mant: b.Samples.Mants[i]})
		}
	}
	write(t, s, all)
	if diff := cmp.Diff(before, checksums(t, s)); diff != "" {
		t.Errorf("a replay changed the tables:\n%s", diff)
	}
	if err := s.Optimize(context.Background()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, checksums(t, s)); diff != "" {
		t.Errorf("a merge changed the tables:\n%s", diff)
	}
	if at, err := s.Progress(context.Background(), "x", ""); err != nil || at[1] != 30 {
		t.Errorf("progress %v, %v", at, err)
	}
}

// SQL sees the same bits as Go, through the column value and through the view.
func TestValuesInSQL(t *testing.T) {
	s := open(t)
	b := batchOf("t", 0, labels.FromStrings("__name__", "m", "a", "b"))
	b.Samples.Reset()
	rng := rand.New(rand.NewPCG(3, 3))
	values := []float64{0, math.Copysign(0, -1), 12.5, 0.1, 1e-17, 1.0 / 3, math.Inf(-1), math.Float64frombits(0x7ff0000000000002), math.Float64frombits(0x7ff8dead0000beef)}
	for i := range 500 {
		values = append(values, float64(rng.Int64N(1e15))/math.Pow10(i%18))
	}
	for i, v := range values {
		d, _ := store.DecimalOf(v, 0)
		b.Samples.Append(b.Series[0].Key, int64(i), d)
	}
	write(t, s, b)
	for _, from := range []string{"samples", "samples_of(tenant = 't', name = 'm')"} {
		var bits []uint64
		if err := s.Scan(context.Background(), "SELECT groupArray(bits) FROM (SELECT reinterpretAsUInt64(value) AS bits FROM "+from+" ORDER BY ts)", &bits); err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			if i >= len(bits) || math.Float64bits(v) != bits[i] {
				t.Fatalf("%s: value %d, %v, is not the same", from, i, v)
			}
		}
	}
	var label string
	if err := s.Scan(context.Background(), "SELECT any(labels['a']) FROM samples_of(tenant = 't', name = 'm')", &label); err != nil || label != "b" {
		t.Errorf("label %q, %v", label, err)
	}
}

// A backfill of more days than ClickHouse takes partitions in one insert.
func TestBackfillOf300Days(t *testing.T) {
	s := open(t)
	m := labels.FromStrings("__name__", "m")
	b := batchOf("t", 0, m)
	b.Samples.Reset()
	b.Series[0].MaxMs = 300 * dayMs
	for i := range int64(600) {
		b.Samples.Append(b.Series[0].Key, i*dayMs/2, store.Decimal{Mant: i})
	}
	write(t, s, b)
	sel := everything("t", equal("__name__", "m"))
	if got := selectAll(t, s, sel); len(got) != 1 || len(got[0].TimesMs) != 600 {
		t.Errorf("got %d series", len(got))
	}
	sel.MinMs, sel.MaxMs = 100*dayMs, 101*dayMs-1
	if got := selectAll(t, s, sel); len(got) != 1 || !cmp.Equal(got[0].Values, []float64{200, 201}) {
		t.Errorf("one day of them: %v", got)
	}
}

// A flush a second must not leave parts behind faster than they are merged.
func TestSmallFlushesDoNotPileUp(t *testing.T) {
	s := open(t)
	for i := range int64(120) {
		b := batchOf("t", i, labels.FromStrings("__name__", "m"), labels.FromStrings("__name__", "n", "i", fmt.Sprint(i)))
		b.Progress = []store.Progress{{Topic: "x", NextOffset: i}}
		write(t, s, b)
	}
	eventually(t, "few parts are left of 120 flushes", func() bool {
		usage, err := s.DiskUsage(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range usage {
			if u.Parts > 15 {
				return false
			}
		}
		return true
	})
}

// The view chooses among the values of one time as readers do.
func TestViewPrefersAsReadersDo(t *testing.T) {
	s := open(t)
	values := []float64{
		math.Float64frombits(value.StaleNaN), math.NaN(), math.Float64frombits(0x7ff8000000000003), math.Float64frombits(0xfff8000000000000),
		math.Inf(-1), -1.5, math.Copysign(0, -1), 0, 2, math.Inf(1),
	}
	b := batchOf("t", 0, labels.FromStrings("__name__", "m"))
	b.Samples.Reset()
	var want []float64
	for _, x := range values {
		for _, y := range values {
			for _, v := range []float64{x, y} {
				d, _ := store.DecimalOf(v, 0)
				b.Samples.Append(b.Series[0].Key, int64(len(want)), d)
			}
			if store.Prefer(x, y) {
				x, y = y, x
			}
			want = append(want, x)
		}
	}
	write(t, s, b)
	var bits []uint64
	if err := s.Scan(context.Background(), "SELECT groupArray(bits) FROM (SELECT reinterpretAsUInt64(value) AS bits FROM samples_of(tenant = 't', name = 'm') ORDER BY ts)", &bits); err != nil {
		t.Fatal(err)
	}
	if len(bits) != len(want) {
		t.Fatalf("%d rows, wanted %d", len(bits), len(want))
	}
	for i, v := range want {
		if math.Float64bits(v) != bits[i] {
			t.Errorf("row %d is %v, wanted %v", i, math.Float64frombits(bits[i]), v)
		}
	}
}
