package rollup

// Rows are merged by package kernel as it reads them; the tests have it in one piece, to say what every column means.

// Merge returns the row of two stretches of a series that lie side by side, a before b; its end is b's. It is
// associative, up to rounding in Sum, Comp and M2.
//
// What it needs of the rows: Comp, Resets, Changes and the flag LastResets need first and last, Prev needs last, M2
// needs first and Sum. Columns that were not read come out meaningless.
func Merge(a, b Row) Row {
	staleMs := a.StaleMs
	if b.StaleMs != 0 {
		staleMs = b.StaleMs
	}
	carried := (a.Flags | b.Flags) &^ LastResets
	if a.N == 0 || b.N == 0 {
		r := a
		if a.N == 0 {
			r = b
		}
		r.EndMs, r.StaleMs, r.Flags = b.EndMs, staleMs, carried|r.Flags&LastResets
		return r
	}
	r := Row{
		EndMs: b.EndMs, N: a.N + b.N, StaleMs: staleMs, Flags: carried,
		FirstMs: a.FirstMs, First: a.First, FirstStartMs: a.FirstStartMs,
		LastMs: b.LastMs, Last: b.Last, LastStartMs: b.LastStartMs,
		PrevMs: b.PrevMs, Prev: b.Prev,
		Sum: a.Sum + b.Sum, Min: lesser(a.Min, b.Min), Max: greater(a.Max, b.Max),
		Comp: a.Comp, Resets: a.Resets + b.Resets, Changes: a.Changes + b.Changes,
		M2: mergeSquares(&a, &b),
	}
	resets := b.First < a.Last || isStartReset(a.LastStartMs, a.LastMs, b.FirstStartMs, b.FirstMs)
	if resets {
		r.Comp += a.Last
		r.Resets++
	}
	r.Comp += b.Comp
	if isChange(a.Last, b.First) {
		r.Changes++
	}
	if isStartOverlap(a.LastStartMs, a.LastMs, b.FirstStartMs) {
		r.Flags |= StartOverlap
	}
	if b.N > 1 {
		r.Flags |= b.Flags & LastResets
		return r
	}
	r.PrevMs, r.Prev = a.LastMs, a.Last
	if resets {
		r.Flags |= LastResets
	}
	return r
}

// lesser and greater are min and max as the engine's functions over time have them: a NaN counts only where there is
// nothing else, and of equal values the earlier one stays.
func lesser(a, b float64) float64 {
	if b < a || a != a {
		return b
	}
	return a
}

func greater(a, b float64) float64 {
	if b > a || a != a {
		return b
	}
	return a
}

// mergeSquares returns M2 of both. Both have samples.
func mergeSquares(a, b *Row) float64 {
	an, bn := float64(a.N), float64(b.N)
	d := mean(b) - mean(a)
	return a.M2 + b.M2 + d*d*an*bn/(an+bn)
}

// mean is exact where all samples are equal, so that merging such rows leaves M2 at 0.
func mean(r *Row) float64 {
	if r.M2 == 0 {
		return r.First
	}
	return r.Sum / float64(r.N)
}
