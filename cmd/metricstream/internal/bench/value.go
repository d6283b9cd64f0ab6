package bench

// kind is how a series' value moves from one scrape to the next.
type kind uint8

const (
	kindConst   kind = iota // never changes
	kindCounter             // grows by 0 to 2 steps
	kindSparse              // a counter that grows by 1 in one scrape of 64, as error counts do
	kindBucket              // a cumulative bucket of a classic histogram: a share of what its counter grows by
	kindGauge               // wanders around its base
	kindSlow                // a gauge that moves in one scrape of 16, as free disk space does
)

// move is the law of a series: its value is mantissa * scale / div, and kind, base and step speak of the
// mantissa. So a value has exactly the decimals that its exporter would print.
type move struct {
	kind  kind
	base  int64
	step  uint32
	scale int64
	div   float64
}

// shareBits is the fixed point of a bucket's share of all observations.
const shareBits = 16

// resetMask makes one draw in 131,072 a counter reset: every series once in 23 days of 15-second scrapes.
const resetMask = 1<<17 - 1

// walk is the state of one series. Series that share a seed draw the same numbers: that is how the buckets of
// a histogram stay cumulative, and reset together, without knowing of each other.
type walk struct {
	rng   uint64
	mant  int64
	move  *move
	share uint32 // of a bucket, in 1<<shareBits
}

// next returns the value of the next scrape.
func (w *walk) next() float64 {
	m := w.move
	if m.kind != kindConst {
		w.advance(m)
	}
	return float64(w.mant*m.scale) / m.div
}

func (w *walk) advance(m *move) {
	z := w.draw()
	switch m.kind {
	case kindGauge:
		w.wander(m, z)
		return
	case kindSlow:
		if z>>60 == 0 {
			w.wander(m, z)
		}
		return
	}
	if z>>32&resetMask == 0 {
		w.mant = 0
		return
	}
	switch m.kind {
	case kindCounter:
		w.mant += below(z, 2*m.step+1)
	case kindBucket:
		w.mant += below(z, 2*m.step+1) * int64(w.share) >> shareBits
	case kindSparse:
		if z>>58 == 0 {
			w.mant++
		}
	}
}

// wander moves by up to one step either way, drawn back to the base, never below zero.
func (w *walk) wander(m *move, z uint64) {
	w.mant += below(z, 2*m.step+1) - int64(m.step) + (m.base-w.mant)/64
	if w.mant < 0 {
		w.mant = 0
	}
}

// below maps the low 32 bits of z evenly to [0, n).
func below(z uint64, n uint32) int64 { return int64(z & (1<<32 - 1) * uint64(n) >> 32) }

// draw is splitmix64.
func (w *walk) draw() uint64 {
	w.rng += 0x9e3779b97f4a7c15
	return mix(w.rng)
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
