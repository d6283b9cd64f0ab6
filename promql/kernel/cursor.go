package kernel

import "github.com/metricstream/metricstream/store/rollup"

// cursor walks the windows over the rows of a series. Its rows are [lo, hi), of which first and last have samples.
type cursor struct {
	rows *rollup.Rows
	w    *Windows

	lo, hi      int
	first, last int // -1 where no row of the window has samples
}

// move goes to the i-th window; windows are visited in order.
func (c *cursor) move(i int) {
	end := c.w.EndMs(i)
	begin := end - c.w.RangeMs
	if end%c.w.BucketMs != 0 {
		end = rollup.EndMs(end, c.w.BucketMs)
	}
	ends, lo, hi := c.rows.EndsMs, c.lo, c.hi
	for hi < len(ends) && ends[hi] <= end {
		hi++
	}
	for lo < hi && ends[lo] <= begin {
		lo++
	}
	c.lo, c.hi = lo, hi
	n := c.rows.N
	c.first, c.last = c.lo, c.hi-1
	for c.first < c.hi && n[c.first] == 0 {
		c.first++
	}
	if c.first == c.hi {
		c.first, c.last = -1, -1
		return
	}
	for n[c.last] == 0 {
		c.last--
	}
}

// isStartReset is the engine's rule for the start timestamps of two neighbouring samples.
func isStartReset(prevStartMs, prevMs, startMs, timeMs int64) bool {
	switch {
	case startMs == prevStartMs || startMs == 0 || startMs >= timeMs || startMs < prevMs:
		return false
	case startMs > prevMs:
		return true
	}
	return prevStartMs != 0 && prevStartMs < prevMs
}

// edgeResets reports whether the first sample of row i is a counter reset against the last one of row p.
func edgeResets(r *rollup.Rows, p, i int) bool {
	return r.First[i] < r.Last[p] || isStartReset(r.LastStartMs[p], r.LastMs[p], r.FirstStartMs[i], r.FirstMs[i])
}
