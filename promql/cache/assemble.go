package cache

import (
	"math"
	"slices"
	"sort"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
)

// assembly puts an answer together of pieces that ascend.
type assembly struct {
	index  map[string]int
	series []promql.Series
	steps  int // that a series has at most
	space  []byte
}

func newAssembly(steps int) *assembly {
	return &assembly{index: map[string]int{}, steps: steps}
}

// of returns the series with these labels, which are encoded.
func (a *assembly) of(encoded []byte) (*promql.Series, error) {
	if i, ok := a.index[string(encoded)]; ok {
		return &a.series[i], nil
	}
	ls, err := parseLabels(encoded)
	if err != nil {
		return nil, err
	}
	return a.add(encoded, ls), nil
}

func (a *assembly) add(encoded []byte, ls labels.Labels) *promql.Series {
	a.index[string(encoded)] = len(a.series)
	a.series = append(a.series, promql.Series{Metric: ls})
	return &a.series[len(a.series)-1]
}

// addEntry adds what an entry has of the wanted times.
func (a *assembly) addEntry(e *entry, wanted span) error {
	return e.each(wanted, func(encoded []byte) (*promql.Series, error) {
		s, err := a.of(encoded)
		if err == nil && s.Floats == nil && s.Histograms == nil {
			s.Floats = make([]promql.FPoint, 0, a.steps)
		}
		return s, err
	})
}

// addMatrix adds what the engine returned of the wanted times. Nothing of the engine's memory is kept.
func (a *assembly) addMatrix(m promql.Matrix, wanted span) {
	for i := range m {
		from := &m[i]
		floats, histograms := within(from, wanted)
		if len(floats)+len(histograms) == 0 {
			continue
		}
		a.space = appendLabels(a.space[:0], from.Metric)
		var to *promql.Series
		if at, ok := a.index[string(a.space)]; ok {
			to = &a.series[at]
		} else {
			to = a.add(a.space, from.Metric)
		}
		if to.Floats == nil && len(floats) > 0 {
			to.Floats = make([]promql.FPoint, 0, a.steps)
		}
		to.Floats = append(to.Floats, floats...)
		for _, p := range histograms {
			to.Histograms = append(to.Histograms, promql.HPoint{T: p.T, H: p.H.Copy()})
		}
	}
}

// within returns the points of a series in a span.
func within(s *promql.Series, wanted span) ([]promql.FPoint, []promql.HPoint) {
	f := s.Floats
	from := sort.Search(len(f), func(i int) bool { return f[i].T >= wanted.from })
	to := sort.Search(len(f), func(i int) bool { return f[i].T > wanted.to })
	h := s.Histograms
	fromH := sort.Search(len(h), func(i int) bool { return h[i].T >= wanted.from })
	toH := sort.Search(len(h), func(i int) bool { return h[i].T > wanted.to })
	return f[min(from, to):to], h[min(fromH, toH):toH]
}

// matrix returns the answer as the engine would: sorted, without series that have no points.
func (a *assembly) matrix() promql.Matrix {
	out := make(promql.Matrix, 0, len(a.series))
	for _, s := range a.series {
		if len(s.Floats) == 0 {
			s.Floats = nil
		}
		if len(s.Floats)+len(s.Histograms) > 0 {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(x, y promql.Series) int { return labels.Compare(x.Metric, y.Metric) })
	return out
}

// slice returns the series with their points in a span, over the same memory.
func slice(m promql.Matrix, wanted span) []promql.Series {
	var out []promql.Series
	for i := range m {
		floats, histograms := within(&m[i], wanted)
		if len(floats)+len(histograms) > 0 {
			out = append(out, promql.Series{Metric: m[i].Metric, Floats: floats, Histograms: histograms})
		}
	}
	return out
}

var everything = span{math.MinInt64, math.MaxInt64}
