package plan

// Times are equally spaced times in milliseconds: FirstMs and every StepMs from there on, Count in all.
type Times struct {
	FirstMs, StepMs int64
	Count           int
}

// At returns the i-th time.
func (t Times) At(i int) int64 { return t.FirstMs + int64(i)*t.StepMs }

// LastMs returns the last time.
func (t Times) LastMs() int64 { return t.At(max(t.Count, 1) - 1) }

// multiplesOf reports whether all the times are multiples of a step.
func (t Times) multiplesOf(stepMs int64) bool {
	return t.FirstMs%stepMs == 0 && (t.Count <= 1 || t.StepMs%stepMs == 0)
}

// shift returns the times earlier by an offset.
func (t Times) shift(offsetMs int64) Times {
	t.FirstMs -= offsetMs
	return t
}

// at returns the one time of an @ modifier.
func at(timeMs int64) Times { return Times{FirstMs: timeMs, Count: 1} }

// subquery returns the times at which the inside of a subquery is evaluated, where the subquery itself is at t: from
// the first multiple of the step that is in the first window up to the end of the last, gaps between windows included.
func (t Times) subquery(rangeMs, stepMs int64) Times {
	begin := t.FirstMs - rangeMs
	first := begin / stepMs * stepMs
	if first <= begin {
		first += stepMs
	}
	end := t.LastMs()
	if end < first {
		return Times{FirstMs: first, StepMs: stepMs}
	}
	return Times{FirstMs: first, StepMs: stepMs, Count: int((end-first)/stepMs) + 1}
}
