package kernel

import "github.com/metricstream/metricstream/store/rollup"

func count(dst []float64, r *rollup.Rows, w *Windows) (Warnings, bool) {
	c, n := cursor{rows: r, w: w}, counter{}
	for i := range dst {
		c.move(i)
		dst[i] = Absent()
		if c.first >= 0 {
			dst[i] = float64(n.count(r, c.lo, c.hi))
		}
	}
	return 0, true
}

func present(dst []float64, r *rollup.Rows, w *Windows) (Warnings, bool) {
	c := cursor{rows: r, w: w}
	for i := range dst {
		c.move(i)
		dst[i] = Absent()
		if c.first >= 0 {
			dst[i] = 1
		}
	}
	return 0, true
}

// firstOf and lastOf make functions of something of the first and the last row with samples.
func firstOf(of func(*rollup.Rows, int) float64) floatFunc {
	return func(dst []float64, r *rollup.Rows, w *Windows) (Warnings, bool) {
		c := cursor{rows: r, w: w}
		for i := range dst {
			c.move(i)
			dst[i] = Absent()
			if c.first >= 0 {
				dst[i] = of(r, c.first)
			}
		}
		return 0, true
	}
}

func lastOf(of func(*rollup.Rows, int) float64) floatFunc {
	return func(dst []float64, r *rollup.Rows, w *Windows) (Warnings, bool) {
		c := cursor{rows: r, w: w}
		for i := range dst {
			c.move(i)
			dst[i] = Absent()
			if c.last >= 0 {
				dst[i] = of(r, c.last)
			}
		}
		return 0, true
	}
}

func rowFirst(r *rollup.Rows, i int) float64   { return r.First[i] }
func rowLast(r *rollup.Rows, i int) float64    { return r.Last[i] }
func rowFirstMs(r *rollup.Rows, i int) float64 { return float64(r.FirstMs[i]) / 1000 }
func rowLastMs(r *rollup.Rows, i int) float64  { return float64(r.LastMs[i]) / 1000 }
