package storetest

import (
	"bytes"
	"fmt"
	"math"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/histogram"
)

var histogramCases = []testCase{
	{"integer, float and custom buckets come back whole", histogramsWhole},
	{"of equal timestamps one histogram is seen", histogramsEqualTimes},
	{"a histogram and a float at one timestamp", histogramOrFloat},
	{"a replayed batch changes nothing", histogramsReplay},
	{"out of order, both ends of the time included", histogramsInOrder},
	{"floats and histograms of one series", mixedSeries},
	{"a series that has its first histogram later", becomesHistogram},
}

func intHistogram(n uint64) *histogram.Histogram {
	return &histogram.Histogram{
		Schema: 1, Count: 5 * n, Sum: 1.5 * float64(n), ZeroThreshold: 0.001, ZeroCount: n,
		PositiveSpans:   []histogram.Span{{Offset: -2, Length: 2}, {Offset: 3, Length: 1}},
		PositiveBuckets: []int64{int64(n), 0, 0},
		NegativeSpans:   []histogram.Span{{Offset: 0, Length: 1}},
		NegativeBuckets: []int64{int64(n)},
	}
}

func floatHistogram(n float64) *histogram.FloatHistogram {
	return &histogram.FloatHistogram{
		Schema: -2, Count: 4 * n, Sum: -n, ZeroThreshold: 1e-128, ZeroCount: n / 2,
		PositiveSpans:   []histogram.Span{{Offset: 1, Length: 3}},
		PositiveBuckets: []float64{n, 0.5, n},
	}
}

func customHistogram(n uint64) *histogram.Histogram {
	return &histogram.Histogram{
		Schema: histogram.CustomBucketsSchema, Count: 3 * n, Sum: 2 * float64(n),
		PositiveSpans:   []histogram.Span{{Offset: 0, Length: 3}},
		PositiveBuckets: []int64{int64(n), 0, 0},
		CustomValues:    []float64{0.5, 1, 2.5},
	}
}

func histogramsWhole(f *fixture) {
	ints := []*histogram.Histogram{{}, intHistogram(1), intHistogram(1 << 50), customHistogram(7)}
	for _, sum := range []float64{math.Copysign(0, -1), math.NaN(), staleNaN, math.Inf(-1)} {
		h := intHistogram(2)
		h.Sum = sum
		ints = append(ints, h)
	}
	for _, hint := range []histogram.CounterResetHint{histogram.CounterReset, histogram.NotCounterReset, histogram.GaugeType} {
		h := intHistogram(3)
		h.CounterResetHint = hint
		ints = append(ints, h)
	}
	floats := []*histogram.FloatHistogram{{}, floatHistogram(1), floatHistogram(0.3), customHistogram(2).ToFloat(nil)}
	odd := floatHistogram(1)
	odd.Count, odd.ZeroCount, odd.PositiveBuckets[1] = math.NaN(), math.Copysign(0, -1), math.Inf(1)
	stale := &histogram.FloatHistogram{Sum: staleNaN}
	floats = append(floats, odd, stale)

	b := f.batch()
	want := []string{`{__name__="f"}`, `{__name__="i"}`}
	for i, h := range floats {
		b.floatHistogram(metric("f"), baseMs+int64(i), h)
		want[0] += fmt.Sprintf(" %d=%s", baseMs+i, formatFloat(h))
	}
	for i, h := range ints {
		b.histogram(metric("i"), baseMs+int64(i), h)
		want[1] += fmt.Sprintf(" %d=%s", baseMs+i, formatInt(h))
	}
	f.write(b)
	f.expect(f.all(), want...)
}

func histogramsEqualTimes(f *fixture) {
	stale := intHistogram(100)
	stale.Sum = staleNaN
	sum := intHistogram(1)
	sum.Sum++
	noCount := floatHistogram(1)
	noCount.Count = math.NaN()
	// From the one that loses to every other to the one that wins. Of equal counts the greater encoding wins.
	equal := []string{formatInt(intHistogram(1)), formatInt(sum)}
	encodings := [][]byte{store.AppendHistogram(nil, intHistogram(1)), store.AppendHistogram(nil, sum)}
	pair := []func(*batch, int64){
		func(b *batch, at int64) { b.histogram(metric("h"), at, intHistogram(1)) },
		func(b *batch, at int64) { b.histogram(metric("h"), at, sum) },
	}
	if bytes.Compare(encodings[0], encodings[1]) > 0 {
		equal[0], equal[1], pair[0], pair[1] = equal[1], equal[0], pair[1], pair[0]
	}
	add := []func(*batch, int64){
		func(b *batch, at int64) { b.histogram(metric("h"), at, stale) },
		func(b *batch, at int64) { b.floatHistogram(metric("h"), at, noCount) },
		pair[0], pair[1],
		func(b *batch, at int64) { b.floatHistogram(metric("h"), at, floatHistogram(5)) },
	}
	text := []string{formatInt(stale), formatFloat(noCount), equal[0], equal[1], formatFloat(floatHistogram(5))}

	first, second := f.batch(), f.batch()
	want := `{__name__="h"}`
	at := int64(baseMs)
	for i := range add {
		for j := range add {
			add[i](first, at)
			if i < j {
				add[j](first, at)
			} else {
				add[j](second, at)
			}
			want += fmt.Sprintf(" %d=%s", at, text[max(i, j)])
			at++
		}
	}
	f.write(first)
	f.write(second)
	f.expect(f.all(), want)
}

// histogramOrFloat: a histogram beats a float unless it is a stale marker and the float is not.
func histogramOrFloat(f *fixture) {
	stale := &histogram.Histogram{Sum: staleNaN}
	b := f.batch().
		histogram(metric("m"), baseMs, intHistogram(1)).sample(metric("m"), baseMs, 1).
		histogram(metric("m"), baseMs+1, intHistogram(1)).sample(metric("m"), baseMs+1, staleNaN).
		histogram(metric("m"), baseMs+2, stale).sample(metric("m"), baseMs+2, 2).
		histogram(metric("m"), baseMs+3, stale).sample(metric("m"), baseMs+3, staleNaN)
	f.write(b)
	f.expect(f.all(), fmt.Sprintf(`{__name__="m"} %d=%s %d=%s %d=2 %d=%s`,
		baseMs, formatInt(intHistogram(1)), baseMs+1, formatInt(intHistogram(1)), baseMs+2, baseMs+3, formatInt(stale)))
}

func histogramsReplay(f *fixture) {
	for range 3 {
		f.write(f.batch().histogram(metric("h"), baseMs, intHistogram(1)).histogram(metric("h"), baseMs, intHistogram(1)).
			floatHistogram(metric("h"), baseMs+1, floatHistogram(1)))
	}
	f.expect(f.all(), fmt.Sprintf(`{__name__="h"} %d=%s %d=%s`,
		baseMs, formatInt(intHistogram(1)), baseMs+1, formatFloat(floatHistogram(1))))
}

func histogramsInOrder(f *fixture) {
	for _, i := range []int64{4, 2, 0, 3, 1} {
		f.write(f.batch().histogram(metric("h"), baseMs+i*dayMs, intHistogram(uint64(i+1))))
	}
	f.expect(f.between(baseMs+dayMs, baseMs+3*dayMs), fmt.Sprintf(`{__name__="h"} %d=%s %d=%s %d=%s`,
		baseMs+dayMs, formatInt(intHistogram(2)), baseMs+2*dayMs, formatInt(intHistogram(3)), baseMs+3*dayMs, formatInt(intHistogram(4))))
	f.expect(f.between(baseMs+1, baseMs+dayMs-1))
}

func mixedSeries(f *fixture) {
	f.write(f.batch().sample(metric("m"), baseMs, 1).histogram(metric("m"), baseMs+1, intHistogram(1)).
		sample(metric("m"), baseMs+2, 2).floatHistogram(metric("m"), baseMs+3, floatHistogram(1)))
	f.expect(f.all(), fmt.Sprintf(`{__name__="m"} %d=1 %d=%s %d=2 %d=%s`,
		baseMs, baseMs+1, formatInt(intHistogram(1)), baseMs+2, baseMs+3, formatFloat(floatHistogram(1))))
	f.expect(f.between(baseMs+1, baseMs+1), fmt.Sprintf(`{__name__="m"} %d=%s`, baseMs+1, formatInt(intHistogram(1))))
}

// becomesHistogram lists a series with floats alone, then again with what it has besides, and then no more.
func becomesHistogram(f *fixture) {
	f.write(f.batch().sample(metric("m"), baseMs, 1))
	f.write(f.batch().histogram(metric("m"), baseMs+1, intHistogram(1)))
	f.write(f.batch().sample(metric("m"), baseMs+2, 2))
	f.write(f.unlisted().histogram(metric("m"), baseMs+3, intHistogram(2)))
	f.expect(f.all(), fmt.Sprintf(`{__name__="m"} %d=1 %d=%s %d=2 %d=%s`,
		baseMs, baseMs+1, formatInt(intHistogram(1)), baseMs+2, baseMs+3, formatInt(intHistogram(2))))
}
