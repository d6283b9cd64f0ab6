package rollup

// Clone returns a row that [MergeHistograms] may change: its Sum and Comp are copies. The samples in it are shared, and
// nobody changes them.
func (r *HistogramRow) Clone() HistogramRow {
	c := *r
	if r.Sum != nil {
		c.Sum = r.Sum.Copy()
	}
	if r.Comp != nil {
		c.Comp = r.Comp.Copy()
	}
	return c
}

// MergeHistograms makes a, a [HistogramRow.Clone], the row of the stretch of a and of b that follows it, which is
// NeedsRaw where the two cannot be merged. What needs columns that were not asked for, and are
// nil, stays undefined.
func MergeHistograms(a, b *HistogramRow) {
	staleMs := a.StaleMs
	if b.StaleMs != 0 {
		staleMs = b.StaleMs
	}
	if a.N == 0 {
		flags := a.Flags
		*a = b.Clone()
		a.Flags |= flags
		a.StaleMs = staleMs
		return
	}
	a.StaleMs, a.EndMs = staleMs, b.EndMs
	if b.N == 0 {
		a.Flags |= b.Flags
		return
	}
	second, resets := a.Flags&SecondResets, false
	a.Flags = (a.Flags | b.Flags) &^ (LastResets | SecondResets)
	switch {
	case a.Flags&NeedsRaw != 0:
		a.giveUp()
	case a.Last == nil || b.First == nil:
		a.addSum(b)
	case compatible(a.Last, b.First):
		a.Flags |= second
		resets = a.join(b)
	default:
		a.giveUp()
	}
	if b.N > 1 {
		a.PrevMs, a.Prev = b.PrevMs, b.Prev
		resets = b.Flags&LastResets != 0
	} else {
		a.PrevMs, a.Prev = a.LastMs, a.Last
	}
	a.N += b.N
	a.LastMs, a.Last, a.LastStartMs = b.LastMs, b.Last, b.LastStartMs
	switch {
	case a.Flags&NeedsRaw != 0:
		a.giveUp()
	case resets:
		a.Flags |= LastResets
	}
}

// join merges what is computed of the samples, and reports whether b's first is a reset.
func (a *HistogramRow) join(b *HistogramRow) bool {
	resets := isStartReset(a.LastStartMs, a.LastMs, b.FirstStartMs, b.FirstMs) || b.First.DetectReset(a.Last)
	a.Resets += b.Resets
	a.Changes += b.Changes
	if isStartOverlap(a.LastStartMs, a.LastMs, b.FirstStartMs) {
		a.Flags |= StartOverlap
	}
	if !b.First.Equals(a.Last) {
		a.Changes++
	}
	if resets {
		a.Resets++
		if a.N == 1 {
			a.Flags |= SecondResets
		} else {
			a.compensate(a.Last)
		}
	}
	if b.Flags&SecondResets != 0 {
		a.compensate(b.First)
	}
	if b.Comp != nil {
		a.compensate(b.Comp)
	}
	a.addSum(b)
	return resets
}

func (a *HistogramRow) addSum(b *HistogramRow) {
	if a.Sum == nil || b.Sum == nil {
		return // nobody asked for it
	}
	if _, _, _, err := a.Sum.Add(b.Sum); err != nil {
		a.giveUp()
	}
}
