package clickhouse

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/metricstream/metricstream/store"
)

type row struct {
	key  store.Key
	ts   int64
	exp  int8
	mant int64
}

func rowsOf(s *store.Samples) []row {
	out := make([]row, s.Len())
	for i := range out {
		out[i] = row{store.Key{Metric: s.Metrics[i], ID: s.IDs[i]}, s.TimesMs[i], s.Exps[i], s.Mants[i]}
	}
	return out
}

func compareRows(a, b row) int {
	return cmp.Or(cmp.Compare(dayOf(a.ts), dayOf(b.ts)), a.key.Compare(b.key), cmp.Compare(a.ts, b.ts), cmp.Compare(a.exp, b.exp), cmp.Compare(a.mant, b.mant))
}

// The sorter gives what sorting row by row gives, whatever the shape of the batch.
func TestSorterOrdersRows(t *testing.T) {
	times := []int64{math.MinInt64, math.MinInt64 + 1, -dayMs - 1, -dayMs, -1, 0, 1, dayMs - 1, dayMs, 20_000 * dayMs, math.MaxInt64 - 1, math.MaxInt64}
	s := &sorter{dayNumber: map[int64]uint32{}, metricNo: map[uint32]uint32{}}
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 1))
		ids := make([]uint64, 1+rng.IntN(60))
		for i := range ids {
			// Ids that differ in few bits, high or low, are what a digit cannot tell apart.
			ids[i] = rng.Uint64() << rng.IntN(60) >> rng.IntN(60)
		}
		metrics, distinct := 1+rng.IntN(9), 1+rng.IntN(len(times))
		var in store.Samples
		for range rng.IntN(400) {
			k := store.Key{Metric: uint32(rng.IntN(metrics)) * 0x30001, ID: ids[rng.IntN(len(ids))]}
			at := times[rng.IntN(distinct)]
			for range 1 + rng.IntN(4) {
				in.Append(k, at, store.Decimal{Exp: -int8(rng.IntN(3)), Mant: int64(rng.IntN(5))})
				if rng.IntN(2) == 0 && at < 1<<50 {
					at += int64(rng.IntN(3))
				}
			}
		}
		want := rowsOf(&in)
		slices.SortFunc(want, compareRows)
		s.sort(&in)
		got := rowsOf(&s.out)
		if !slices.Equal(want, got) {
			t.Fatalf("seed %d: wanted\n%v\ngot\n%v", seed, want, got)
		}
		next := 0
		for _, d := range s.days {
			if d.begin != next || d.end <= d.begin {
				t.Fatalf("seed %d: days %v of %d rows", seed, s.days, len(got))
			}
			for _, r := range got[d.begin:d.end] {
				if dayOf(r.ts) != d.day {
					t.Fatalf("seed %d: row %v is not of day %d", seed, r, d.day)
				}
			}
			next = d.end
		}
		if next != len(got) {
			t.Fatalf("seed %d: days %v of %d rows", seed, s.days, len(got))
		}
	}
}

func BenchmarkSort1M(b *testing.B) {
	for _, shape := range []struct {
		name        string
		series, run int
	}{{"1M series", 1_000_000, 1}, {"100k series", 100_000, 1}, {"10k series", 10_000, 1}, {"10k series, runs of 10", 10_000, 10}} {
		b.Run(shape.name, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 1))
			keys := make([]store.Key, shape.series)
			for i := range keys {
				keys[i] = store.Key{Metric: uint32(i%1000) * 2654435761, ID: rng.Uint64()}
			}
			var in store.Samples
			for at := int64(0); in.Len() < 1_000_000; at += int64(shape.run) {
				for _, k := range keys {
					for r := range int64(shape.run) {
						in.Append(k, 20_000*dayMs+(at+r)*15_000, store.Decimal{Mant: rng.Int64()})
					}
				}
			}
			s := &sorter{dayNumber: map[int64]uint32{}, metricNo: map[uint32]uint32{}}
			before := CPUTime()
			for b.Loop() {
				s.sort(&in)
			}
			b.ReportMetric(float64(CPUTime()-before)/float64(b.N*in.Len()), "cpu-ns/sample")
		})
	}
}
