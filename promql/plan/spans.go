package plan

import (
	"slices"

	"github.com/metricstream/metricstream/store/rollup"
)

// clip returns what of the spans lies in one span.
func clip(list []rollup.Span, in rollup.Span) []rollup.Span {
	var out []rollup.Span
	for _, s := range list {
		if s = (rollup.Span{FromMs: max(s.FromMs, in.FromMs), ToMs: min(s.ToMs, in.ToMs)}); s.FromMs < s.ToMs {
			out = append(out, s)
		}
	}
	return out
}

// subtract returns what of the spans lies in none of others. Both are ascending and apart.
func subtract(list, others []rollup.Span) []rollup.Span {
	var out []rollup.Span
	for _, s := range list {
		for _, o := range others {
			if o.ToMs <= s.FromMs || o.FromMs >= s.ToMs {
				continue
			}
			if o.FromMs > s.FromMs {
				out = append(out, rollup.Span{FromMs: s.FromMs, ToMs: o.FromMs})
			}
			s.FromMs = o.ToMs
		}
		if s.FromMs < s.ToMs {
			out = append(out, s)
		}
	}
	return out
}

// union returns the spans of all lists, ascending and apart.
func union(lists ...[]rollup.Span) []rollup.Span {
	all := slices.Concat(lists...)
	slices.SortFunc(all, func(a, b rollup.Span) int {
		if a.FromMs < b.FromMs {
			return -1
		}
		return 1
	})
	var out []rollup.Span
	for _, s := range all {
		if n := len(out); n > 0 && s.FromMs <= out[n-1].ToMs {
			out[n-1].ToMs = max(out[n-1].ToMs, s.ToMs)
			continue
		}
		out = append(out, s)
	}
	return out
}

// common returns what lies in both lists.
func common(a, b []rollup.Span) []rollup.Span { return subtract(a, subtract(a, b)) }

// length returns the time in the spans.
func length(list []rollup.Span) int64 {
	n := int64(0)
	for _, s := range list {
		n += s.ToMs - s.FromMs
	}
	return n
}
