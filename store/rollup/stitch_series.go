package rollup

import (
	"cmp"
	"math"
	"slices"
)

// stitchSeries makes one series of what several sources have of it. covered is where the tier's rows are from.
func stitchSeries(sources []*source, covered []Span, yield func(*Series) error) error {
	for _, s := range sources {
		if err := s.next(); err != nil {
			return err
		}
	}
	var out Series
	var of []*source
	for {
		if of = smallest(of[:0], sources); len(of) == 0 {
			return nil
		}
		one := of[0].head
		if len(of) > 1 {
			stitchRows(&out, of, covered)
			one = &out
		}
		if err := yield(one); err != nil {
			return err
		}
		for _, s := range of {
			if err := s.next(); err != nil {
				return err
			}
		}
	}
}

// smallest appends to dst the sources whose next series has the smallest key.
func smallest(dst, sources []*source) []*source {
	for _, s := range sources {
		if s.head == nil {
			continue
		}
		if len(dst) > 0 {
			switch c := s.head.Key.Compare(dst[0].head.Key); {
			case c > 0:
				continue
			case c < 0:
				dst = dst[:0]
			}
		}
		dst = append(dst, s)
	}
	return dst
}

// stitchRows puts the rows of one series together in order of time. Where the tier has a row of the series in an hour
// that raw has too, the hour is the tier's.
func stitchRows(out *Series, of []*source, covered []Span) {
	out.Key, out.Labels = of[0].head.Key, of[0].head.Labels
	out.Rows.Reset()
	out.Histograms = out.Histograms[:0]
	var tier *Series
	for _, s := range of {
		if s.isTier {
			tier = s.head
		}
	}
	runs := make([]runs, len(of))
	for i, s := range of {
		if s.isTier {
			runs[i] = wholeRun(&s.head.Rows)
			out.Histograms = append(out.Histograms, s.head.Histograms...)
			continue
		}
		runs[i] = runsBeside(&s.head.Rows, tier, covered)
		for _, h := range s.head.Histograms {
			if !contains(covered, h.EndMs) || !hasHour(tier, h.EndMs) {
				out.Histograms = append(out.Histograms, h)
			}
		}
	}
	mergeRuns(&out.Rows, runs)
	slices.SortFunc(out.Histograms, func(a, b HistogramRow) int { return cmp.Compare(a.EndMs, b.EndMs) })
}

// runs are stretches of rows, one after the other.
type runs struct {
	rows  *Rows
	parts []run
}

type run struct{ from, to int }

func wholeRun(r *Rows) runs {
	if r.Len() == 0 {
		return runs{}
	}
	return runs{rows: r, parts: []run{{0, r.Len()}}}
}

// runsBeside returns the rows that are not covered, or lie in hours in which the tier has none.
func runsBeside(r *Rows, tier *Series, covered []Span) runs {
	if tier == nil {
		return wholeRun(r)
	}
	out := runs{rows: r}
	for i := 0; i < r.Len(); {
		from, hour, inside := i, EndMs(r.EndsMs[i], hourMs), contains(covered, r.EndsMs[i])
		for i < r.Len() && r.EndsMs[i] <= hour && contains(covered, r.EndsMs[i]) == inside {
			i++
		}
		switch n := len(out.parts); {
		case inside && hasHour(tier, hour):
		case n > 0 && out.parts[n-1].to == from:
			out.parts[n-1].to = i
		default:
			out.parts = append(out.parts, run{from, i})
		}
	}
	return out
}

// mergeRuns appends all rows in the order of their ends.
func mergeRuns(dst *Rows, all []runs) {
	for {
		next, until := -1, int64(math.MaxInt64)
		for i := range all {
			switch {
			case len(all[i].parts) == 0:
			case next < 0:
				next = i
			case all[i].end() < all[next].end():
				next, until = i, all[next].end()
			default:
				until = min(until, all[i].end())
			}
		}
		if next < 0 {
			return
		}
		all[next].take(dst, until)
	}
}

// end is where the next row ends.
func (r *runs) end() int64 { return r.rows.EndsMs[r.parts[0].from] }

// take appends the next row, and those after it in its stretch that end before until.
func (r *runs) take(dst *Rows, until int64) {
	p := &r.parts[0]
	n := 1
	if r.rows.EndsMs[p.to-1] < until {
		n = p.to - p.from
	} else {
		for p.from+n < p.to && r.rows.EndsMs[p.from+n] < until {
			n++
		}
	}
	dst.AppendRows(r.rows, p.from, p.from+n)
	if p.from += n; p.from == p.to {
		r.parts = r.parts[1:]
	}
}

// hasHour reports whether a series has a row in the hour of a bucket.
func hasHour(s *Series, endMs int64) bool {
	if s == nil {
		return false
	}
	hour := EndMs(endMs, hourMs)
	i, _ := slices.BinarySearch(s.Rows.EndsMs, hour-hourMs+1)
	if i < s.Rows.Len() && s.Rows.EndsMs[i] <= hour {
		return true
	}
	j, _ := slices.BinarySearchFunc(s.Histograms, hour-hourMs+1, func(h HistogramRow, t int64) int { return cmp.Compare(h.EndMs, t) })
	return j < len(s.Histograms) && s.Histograms[j].EndMs <= hour
}
