package kernel

import (
	"math"

	"github.com/metricstream/metricstream/store/rollup"
	"github.com/prometheus/prometheus/util/kahansum"
)

// total is a compensated sum with the number of its samples.
type total struct {
	sum, c float64
	n      uint64
}

func addTotals(a, b total) total {
	sum, c := kahansum.Inc(b.sum, a.sum, a.c+b.c)
	return total{sum, c, a.n + b.n}
}

func sum(dst []float64, r *rollup.Rows, w *Windows) (Warnings, bool) {
	return totals(dst, r, w, func(t total) (float64, bool) {
		if math.IsInf(t.sum, 0) {
			return t.sum, true
		}
		return 0 + t.sum + t.c, true // the engine begins with 0: a sum of nothing but -0 is 0
	})
}

// average leaves infinite sums to the engine, which has another way to compute the mean of what is too large to add up.
func average(dst []float64, r *rollup.Rows, w *Windows) (Warnings, bool) {
	return totals(dst, r, w, func(t total) (float64, bool) {
		n := float64(t.n)
		return t.sum/n + t.c/n, !math.IsInf(t.sum, 0)
	})
}

func totals(dst []float64, r *rollup.Rows, w *Windows, of func(total) (float64, bool)) (Warnings, bool) {
	return slide(dst, r, w, addTotals, func(i int) total { return total{sum: r.Sum[i], n: uint64(r.N[i])} }, of)
}

// fewWindows is in how many windows a row may be so that aggregating each window anew is the quickest.
const fewWindows = 3

// slide aggregates the rows with samples of each window.
func slide[T any](dst []float64, r *rollup.Rows, w *Windows, merge func(a, b T) T, row func(int) T, of func(T) (float64, bool)) (Warnings, bool) {
	if w.RangeMs <= fewWindows*w.StepMs || w.Count <= fewWindows {
		return anew(dst, r, w, merge, row, of)
	}
	c, s := cursor{rows: r, w: w}, sliding[T]{merge: merge}
	lo, hi := 0, 0
	for i := range dst {
		c.move(i)
		for ; hi < c.hi; hi++ {
			if r.N[hi] > 0 {
				s.push(row(hi))
			}
		}
		for ; lo < c.lo; lo++ {
			if r.N[lo] > 0 {
				s.pop()
			}
		}
		dst[i] = Absent()
		if !s.empty() {
			v, ok := of(s.value())
			if !ok {
				return 0, false
			}
			dst[i] = v
		}
	}
	return 0, true
}

// anew is slide, window by window.
func anew[T any](dst []float64, r *rollup.Rows, w *Windows, merge func(a, b T) T, row func(int) T, of func(T) (float64, bool)) (Warnings, bool) {
	c := cursor{rows: r, w: w}
	for i := range dst {
		c.move(i)
		if c.first < 0 {
			dst[i] = Absent()
			continue
		}
		all := row(c.first)
		for j := c.first + 1; j <= c.last; j++ {
			if r.N[j] > 0 {
				all = merge(all, row(j))
			}
		}
		v, ok := of(all)
		if !ok {
			return 0, false
		}
		dst[i] = v
	}
	return 0, true
}
