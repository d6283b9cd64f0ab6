package plan

import (
	"fmt"
	"sort"

	"github.com/metricstream/metricstream/store/rollup"
)

// Approximate is how the first times of a selector are answered for which every exact route misses time that a tier still
// has. The other times are answered exactly.
type Approximate struct {
	// Count is how many of the times are answered so.
	Count int

	// RangeMs is what the range becomes where a tier knows the function: whole buckets. The windows end at the last end of a
	// bucket that is not after their time.
	RangeMs int64

	// Lasts says that no tier knows the function: it gets the last sample of each bucket.
	Lasts bool

	// RawMs is from when on raw has all samples that anything knows of.
	RawMs int64

	// Exact is the selector at the other times; nil where there are none.
	Exact *Selector

	// How says which tier answers, and how.
	How string
}

// cutAtMost is the part of a single window, one in so many, that may be missing without the window being moved.
const cutAtMost = 10

// approximate finds out whether a tier sees more than the best exact route does, and takes it for the times at which it does.
func (s *Selector) approximate(best route, covered []rollup.Coverage) {
	if s.rawOnly != "" && !s.lasts || best.ragged && length(best.missing)*cutAtMost < s.RangeMs {
		return
	}
	count := sort.Search(s.Times.Count, func(i int) bool { return len(s.at(i, s.Times.Count).exact(covered).missing) == 0 })
	head := s.at(0, count)
	least := length(head.exact(covered).missing)
	var chosen route
	for _, tier := range []rollup.Tier{rollup.Minute, rollup.Hour} {
		r := head.moved(tier, covered)
		if missing := length(r.missing); len(r.covered) > 0 && missing < least {
			chosen, least = r, missing
		}
	}
	if chosen.tier == rollup.Raw {
		return
	}
	step := chosen.tier.StepMs()
	a := &Approximate{Count: count, RangeMs: wholeBuckets(s.RangeMs, step), Lasts: s.lasts}
	a.How = fmt.Sprintf("answered approximately from tier %s until %s: ", chosen.tier, clock(head.EndMs()))
	switch {
	case s.lasts:
		a.How += fmt.Sprintf("%s of the last sample of each %s", s.Function, text(step))
	case s.Instant():
		a.How += "the last sample of the last full " + text(step)
	default:
		a.How += fmt.Sprintf("windows of %s are taken as the last %s that end at a full %s", text(s.RangeMs), text(a.RangeMs), text(step))
	}
	if gone := s.raw(covered).missing; len(gone) > 0 {
		a.RawMs = gone[len(gone)-1].ToMs
	}
	if count < s.Times.Count {
		a.Exact = s.at(count, s.Times.Count)
		a.Exact.follow(a.Exact.exact(covered))
		a.Exact.Expired = expired(a.Exact.raw(covered).missing)
	}
	s.Missing, s.Approximate = "", a
	s.follow(chosen)
}

// at returns the selector at some of its times.
func (s *Selector) at(from, to int) *Selector {
	c := *s
	c.Times.FirstMs, c.Times.Count = s.Times.At(from), to-from
	c.Why, c.Missing = "", ""
	return &c
}

// Head returns the selector at the times that are answered approximately.
func (s *Selector) Head() *Selector { return s.at(0, s.Approximate.Count) }

// Tail returns the selector at the other times, nil without any.
func (s *Selector) Tail() *Selector {
	if s.Approximate.Exact == nil {
		return nil
	}
	c := *s.Approximate.Exact
	c.Negated = s.Negated
	return &c
}

// moved is the route of a tier whose windows are those of whole buckets.
func (s *Selector) moved(tier rollup.Tier, covered []rollup.Coverage) route {
	step := tier.StepMs()
	inside := rollup.Span{FromMs: s.BeginMs() / step * step, ToMs: s.EndMs() / step * step}
	switch {
	case s.lasts:
	case s.Instant():
		inside.FromMs = (s.Times.FirstMs - max(s.RangeMs, step)) / step * step
	default:
		inside.FromMs = s.Times.FirstMs/step*step - wholeBuckets(s.RangeMs, step)
	}
	var all route
	for i, c := range covered {
		r := route{tier: tier, covered: clip(c[tier], inside)}
		r.missing = s.unseen(subtract([]rollup.Span{inside}, r.covered), c)
		if i > 0 {
			r.covered, r.missing = union(all.covered, r.covered), union(all.missing, r.missing)
		}
		all = r
	}
	return all
}

// wholeBuckets rounds a range to whole buckets, at least one.
func wholeBuckets(rangeMs, stepMs int64) int64 {
	return max(1, (rangeMs+stepMs/2)/stepMs) * stepMs
}

// Grid returns the times at which the windows of whole buckets are computed, and for each of the times which of these it
// takes its value from.
func (a *Approximate) Grid(t Times, stepMs int64) (Times, func(i int) int) {
	grid := Times{FirstMs: t.FirstMs / stepMs * stepMs, StepMs: t.StepMs, Count: t.Count}
	if t.Count == 1 || t.StepMs%stepMs == 0 {
		return grid, func(i int) int { return i }
	}
	grid.StepMs = stepMs
	grid.Count = int((t.LastMs()/stepMs*stepMs-grid.FirstMs)/stepMs) + 1
	return grid, func(i int) int { return int((t.At(i) - grid.FirstMs) / stepMs) }
}
