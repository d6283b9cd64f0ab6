package plan

import (
	"fmt"
	"time"

	"github.com/metricstream/metricstream/store/rollup"
	"github.com/prometheus/common/model"
)

// rawPerMinute is the number of samples in a minute that costs are estimated with: a scrape every 15 seconds.
const rawPerMinute = 4

// worthwhile is how many times fewer rows a tier has to read than raw.
const worthwhile = 2

const minuteMs = 60_000

// route is one way to answer a selector.
type route struct {
	tier    rollup.Tier
	ragged  bool
	covered []rollup.Span
	missing []rollup.Span // time that another tier knows of and this route cannot see
	rows    int64         // estimated for one series
}

// and returns the route of several tenants, of which two are a's and b's.
func (a route) and(b route) route {
	a.covered, a.missing = common(a.covered, b.covered), union(a.missing, b.missing)
	a.rows += b.rows
	return a
}

// choose decides on the route of the selector: of those that are exact and see the most, the one that reads the
// least, and of equal ones the coarsest. Only where each of them misses what a tier has the answer may be approximate.
func (s *Selector) choose(force Resolution, covered []rollup.Coverage) error {
	if force != Auto {
		return s.take(force.tier(), covered)
	}
	best := s.exact(covered)
	s.follow(best)
	if len(best.missing) > 0 {
		s.approximate(best, covered)
	}
	return nil
}

// exact returns the best of the routes that are exact, and notes why it is no coarser one.
func (s *Selector) exact(covered []rollup.Coverage) route {
	best := s.raw(covered)
	if s.rawOnly != "" {
		s.Why = s.rawOnly
		return best
	}
	for _, tier := range []rollup.Tier{rollup.Minute, rollup.Hour} {
		r, why := s.route(tier, covered)
		switch {
		case why == "" && r.better(best):
			best, s.Why = r, ""
		case why == "":
			s.because(tier, "it would not read much less")
		default:
			s.because(tier, why)
		}
	}
	return best
}

// because notes why a tier that is coarser than the one chosen so far was not taken.
func (s *Selector) because(tier rollup.Tier, why string) {
	if s.Why != "" {
		s.Why += "; "
	}
	s.Why += tier.String() + ": " + why
}

// take follows the route of a tier that was asked for.
func (s *Selector) take(tier rollup.Tier, covered []rollup.Coverage) error {
	if tier == rollup.Raw {
		s.follow(s.raw(covered))
		s.Why = "raw was asked for"
		return nil
	}
	r, why := s.route(tier, covered)
	if why == "" && len(r.missing) > 0 {
		why = s.missingText(r)
	}
	if why != "" {
		return &RefusedError{Selector: s.Text, Tier: tier, Why: why}
	}
	s.follow(r)
	s.Why = tier.String() + " was asked for"
	return nil
}

func (s *Selector) follow(r route) {
	s.Tier, s.Ragged, s.Covered = r.tier, r.ragged, r.covered
	if len(r.missing) > 0 {
		s.Missing = s.missingText(r)
	}
}

// better reports whether a route of a tier is to be preferred to the best one so far. Seeing more decides; a tier
// that is finer than another or is raw has to read several times as much to be left.
func (r route) better(best route) bool {
	if a, b := length(r.missing), length(best.missing); a != b {
		return a < b
	}
	if best.tier == rollup.Raw {
		return r.rows*worthwhile <= best.rows
	}
	return r.rows <= best.rows
}

// raw is the route that is always exact. There is a coverage for each tenant.
func (s *Selector) raw(covered []rollup.Coverage) route {
	r := s.rawOf(covered[0])
	for _, c := range covered[1:] {
		r = r.and(s.rawOf(c))
	}
	return r
}

func (s *Selector) rawOf(covered rollup.Coverage) route {
	need := []rollup.Span{s.need()}
	r := route{tier: rollup.Raw, covered: common(need, covered[rollup.Raw])}
	r.missing = s.unseen(need, covered)
	r.rows = length(need) * rawPerMinute / minuteMs
	return r
}

func (s *Selector) need() rollup.Span { return rollup.Span{FromMs: s.BeginMs(), ToMs: s.EndMs()} }

// unseen returns what of some time raw does not have and another tier does.
func (s *Selector) unseen(spans []rollup.Span, covered rollup.Coverage) []rollup.Span {
	return common(subtract(spans, covered[rollup.Raw]), union(covered[:]...))
}

// route is the route over a tier, or why there is none. A tenant that has nothing in the tier is folded from raw.
func (s *Selector) route(tier rollup.Tier, covered []rollup.Coverage) (route, string) {
	var all route
	none := 0
	for i, c := range covered {
		r, why := s.routeOf(tier, c)
		switch why {
		case "":
		case nothingComplete:
			none++
		default:
			return r, why
		}
		if i > 0 {
			r = all.and(r)
		}
		all = r
	}
	if none == len(covered) {
		return all, nothingComplete
	}
	return all, ""
}

const nothingComplete = "nothing of the time is complete in it"

func (s *Selector) routeOf(tier rollup.Tier, covered rollup.Coverage) (route, string) {
	if s.rawOnly != "" {
		return route{}, s.rawOnly
	}
	r := route{tier: tier}
	step, need := tier.StepMs(), s.need()
	inside := rollup.Span{FromMs: rollup.EndMs(need.FromMs, step), ToMs: need.ToMs / step * step}
	switch {
	case s.Instant() && s.Times.multiplesOf(step):
		inside.FromMs -= step // a bucket may begin before the lookback does; the engine looks at the times of samples
		need.FromMs = min(need.FromMs, inside.FromMs)
	case s.Instant():
		return r, "it is evaluated at " + s.times(step)
	case s.Times.multiplesOf(step) && s.RangeMs%step == 0:
	case s.Times.Count > 1:
		return r, s.unaligned(step)
	case inside.FromMs >= inside.ToMs:
		return r, "no whole bucket lies in the window"
	default:
		r.ragged = true
	}
	r.covered = clip(covered[tier], inside)
	rest := subtract([]rollup.Span{need}, r.covered)
	r.missing = s.unseen(rest, covered)
	r.rows = length(r.covered)/step + length(rest)*rawPerMinute/minuteMs
	if len(r.covered) == 0 {
		return r, nothingComplete
	}
	return r, ""
}

func (s *Selector) times(stepMs int64) string {
	return fmt.Sprintf("times that are no multiples of %s", text(stepMs))
}

func (s *Selector) unaligned(stepMs int64) string {
	if s.Times.multiplesOf(stepMs) {
		return fmt.Sprintf("the range %s is no multiple of %s", text(s.RangeMs), text(stepMs))
	}
	return "the windows end at " + s.times(stepMs)
}

// missingText says what of the answer a route cannot see.
func (s *Selector) missingText(r route) string {
	if r.tier != rollup.Raw {
		return fmt.Sprintf("raw samples %s have expired, which it needs beside tier %s", expired(r.missing), r.tier)
	}
	return fmt.Sprintf("raw samples %s have expired, and no tier can answer it exactly: %s", expired(r.missing), s.Why)
}

func clock(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05Z") }

func text(ms int64) string { return model.Duration(time.Duration(ms) * time.Millisecond).String() }
