package clickhouse_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse"
	"github.com/metricstream/metricstream/store/rollup"
)

const tierTenant = "tiers"

// tierSeries returns series with random rows of one hour, and registers them. Some have rows of minutes without samples but
// stale markers, some values have no decimal form.
func tierSeries(t testing.TB, s *clickhouse.Store, rng *rand.Rand, n int, tier rollup.Tier) []rollup.Series {
	t.Helper()
	var known []store.Series
	var out []rollup.Series
	step := tier.StepMs()
	begin := int64(20_000*dayMs + 5*3_600_000)
	for i := range n {
		ls := labels.FromStrings("__name__", fmt.Sprintf("m%d", i%3), "i", fmt.Sprint(i))
		key := store.KeyOf(tierTenant, ls)
		r := rollup.Series{Key: key, Labels: ls}
		for end := begin + step; end <= begin+3_600_000; end += step {
			if rng.IntN(10) > 0 {
				randomRow(rng, &r.Rows, end, step, i%4)
			}
		}
		has := store.HasStarts
		if i%5 == 0 {
			has |= store.HasHistograms
			r.Histograms = []rollup.HistogramRow{randomHistogramRow(rng, begin+step, step)}
		}
		known = append(known, store.Series{Tenant: tierTenant, Key: key, Labels: ls, MinMs: begin, MaxMs: begin + 3_600_000, Has: has})
		if len(r.Rows.EndsMs)+len(r.Histograms) > 0 {
			out = append(out, r)
		}
	}
	write(t, s, &store.Batch{Series: known})
	sortSeries(out)
	return out
}

func sortSeries(list []rollup.Series) {
	for i := 1; i < len(list); i++ {
		for j := i; j > 0 && list[j].Key.Compare(list[j-1].Key) < 0; j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
}

func randomRow(rng *rand.Rand, r *rollup.Rows, end, step int64, kind int) {
	value := func() float64 {
		switch kind {
		case 0:
			return float64(rng.IntN(1_000_000))
		case 1:
			return float64(rng.IntN(100_000)-50_000) / 1000
		case 2:
			return rng.NormFloat64()
		}
		return []float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), 1e300, -5, 1.25}[rng.IntN(7)]
	}
	n := uint32(rng.IntN(5))
	r.EndsMs, r.N, r.Flags = append(r.EndsMs, end), append(r.N, n), append(r.Flags, rollup.Flags(rng.IntN(4)))
	stale := int64(0)
	if n == 0 || rng.IntN(4) == 0 {
		stale = end - rng.Int64N(step)
	}
	r.StaleMs = append(r.StaleMs, stale)
	var first, last, prev int64
	var v [7]float64
	if n > 0 {
		first, last = end-step+1+rng.Int64N(step/2), end-rng.Int64N(step/4)
		for i := range v {
			v[i] = value()
		}
	}
	if n > 1 {
		prev = last - 1 - rng.Int64N(step/8)
	} else {
		v[2] = 0
	}
	r.FirstMs, r.LastMs, r.PrevMs = append(r.FirstMs, first), append(r.LastMs, last), append(r.PrevMs, prev)
	r.First, r.Last, r.Prev = append(r.First, v[0]), append(r.Last, v[1]), append(r.Prev, v[2])
	r.FirstStartMs, r.LastStartMs = append(r.FirstStartMs, first/2), append(r.LastStartMs, last/2)
	r.Sum, r.Min, r.Max, r.Comp = append(r.Sum, v[3]), append(r.Min, v[4]), append(r.Max, v[5]), append(r.Comp, v[6])
	r.Resets, r.Changes = append(r.Resets, rng.Uint32N(3)), append(r.Changes, rng.Uint32N(3))
	r.M2 = append(r.M2, float64(rng.IntN(1000)))
}

func randomHistogramRow(rng *rand.Rand, end, step int64) rollup.HistogramRow {
	h := func() *histogram.FloatHistogram {
		return &histogram.FloatHistogram{
			Schema: 1, Count: float64(rng.IntN(100)), Sum: rng.NormFloat64(), ZeroThreshold: 0.01,
			PositiveSpans: []histogram.Span{{Offset: 1, Length: 2}}, PositiveBuckets: []float64{1, float64(rng.IntN(9))},
			CounterResetHint: histogram.GaugeType,
		}
	}
	return rollup.HistogramRow{
		EndMs: end, N: 2, StaleMs: end, FirstMs: end - step + 1, LastMs: end - 1, PrevMs: end - step + 1, First: h(), Last: h(), Prev: h(),
		Sum: h(), Resets: 1, Changes: 1, FirstStartMs: 5, LastStartMs: 6,
	}
}

// bitEqual compares floats by their bits.
var bitEqual = cmp.Options{
	cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }),
	cmp.Comparer(func(a, b labels.Labels) bool { return labels.Equal(a, b) }),
	cmpopts.EquateEmpty(),
}

func selectTier(t testing.TB, s *clickhouse.Store, sel rollup.Selection) []rollup.Series {
	t.Helper()
	var out []rollup.Series
	err := s.SelectRollups(context.Background(), sel, func(r *rollup.Series) error {
		c := *r
		c.Rows = cloneRows(r.Rows)
		out = append(out, c)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func cloneRows(r rollup.Rows) rollup.Rows {
	f := func(v []float64) []float64 { return append([]float64(nil), v...) }
	n := func(v []int64) []int64 { return append([]int64(nil), v...) }
	u := func(v []uint32) []uint32 { return append([]uint32(nil), v...) }
	return rollup.Rows{
		EndsMs: n(r.EndsMs), N: u(r.N), Flags: append([]rollup.Flags(nil), r.Flags...), StaleMs: n(r.StaleMs),
		FirstMs: n(r.FirstMs), LastMs: n(r.LastMs), PrevMs: n(r.PrevMs), First: f(r.First), Last: f(r.Last), Prev: f(r.Prev),
		FirstStartMs: n(r.FirstStartMs), LastStartMs: n(r.LastStartMs), Sum: f(r.Sum), Min: f(r.Min), Max: f(r.Max), Comp: f(r.Comp),
		Resets: u(r.Resets), Changes: u(r.Changes), M2: f(r.M2),
	}
}

func TestTierRowsComeBackBitForBit(t *testing.T) {
	for _, tier := range []rollup.Tier{rollup.Minute, rollup.Hour} {
		t.Run(tier.String(), func(t *testing.T) {
			s := open(t)
			rng := rand.New(rand.NewPCG(1, uint64(tier)))
			want := tierSeries(t, s, rng, 40, tier)
			if err := s.WriteRollups(context.Background(), &rollup.Batch{Tier: tier, Version: 7, Series: want}); err != nil {
				t.Fatal(err)
			}
			sel := rollup.Selection{Tier: tier, Columns: rollup.AllColumns, Selection: store.Selection{
				Tenant: tierTenant, MinMs: 20_000 * dayMs, MaxMs: 20_001 * dayMs,
				Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", "m.*")},
			}}
			if diff := cmp.Diff(want, selectTier(t, s, sel), bitEqual); diff != "" {
				t.Fatalf("rows differ (-written +read):\n%s", diff)
			}
			for column := rollup.Columns(1); column < rollup.AllColumns; column <<= 1 {
				sel.Columns = column
				got := selectTier(t, s, sel)
				if len(got) != len(want) {
					t.Fatalf("column %b: %d series, want %d", column, len(got), len(want))
				}
				for i := range got {
					if diff := cmp.Diff(only(want[i].Rows, column), got[i].Rows, bitEqual); diff != "" {
						t.Fatalf("column %b: rows differ (-written +read):\n%s", column, diff)
					}
				}
			}
		})
	}
}

// only keeps what a read of some columns returns.
func only(r rollup.Rows, columns rollup.Columns) rollup.Rows {
	out := rollup.Rows{EndsMs: r.EndsMs, N: r.N, Flags: r.Flags}
	switch columns {
	case rollup.FirstColumns:
		out.FirstMs, out.First, out.FirstStartMs = r.FirstMs, r.First, r.FirstStartMs
	case rollup.LastColumns:
		out.LastMs, out.Last, out.LastStartMs = r.LastMs, r.Last, r.LastStartMs
	case rollup.PrevColumns:
		out.PrevMs, out.Prev = r.PrevMs, r.Prev
	case rollup.SumColumn:
		out.Sum = r.Sum
	case rollup.MinColumn:
		out.Min = r.Min
	case rollup.MaxColumn:
		out.Max = r.Max
	case rollup.CompColumn:
		out.Comp = r.Comp
	case rollup.ResetsColumn:
		out.Resets = r.Resets
	case rollup.ChangesColumn:
		out.Changes = r.Changes
	case rollup.M2Column:
		out.M2 = r.M2
	case rollup.StaleColumn:
		out.StaleMs = r.StaleMs
	}
	return out
}

func TestALaterFoldReplacesAnEarlierOne(t *testing.T) {
	s := open(t)
	rng := rand.New(rand.NewPCG(3, 4))
	want := tierSeries(t, s, rng, 20, rollup.Minute)
	old := make([]rollup.Series, len(want))
	for i := range want {
		old[i] = rollup.Series{Key: want[i].Key}
		for j, end := range want[i].Rows.EndsMs {
			if (i+j)%2 == 0 {
				randomRow(rng, &old[i].Rows, end, rollup.Minute.StepMs(), 0)
			}
		}
	}
	// The order in which they come does not matter: a fold that was held up writes last.
	for _, b := range []*rollup.Batch{{Version: 5, Series: old}, {Version: 9, Series: want}, {Version: 6, Series: old}} {
		b.Tier = rollup.Minute
		if err := s.WriteRollups(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}
	sel := rollup.Selection{Tier: rollup.Minute, Columns: rollup.AllColumns, Selection: store.Selection{
		Tenant: tierTenant, MinMs: 20_000 * dayMs, MaxMs: 20_001 * dayMs,
		Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", "m.*")},
	}}
	for _, merged := range []bool{false, true} {
		if diff := cmp.Diff(want, selectTier(t, s, sel), bitEqual); diff != "" {
			t.Fatalf("merged %v: rows differ (-newest +read):\n%s", merged, diff)
		}
		if err := s.Exec(context.Background(), "OPTIMIZE TABLE rollup_1m FINAL"); err != nil {
			t.Fatal(err)
		}
	}
}
