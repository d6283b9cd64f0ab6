package kernel

// extrapolation is a window whose difference is extended to its bounds.
type extrapolation struct {
	startMs, endMs  int64
	samples         uint64
	firstMs, lastMs int64

	// What counters need beside: they do not fall below zero, and their start is known where senders say it.
	counter      bool
	first        float64 // of a histogram its count
	firstStartMs int64
}

// extrapolated is a difference with the factor that extends it. Of a histogram, value is the difference of the counts.
type extrapolated struct {
	value, factor float64

	// fromZero says that the counter began inside the window, and that its first sample is in the difference.
	fromZero bool
}

// apply follows extrapolatedRate of the engine step by step, rounding included. It reports false where there are too few
// samples.
func (e *extrapolation) apply(difference float64) (extrapolated, bool) {
	x := extrapolated{value: difference, factor: 1}
	toStart, toEnd := float64(e.firstMs-e.startMs)/1000, float64(e.endMs-e.lastMs)/1000
	interval := float64(e.lastMs-e.firstMs) / 1000
	average := 0.0
	if e.samples > 1 {
		average = interval / float64(e.samples-1)
	}
	threshold := average * 1.1
	switch {
	case e.counter && e.firstStartMs != 0 && e.firstStartMs > e.startMs && e.firstStartMs < e.firstMs:
		toStart, interval = 0, float64(e.lastMs-e.firstStartMs)/1000
		x.value += e.first
		x.fromZero = true
	case e.samples < 2:
		return x, false
	default:
		if toStart >= threshold {
			toStart = average / 2
		}
		if e.counter && difference > 0 && e.first >= 0 {
			if toZero := interval * (e.first / difference); toZero < toStart { // not min: a NaN changes nothing
				toStart = toZero
			}
		}
	}
	if toEnd >= threshold {
		toEnd = average / 2
	}
	if interval != 0 {
		x.factor = (interval + toStart + toEnd) / interval
	}
	return x, true
}
