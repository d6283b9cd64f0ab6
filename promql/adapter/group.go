package adapter

import (
	"math"
	"slices"

	"github.com/metricstream/metricstream/promql/kernel"
	"github.com/metricstream/metricstream/promql/plan"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/kahansum"
)

// groups aggregate the floats of series as the engine's aggregation does, so that what is kept grows with the groups
// and not with the series. The engine aggregates what comes out once more: one float series of each group, beside the
// histograms, which are left to it.
type groups struct {
	group *plan.Group
	times plan.Times
	names []string // sorted
	found map[string]*partial
	key   []byte
}

// partial is what is known of one group.
type partial struct {
	labels labels.Labels
	cells  []cell
}

// cell is a group at one time. n counts the series.
type cell struct {
	v, c, n float64
	mean    bool // v is the mean so far: the sum would be infinite
}

func newGroups(s *plan.Selector) *groups {
	names := append([]string(nil), s.Group.Labels...)
	if s.Group.Without {
		names = append(names, labels.MetricName, "__type__", "__unit__")
	}
	slices.Sort(names)
	return &groups{group: s.Group, times: s.Times, names: names, found: map[string]*partial{}}
}

// counts reports whether only the number of the series matters, so that histograms are as good as floats.
func (g *groups) counts() bool { return g.group.Op == parser.COUNT || g.group.Op == parser.GROUP }

// of returns the group of a series.
func (g *groups) of(ls labels.Labels) *partial {
	if g.group.Without {
		g.key = ls.BytesWithoutLabels(g.key, g.names...)
	} else {
		g.key = ls.BytesWithLabels(g.key, g.names...)
	}
	p, ok := g.found[string(g.key)]
	if !ok {
		b := labels.NewBuilder(ls)
		if g.group.Without {
			b.Del(g.names...)
		} else {
			b.Keep(g.names...)
		}
		p = &partial{labels: b.Labels(), cells: make([]cell, g.times.Count)}
		g.found[string(g.key)] = p
	}
	return p
}

// add adds the values of a series.
func (g *groups) add(ls labels.Labels, values []float64) {
	p := g.of(ls)
	switch g.group.Op {
	case parser.SUM:
		p.each(values, (*cell).sum)
	case parser.AVG:
		p.each(values, (*cell).avg)
	case parser.MIN:
		p.each(values, (*cell).min)
	case parser.MAX:
		p.each(values, (*cell).max)
	default:
		p.each(values, func(c *cell, _ float64) { c.v++ })
	}
}

func (p *partial) each(values []float64, add func(*cell, float64)) {
	for i, v := range values {
		if kernel.IsAbsent(v) {
			continue
		}
		c := &p.cells[i]
		c.n++
		add(c, v)
	}
}

func (c *cell) sum(v float64) {
	if c.n == 1 {
		c.v = v
		return
	}
	c.v, c.c = kahansum.Inc(v, c.v, c.c)
}

func (c *cell) avg(v float64) {
	if c.n == 1 {
		c.v = v
		return
	}
	if !c.mean {
		sum, comp := kahansum.Inc(v, c.v, c.c)
		if !math.IsInf(sum, 0) {
			c.v, c.c = sum, comp
			return
		}
		c.mean = true
		c.v /= c.n - 1
		c.c /= c.n - 1
	}
	q := (c.n - 1) / c.n
	c.v, c.c = kahansum.Inc(v/c.n, q*c.v, q*c.c)
}

func (c *cell) min(v float64) {
	if c.n == 1 || v < c.v || c.v != c.v {
		c.v = v
	}
}

func (c *cell) max(v float64) {
	if c.n == 1 || v > c.v || c.v != c.v {
		c.v = v
	}
}

// value is what the engine has to get for the group at one time.
func (c *cell) value(op parser.ItemType) float64 {
	switch {
	case c.n == 0:
		return kernel.Absent()
	case op == parser.GROUP:
		return 1
	case op == parser.AVG && !c.mean:
		return c.v/c.n + c.c/c.n
	case op == parser.MIN || op == parser.MAX:
		return c.v
	}
	return c.v + c.c
}

// series returns a series for each group.
func (g *groups) series(negated bool) []storage.Series {
	list := make([]storage.Series, 0, len(g.found))
	for _, p := range g.found {
		out := &grid{labels: p.labels, times: g.times, values: make([]float64, len(p.cells))}
		for i := range p.cells {
			out.values[i] = p.cells[i].value(g.group.Op)
		}
		if negated {
			out.negate()
		}
		list = append(list, out)
	}
	return list
}
