package kernel

import (
	"math"

	"github.com/metricstream/metricstream/store/rollup"
)

// moments are the number of samples, their mean and the sum of the squared differences from it.
type moments struct{ n, mean, m2 float64 }

func addMoments(a, b moments) moments {
	n, d := a.n+b.n, b.mean-a.mean
	m := moments{n: n, mean: a.mean, m2: a.m2 + b.m2 + d*d*a.n*b.n/n}
	if d != 0 {
		m.mean += d * b.n / n
	}
	return m
}

func identity(v float64) float64 { return v }

// variance is stdvar_over_time, or stddev_over_time with the square root.
func variance(of func(float64) float64) floatFunc {
	return func(dst []float64, r *rollup.Rows, w *Windows) (Warnings, bool) {
		row := func(i int) moments {
			m := moments{n: float64(r.N[i]), mean: r.First[i], m2: r.M2[i]}
			if m.m2 != 0 { // else all are equal, and the mean is exact
				m.mean = r.Sum[i] / m.n
			}
			if math.IsInf(m.mean, 0) {
				m.m2 = math.NaN()
			}
			return m
		}
		return slide(dst, r, w, addMoments, row, func(m moments) (float64, bool) { return of(m.m2 / m.n), true })
	}
}
