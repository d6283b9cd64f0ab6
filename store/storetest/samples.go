package storetest

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/metricstream/metricstream/store"
)

const (
	hourMs = 60 * 60 * 1000
	dayMs  = 24 * hourMs

	// baseMs is a midnight in 2025.
	baseMs = 20100 * dayMs
)

var sampleCases = []testCase{
	{"every float64 keeps its bits", valuesKeepBits},
	{"a replayed batch changes nothing", replay},
	{"of equal timestamps one value is seen", equalTimes},
	{"out of order samples are read in order", outOfOrder},
	{"both ends of the time are included", boundaries},
	{"times before 1970 and far from now", farTimes},
	{"a batch of 150 days", manyDays},
	{"a stale marker is a sample", staleMarkers},
	{"samples of a series that was listed before", knownSeries},
	{"the next day of a series that was listed before midnight", overMidnight},
	{"many series, each once", manySeries},
	{"a long series", longSeries},
	{"a batch belongs to the caller after Write", batchReuse},
	{"what is yielded belongs to yield", yieldedOwned},
	{"writers and readers at once", concurrent},
}

func valuesKeepBits(f *fixture) {
	values := []float64{
		0, math.Copysign(0, -1), 1, -1, 12.5, 12.25, 13, 0.1, -0.1, 1.0 / 3, 1e-7, 123456.789, 1e15, 1e16, 1e17, 1e22, 1e300, -1e300,
		1 << 53, 1<<53 + 2, -(1 << 53), math.MaxInt64, math.MinInt64, math.MaxUint64, math.Pi,
		math.MaxFloat64, math.SmallestNonzeroFloat64, 2.2250738585072011e-308, math.Inf(1), math.Inf(-1),
		math.NaN(), staleNaN, math.Float64frombits(0x7ff0000000000001), math.Float64frombits(0xfff8000000000000),
		math.Float64frombits(0x7ff8dead0000beef), math.Float64frombits(0x7ff0000000000003),
	}
	b := f.batch()
	want := `{__name__="m"}`
	for i, v := range values {
		b.sample(metric("m"), baseMs+int64(i), v)
		want += fmt.Sprintf(" %d=%s", baseMs+i, formatValue(v))
	}
	f.write(b)
	f.expect(f.all(), want)
}

func replay(f *fixture) {
	for range 3 {
		b := f.batch().sample(metric("m"), baseMs, 1).sample(metric("m"), baseMs+1, 2).sample(metric("n"), baseMs, 3)
		b.sample(metric("m"), baseMs, 1) // twice in one batch too
		b.start(metric("m"), baseMs, 5)
		f.write(b)
	}
	f.expect(f.all(),
		fmt.Sprintf(`{__name__="m"} %d=1@5 %d=2@5`, baseMs, baseMs+1),
		fmt.Sprintf(`{__name__="n"} %d=3`, baseMs))
}

// equalTimes writes every pair of values in both orders, in one batch and in two, and expects store.Prefer's choice.
func equalTimes(f *fixture) {
	values := []float64{staleNaN, math.NaN(), math.Float64frombits(0x7ff8000000000002), math.Inf(-1), -1, math.Copysign(0, -1), 0, 1, 1.5, math.Inf(1)}
	first, second := f.batch(), f.batch()
	want := []string{`{__name__="one"}`, `{__name__="two"}`}
	at := int64(baseMs)
	for _, x := range values {
		for _, y := range values {
			first.sample(metric("one"), at, x).sample(metric("one"), at, y).sample(metric("two"), at, x)
			second.sample(metric("two"), at, y)
			seen := x
			if store.Prefer(x, y) {
				seen = y
			}
			for i := range want {
				want[i] += fmt.Sprintf(" %d=%s", at, formatValue(seen))
			}
			at++
		}
	}
	f.write(first)
	f.write(second)
	f.expect(f.all(), want...)
}

func outOfOrder(f *fixture) {
	f.write(f.batch().sample(metric("m"), baseMs+5, 5).sample(metric("m"), baseMs+1, 1))
	f.write(f.batch().sample(metric("m"), baseMs+3, 3).sample(metric("m"), baseMs-dayMs, -1))
	f.expect(f.all(), fmt.Sprintf(`{__name__="m"} %d=-1 %d=1 %d=3 %d=5`, baseMs-dayMs, baseMs+1, baseMs+3, baseMs+5))
}

func boundaries(f *fixture) {
	b := f.batch()
	for i := int64(0); i < 5; i++ {
		b.sample(metric("m"), baseMs+i, float64(i))
	}
	f.write(b)
	f.expect(f.between(baseMs+1, baseMs+3), fmt.Sprintf(`{__name__="m"} %d=1 %d=2 %d=3`, baseMs+1, baseMs+2, baseMs+3))
	f.expect(f.between(baseMs+2, baseMs+2), fmt.Sprintf(`{__name__="m"} %d=2`, baseMs+2))
	f.expect(f.between(baseMs-10, baseMs-1))
	f.expect(f.between(baseMs+5, baseMs+9))
	f.expect(f.between(baseMs+3, baseMs+1))
}

func farTimes(f *fixture) {
	times := []int64{-400 * dayMs, -dayMs - 1, -dayMs, -1, 0, 1, dayMs - 1, dayMs, baseMs, 84000 * dayMs}
	b := f.batch()
	want := `{__name__="m"}`
	for i, at := range times {
		b.sample(metric("m"), at, float64(i))
		want += fmt.Sprintf(" %d=%d", at, i)
	}
	f.write(b)
	f.expect(f.all(), want)
	for i, at := range times {
		f.expect(f.between(at, at), fmt.Sprintf(`{__name__="m"} %d=%d`, at, i))
	}
	f.expect(f.between(math.MinInt64, -400*dayMs-1))
	f.expect(f.between(84000*dayMs+1, math.MaxInt64))
}

func manyDays(f *fixture) {
	b := f.batch()
	var want strings.Builder
	want.WriteString(`{__name__="m"}`)
	for day := range int64(150) {
		b.sample(metric("m"), baseMs+day*dayMs, float64(day))
		fmt.Fprintf(&want, " %d=%d", baseMs+day*dayMs, day)
	}
	f.write(b)
	f.expect(f.all(), want.String())
}

func staleMarkers(f *fixture) {
	f.write(f.batch().sample(metric("m"), baseMs, 1).sample(metric("m"), baseMs+1, staleNaN).sample(metric("only"), baseMs, staleNaN))
	f.expect(f.all(), fmt.Sprintf(`{__name__="m"} %d=1 %d=stale`, baseMs, baseMs+1), fmt.Sprintf(`{__name__="only"} %d=stale`, baseMs))
}

func knownSeries(f *fixture) {
	f.write(f.batch().sample(metric("m"), baseMs+hourMs, 1))
	f.write(f.unlisted().sample(metric("m"), baseMs+2*hourMs, 2))
	f.expect(f.all(), fmt.Sprintf(`{__name__="m"} %d=1 %d=2`, baseMs+hourMs, baseMs+2*hourMs))
}

// overMidnight: a receiver lists a series once an hour, so half an hour later it may be in the next day unlisted.
func overMidnight(f *fixture) {
	f.write(f.batch().sample(metric("m"), baseMs+dayMs-hourMs/4, 1))
	f.write(f.unlisted().sample(metric("m"), baseMs+dayMs+hourMs/4, 2))
	f.expect(f.between(baseMs+dayMs, baseMs+dayMs+hourMs), fmt.Sprintf(`{__name__="m"} %d=2`, baseMs+dayMs+hourMs/4))
}

func manySeries(f *fixture) {
	b := f.batch()
	for i := range 3000 {
		b.sample(metric("m", "i", fmt.Sprint(i)), baseMs, float64(i)).sample(metric("m", "i", fmt.Sprint(i)), baseMs+1, 0)
	}
	f.write(b)
	seen := map[string]int{}
	for _, d := range f.read(f.all()) {
		seen[d.Labels.Get("i")]++
		if len(d.TimesMs) != 2 || fmt.Sprint(d.Values[0]) != d.Labels.Get("i") {
			f.Errorf("series %s has %v %v", d.Labels, d.TimesMs, d.Values)
		}
	}
	if len(seen) != 3000 {
		f.Errorf("%d series of 3000", len(seen))
	}
	for i, n := range seen {
		if n != 1 {
			f.Errorf("series %s came %d times", i, n)
		}
	}
}

func longSeries(f *fixture) {
	b := f.batch()
	const n = 100_000
	for i := range int64(n) {
		b.sample(metric("m"), baseMs+i*15_000, float64(i)/4)
	}
	f.write(b)
	list := f.read(f.all())
	if len(list) != 1 || len(list[0].TimesMs) != n {
		f.Fatalf("%d series; wanted one of %d samples", len(list), n)
	}
	for i, at := range list[0].TimesMs {
		if at != baseMs+int64(i)*15_000 || list[0].Values[i] != float64(i)/4 {
			f.Fatalf("sample %d is %d=%v", i, at, list[0].Values[i])
		}
	}
}

func batchReuse(f *fixture) {
	b := f.batch().sample(metric("m"), baseMs, 1).histogram(metric("h"), baseMs, intHistogram(1)).exemplar(metric("m"), baseMs, 1, "id", "a")
	f.write(b)
	for i := range b.Samples.IDs {
		b.Samples.IDs[i], b.Samples.TimesMs[i], b.Samples.Mants[i] = 0, 0, 0
	}
	for _, h := range b.Histograms {
		clear(h.Blob)
	}
	clear(b.Exemplars)
	f.expect(f.all(),
		fmt.Sprintf(`{__name__="h"} %d=%s`, baseMs, formatInt(intHistogram(1))),
		fmt.Sprintf(`{__name__="m"} %d=1`, baseMs))
}

func yieldedOwned(f *fixture) {
	f.write(f.batch().sample(metric("m"), baseMs, 1).sample(metric("n"), baseMs, 2).
		histogram(metric("h"), baseMs, intHistogram(1)).start(metric("m"), baseMs, 7))
	before := dump(f.read(f.all()))
	for _, d := range f.read(f.all()) {
		clear(d.TimesMs)
		clear(d.Values)
		clear(d.Starts)
		for _, h := range d.Histograms {
			h.Int.Count = 99
			clear(h.Int.PositiveBuckets)
		}
	}
	f.same(before, dump(f.read(f.all())))
}

func concurrent(f *fixture) {
	var group sync.WaitGroup
	for w := range 4 {
		group.Go(func() {
			for i := range 5 {
				b := f.batch().sample(metric("m", "w", fmt.Sprint(w)), baseMs+int64(i), float64(i))
				if err := f.store.Write(context.Background(), &b.Batch); err != nil {
					f.Errorf("cannot write while others do: %v", err)
				}
				if _, err := collect(f.store, f.all()); err != nil {
					f.Errorf("cannot select while others write: %v", err)
				}
			}
		})
	}
	group.Wait()
	var want []string
	for w := range 4 {
		line := fmt.Sprintf(`{__name__="m", w="%d"}`, w)
		for i := range 5 {
			line += fmt.Sprintf(" %d=%d", baseMs+i, i)
		}
		want = append(want, line)
	}
	f.expect(f.all(), want...)
}
