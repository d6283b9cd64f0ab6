package kernel_test

import (
	"testing"

	"github.com/metricstream/metricstream/promql/kernel"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
)

// year is a year of hours of a counter that is reset now and then.
func year() rollup.Rows {
	d := &store.SeriesData{}
	v := 0.0
	for ms := int64(hourMs); ms <= 365*24*hourMs; ms += 15 * minuteMs {
		if v += float64(ms / 1000 % 7919); ms%(100*hourMs) == 0 {
			v = 0
		}
		d.TimesMs, d.Values = append(d.TimesMs, ms), append(d.Values, v)
	}
	var s rollup.Series
	new(rollup.Folder).Fold(&s, d, rollup.Hour, rollup.AllColumns)
	return s.Rows
}

// BenchmarkFloats is a year of one series, at the thousand steps of a panel; windows overlap by a hundred times in the
// second of each.
func BenchmarkFloats(b *testing.B) {
	rows := year()
	for _, name := range names {
		f, _ := kernel.Of(name)
		for _, shape := range []struct {
			name            string
			stepMs, rangeMs int64
		}{{"apart", 9 * hourMs, 9 * hourMs}, {"overlapping", 9 * hourMs, 900 * hourMs}} {
			b.Run(name+"/"+shape.name, func(b *testing.B) {
				b.ReportAllocs()
				w := kernel.Windows{FirstMs: 900 * hourMs, StepMs: shape.stepMs, RangeMs: shape.rangeMs, BucketMs: hourMs}
				w.Count = int((365*24*hourMs-w.FirstMs)/w.StepMs) + 1
				dst := make([]float64, w.Count)
				for b.Loop() {
					if _, ok := f.Floats(dst, &rows, w); !ok {
						b.Fatal("the rows cannot tell")
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(rows.EndsMs)), "ns/row")
			})
		}
	}
}
