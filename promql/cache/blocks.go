package cache

import "time"

// grid are the times at which a range query is evaluated.
type grid struct {
	first, step int64
	count       int
}

func gridOf(startMs, endMs int64, step time.Duration) grid {
	g := grid{first: startMs, step: step.Milliseconds()}
	g.count = int((endMs-startMs)/g.step) + 1
	return g
}

func (g grid) at(i int) int64 { return g.first + int64(i)*g.step }

func (g grid) last() int64 { return g.at(g.count - 1) }

// phase is where in a step the times are. Only answers of one phase have times in common.
func (g grid) phase() int64 { return g.first % g.step }

// steps is the number of times of the grid in a span whose ends are such times.
func (g grid) steps(s span) int {
	if s.to < s.from {
		return 0
	}
	return int((s.to-s.from)/g.step) + 1
}

// onGrid returns the times of the grid, thought of as endless, in a span, as their first and last one.
func (g grid) onGrid(s span) span {
	up := func(t int64) int64 { return t + mod(g.first-t, g.step) }
	down := func(t int64) int64 { return t - mod(t-g.first, g.step) }
	return span{up(s.from), down(s.to)}
}

func mod(a, b int64) int64 {
	if a %= b; a < 0 {
		a += b
	}
	return a
}

const (
	// leastSteps is how many steps a block has at least: few blocks are quickly fetched.
	leastSteps = 120

	// leastBlockMs and growth are the lengths of blocks: an hour, two, four and so on.
	leastBlockMs = 3_600_000
	growth       = 2

	// maxBlockMs ends that: a step is three weeks then.
	maxBlockMs = leastBlockMs << 16
)

// blockMs returns how much time a block has, of a step. Blocks begin at multiples of it.
func blockMs(stepMs int64) int64 {
	length := int64(leastBlockMs)
	for length < leastSteps*stepMs && length < maxBlockMs {
		length *= growth
	}
	return length
}

// block is a stretch of time whose values are remembered together.
type block struct {
	number int64
	length int64
	times  span // the times of the grid in it
}

// blocks returns the blocks that the grid touches.
func (g grid) blocks() []block {
	length := blockMs(g.step)
	var out []block
	for n := g.first / length; n*length <= g.last(); n++ {
		b := block{number: n, length: length, times: g.onGrid(span{n * length, (n+1)*length - 1})}
		if b.times.from <= b.times.to {
			out = append(out, b)
		}
	}
	return out
}

func (s span) clip(o span) span { return span{max(s.from, o.from), min(s.to, o.to)} }

// piece is a part of an answer: of what is remembered, where entry is not nil, or to be evaluated.
type piece struct {
	span
	entry *entry
}

// pieces cuts the grid into what the entries, which ascend, have of it, and the rest.
func (g grid) pieces(entries []*entry) []piece {
	var out []piece
	next := g.first
	for _, e := range entries {
		if e == nil {
			continue
		}
		have := e.times.clip(span{next, g.last()})
		if have.from > have.to {
			continue
		}
		if have.from > next {
			out = append(out, piece{span: span{next, have.from - g.step}})
		}
		out = append(out, piece{span: have, entry: e})
		next = have.to + g.step
	}
	if next <= g.last() {
		out = append(out, piece{span: span{next, g.last()}})
	}
	return out
}

// evaluated returns the times that are evaluated for a piece. They are two at least: the engine treats a range of one time
// as an instant query, in which other things are errors.
func (g grid) evaluated(s span) span {
	switch {
	case s.from < s.to:
	case s.from > g.first:
		s.from -= g.step
	default:
		s.to += g.step
	}
	return s
}
