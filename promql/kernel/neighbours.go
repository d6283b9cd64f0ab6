package kernel

import (
	"math"

	"github.com/metricstream/metricstream/store/rollup"
)

// pair is the last two samples of a window.
type pair struct {
	v, prev    float64
	ms, prevMs int64
	resets     bool
}

// lastPair returns the last two samples of the cursor's window; resets is only looked for where counters are.
func (c *cursor) lastPair(counter bool) (p pair, ok bool) {
	r, l := c.rows, c.last
	if l < 0 {
		return p, false
	}
	p.v, p.ms = r.Last[l], r.LastMs[l]
	if r.N[l] > 1 {
		p.prev, p.prevMs = r.Prev[l], r.PrevMs[l]
		p.resets = r.Flags[l]&rollup.LastResets != 0
		return p, true
	}
	before := l - 1
	for before >= c.lo && r.N[before] == 0 {
		before--
	}
	if before < c.lo {
		return p, false
	}
	p.prev, p.prevMs = r.Last[before], r.LastMs[before]
	p.resets = counter && edgeResets(r, before, l)
	return p, true
}

func irate(dst []float64, r *rollup.Rows, w *Windows) (Warnings, bool) {
	c := cursor{rows: r, w: w}
	for i := range dst {
		c.move(i)
		dst[i] = Absent()
		if p, ok := c.lastPair(true); ok {
			if !p.resets {
				p.v -= p.prev
			}
			dst[i] = p.v / (float64(p.ms-p.prevMs) / 1000)
		}
	}
	return 0, true
}

func idelta(dst []float64, r *rollup.Rows, w *Windows) (Warnings, bool) {
	c := cursor{rows: r, w: w}
	for i := range dst {
		c.move(i)
		dst[i] = Absent()
		if p, ok := c.lastPair(false); ok {
			dst[i] = p.v - p.prev
		}
	}
	return 0, true
}

// between counts what happens inside rows and between neighbouring rows of windows that move forward.
type between struct {
	inside   []uint32
	edge     func(p, i int) bool
	edges    []bool // of the rows so far: whether it happened between the row and the one before it
	previous int
	lo, n    int
}

func (b *between) count(r *rollup.Rows, c *cursor) int {
	for i := len(b.edges); i < c.hi; i++ {
		happened := false
		if r.N[i] > 0 {
			happened = b.previous >= 0 && b.edge(b.previous, i)
			b.previous = i
			b.n += int(b.inside[i])
		}
		if happened {
			b.n++
		}
		b.edges = append(b.edges, happened)
	}
	for ; b.lo < c.lo; b.lo++ {
		if r.N[b.lo] > 0 {
			b.n -= int(b.inside[b.lo])
		}
		if b.edges[b.lo] {
			b.n--
		}
	}
	if b.edges[c.first] {
		return b.n - 1 // the first row's neighbour is outside
	}
	return b.n
}

func (b *between) over(dst []float64, r *rollup.Rows, w *Windows) (Warnings, bool) {
	c := cursor{rows: r, w: w}
	for i := range dst {
		c.move(i)
		dst[i] = Absent()
		if c.first >= 0 {
			dst[i] = float64(b.count(r, &c))
		}
	}
	return 0, true
}

func resets(dst []float64, r *rollup.Rows, w *Windows) (Warnings, bool) {
	b := between{inside: r.Resets, previous: -1, edge: func(p, i int) bool { return edgeResets(r, p, i) }}
	return b.over(dst, r, w)
}

func changes(dst []float64, r *rollup.Rows, w *Windows) (Warnings, bool) {
	b := between{inside: r.Changes, previous: -1, edge: func(p, i int) bool {
		was, is := r.Last[p], r.First[i]
		return is != was && !(math.IsNaN(is) && math.IsNaN(was))
	}}
	return b.over(dst, r, w)
}
