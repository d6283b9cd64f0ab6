package kernel

import "github.com/metricstream/metricstream/store/rollup"

func minimum(dst []float64, r *rollup.Rows, w *Windows) (Warnings, bool) {
	return extreme(dst, r, w, r.Min, func(a, b float64) bool { return b < a })
}

func maximum(dst []float64, r *rollup.Rows, w *Windows) (Warnings, bool) {
	return extreme(dst, r, w, r.Max, func(a, b float64) bool { return b > a })
}

// extreme keeps, of the rows of the window, those that no later row surpasses: the first of them is the answer. A NaN
// is surpassed by every number, and of equal values the earlier one stays, as in the engine.
func extreme(dst []float64, r *rollup.Rows, w *Windows, of []float64, surpasses func(a, b float64) bool) (Warnings, bool) {
	c := cursor{rows: r, w: w}
	var kept []int
	from, seen := 0, 0
	for i := range dst {
		c.move(i)
		for ; seen < c.hi; seen++ {
			if r.N[seen] == 0 {
				continue
			}
			v := of[seen]
			for len(kept) > from {
				if last := of[kept[len(kept)-1]]; !surpasses(last, v) && (last == last || v != v) {
					break
				}
				kept = kept[:len(kept)-1]
			}
			kept = append(kept, seen)
		}
		for from < len(kept) && kept[from] < c.lo {
			from++
		}
		dst[i] = Absent()
		if from < len(kept) {
			dst[i] = of[kept[from]]
		}
	}
	return 0, true
}
