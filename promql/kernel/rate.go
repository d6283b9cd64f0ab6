package kernel

import "github.com/metricstream/metricstream/store/rollup"

// scale is what a difference is divided by.
type scale uint8

const (
	whole scale = iota
	perSecond
)

// correction is what a counter's resets add to a window that has both samples of the reset.
type correction struct {
	row    int
	edge   bool // between the row and the one before it, else inside the row
	amount float64

	// overlap says that it is no correction, but start timestamps that contradict each other.
	overlap bool
}

// corrections keeps those of the rows that a cursor has passed, in order of time. Resets are rare, so that adding those
// of a window one by one, as the engine does, is quick; and it rounds as the engine does.
type corrections struct {
	list     []correction
	from     int  // the first that is not before every window to come
	seen     int  // rows before this one are in the list
	previous int  // the last row with samples among them, -1 without
	overlap  bool // whether some window had start timestamps that overlap
}

// extend takes in the rows up to hi.
func (c *corrections) extend(r *rollup.Rows, hi int) {
	if c.seen >= hi {
		return
	}
	ns, firsts, lasts, comps := r.N[:hi], r.First[:hi], r.Last[:hi], r.Comp[:hi]
	starts, flags := r.FirstStartMs[:hi], r.Flags[:hi]
	p := c.previous
	for i := c.seen; i < hi; i++ {
		if ns[i] == 0 {
			continue
		}
		if p >= 0 && (firsts[i] < lasts[p] || starts[i] != 0) {
			c.edge(r, p, i)
		}
		if comps[i] != 0 {
			c.list = append(c.list, correction{row: i, amount: comps[i]})
		}
		if flags[i]&rollup.StartOverlap != 0 {
			c.list = append(c.list, correction{row: i, overlap: true})
		}
		p = i
	}
	c.previous, c.seen = p, hi
}

// edge looks at the last sample of row p and the first one of row i, its neighbour.
func (c *corrections) edge(r *rollup.Rows, p, i int) {
	if edgeResets(r, p, i) {
		c.list = append(c.list, correction{row: i, edge: true, amount: r.Last[p]})
	}
	if start := r.FirstStartMs[i]; start != 0 && start < r.LastMs[p] && start != r.LastStartMs[p] {
		c.list = append(c.list, correction{row: i, edge: true, overlap: true})
	}
}

// add adds the corrections of the rows from first on, of which first has no neighbour in the window.
func (c *corrections) add(v float64, first int) float64 {
	for c.from < len(c.list) && c.list[c.from].row < first {
		c.from++
	}
	for i := c.from; i < len(c.list); i++ {
		switch x := &c.list[i]; {
		case x.edge && x.row == first:
		case x.overlap:
			c.overlap = true
		default:
			v += x.amount
		}
	}
	return v
}

// counterRate is rate and increase.
func counterRate(by scale) floatFunc {
	return func(dst []float64, r *rollup.Rows, w *Windows) (Warnings, bool) {
		c, resets, n := cursor{rows: r, w: w}, corrections{previous: -1}, counter{}
		for i := range dst {
			c.move(i)
			if c.first < 0 {
				dst[i] = Absent()
				continue
			}
			resets.extend(r, c.hi)
			e := extrapolation{
				startMs: w.EndMs(i) - w.RangeMs, endMs: w.EndMs(i), samples: n.count(r, c.lo, c.hi),
				firstMs: r.FirstMs[c.first], lastMs: r.LastMs[c.last],
				counter: true, first: r.First[c.first], firstStartMs: r.FirstStartMs[c.first],
			}
			v, ok := e.apply(resets.add(r.Last[c.last]-r.First[c.first], c.first))
			dst[i] = result(v, ok, by, w)
		}
		if resets.overlap {
			return StartOverlap, true
		}
		return 0, true
	}
}

func delta(dst []float64, r *rollup.Rows, w *Windows) (Warnings, bool) {
	c, n := cursor{rows: r, w: w}, counter{}
	for i := range dst {
		c.move(i)
		if c.first < 0 {
			dst[i] = Absent()
			continue
		}
		e := extrapolation{
			startMs: w.EndMs(i) - w.RangeMs, endMs: w.EndMs(i), samples: n.count(r, c.lo, c.hi),
			firstMs: r.FirstMs[c.first], lastMs: r.LastMs[c.last],
		}
		v, ok := e.apply(r.Last[c.last] - r.First[c.first])
		dst[i] = result(v, ok, whole, w)
	}
	return 0, true
}

// result multiplies in the engine's order: the factor is divided by the range first.
func result(e extrapolated, ok bool, by scale, w *Windows) float64 {
	if !ok {
		return Absent()
	}
	if by == perSecond {
		e.factor /= w.seconds()
	}
	return e.value * e.factor
}

// counter counts the samples in the rows of windows that move forward.
type counter struct {
	lo, hi int
	n      uint64
}

func (c *counter) count(r *rollup.Rows, lo, hi int) uint64 {
	n := c.n
	for _, more := range r.N[c.hi:hi] {
		n += uint64(more)
	}
	for _, less := range r.N[c.lo:lo] {
		n -= uint64(less)
	}
	c.lo, c.hi, c.n = lo, hi, n
	return n
}
