// Package kernel computes PromQL's functions of ranges from rows of a tier: one series and its windows in, a value for
// each window out. The functions are pure and go over the rows once, however the windows overlap; the stock engine over
// the samples behind the rows is what they are equal to.
package kernel

import (
	"math"
	"time"

	"github.com/metricstream/metricstream/store/rollup"
	"github.com/prometheus/prometheus/model/value"
)

// Absent returns what stands in a grid where a function has no value: the bits of a stale marker, which no function
// returns.
func Absent() float64 { return math.Float64frombits(value.StaleNaN) }

// IsAbsent reports whether a value of a grid is [Absent].
func IsAbsent(v float64) bool { return value.IsStaleNaN(v) }

// Windows are the windows of a selector, open on the left: the i-th is (EndMs(i) - RangeMs, EndMs(i)].
type Windows struct {
	FirstMs, StepMs int64 // the end of the first one, and how far the ends are from each other
	Count           int
	RangeMs         int64

	// BucketMs is the width of the rows' buckets. Windows that do not begin and end with buckets are for rows that
	// were folded of nothing but the samples inside.
	BucketMs int64
}

// EndMs returns the end of the i-th window.
func (w *Windows) EndMs(i int) int64 { return w.FirstMs + int64(i)*w.StepMs }

// seconds is the range as the engine divides by it.
func (w *Windows) seconds() float64 { return (time.Duration(w.RangeMs) * time.Millisecond).Seconds() }

// Function is a function of a range.
type Function struct {
	// Columns are what it needs of the rows.
	Columns rollup.Columns

	floats floatFunc

	// histogram is nil where the function looks at floats only.
	histogram histogramFunc
}

// floatFunc puts the value of each window into dst. It reports false where the rows cannot tell, and raw has to.
type floatFunc func(dst []float64, r *rollup.Rows, w *Windows) (Warnings, bool)

// histogramFunc is the value of a window of histograms, whose rows are merged into one.
type histogramFunc func(r *rollup.HistogramRow, w *Windows, endMs int64) histogramValue

// Warnings is a set of what the engine would have to say.
type Warnings uint8

const (
	// NotCounter and NotGauge are about histograms that do not go with the function.
	NotCounter Warnings = 1 << iota
	NotGauge
	// StartOverlap is about start timestamps that contradict each other.
	StartOverlap
)

// Of returns the function with PromQL's name.
func Of(name string) (Function, bool) {
	const (
		first, last = rollup.FirstColumns, rollup.LastColumns
		prev, comp  = rollup.PrevColumns, rollup.CompColumn
	)
	switch name {
	case "rate":
		return Function{first | last | comp, counterRate(perSecond), histogramRate(true, perSecond)}, true
	case "increase":
		return Function{first | last | comp, counterRate(whole), histogramRate(true, whole)}, true
	case "delta":
		return Function{first | last, delta, histogramRate(false, whole)}, true
	case "irate":
		return Function{last | prev | first, irate, histogramIrate}, true
	case "idelta":
		return Function{last | prev, idelta, histogramIdelta}, true
	case "resets":
		return Function{first | last | rollup.ResetsColumn, resets, histogramResets}, true
	case "changes":
		return Function{first | last | rollup.ChangesColumn, changes, histogramChanges}, true
	case "count_over_time":
		return Function{0, count, histogramCount}, true
	case "present_over_time", "absent_over_time":
		return Function{0, present, histogramPresent}, true
	case "first_over_time":
		return Function{first, firstOf(rowFirst), histogramFirst}, true
	case "ts_of_first_over_time":
		return Function{first, firstOf(rowFirstMs), histogramFirstMs}, true
	case "last_over_time":
		return Function{last, lastOf(rowLast), histogramLast}, true
	case "ts_of_last_over_time":
		return Function{last, lastOf(rowLastMs), histogramLastMs}, true
	case "min_over_time":
		return Function{rollup.MinColumn, minimum, nil}, true
	case "max_over_time":
		return Function{rollup.MaxColumn, maximum, nil}, true
	case "sum_over_time":
		return Function{rollup.SumColumn, sum, histogramSum}, true
	case "avg_over_time":
		return Function{rollup.SumColumn, average, histogramAvg}, true
	case "stdvar_over_time":
		return Function{first | rollup.SumColumn | rollup.M2Column, variance(identity), nil}, true
	case "stddev_over_time":
		return Function{first | rollup.SumColumn | rollup.M2Column, variance(math.Sqrt), nil}, true
	}
	return Function{}, false
}

// Floats computes the values of a series' float rows into dst, which has w.Count elements. It reports false, and
// leaves dst undefined, where the rows cannot answer and raw samples have to.
func (f Function) Floats(dst []float64, r *rollup.Rows, w Windows) (Warnings, bool) {
	for _, flags := range r.Flags {
		if flags&rollup.NeedsRaw != 0 {
			return 0, false
		}
	}
	return f.floats(dst, r, &w)
}
