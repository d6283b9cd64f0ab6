package rollup

// within returns the parts of the spans, which are ascending and apart, that lie in s.
func within(spans []Span, s Span) []Span {
	var out []Span
	for _, o := range spans {
		o.FromMs, o.ToMs = max(o.FromMs, s.FromMs), min(o.ToMs, s.ToMs)
		if o.FromMs < o.ToMs {
			out = append(out, o)
		}
	}
	return out
}

// without returns the parts of s that lie in none of the spans, which are ascending and apart.
func without(s Span, spans []Span) []Span {
	var out []Span
	for _, o := range within(spans, s) {
		if s.FromMs < o.FromMs {
			out = append(out, Span{s.FromMs, o.FromMs})
		}
		s.FromMs = o.ToMs
	}
	if s.FromMs < s.ToMs {
		out = append(out, s)
	}
	return out
}

// contains reports whether a bucket's end lies in one of the spans.
func contains(spans []Span, endMs int64) bool {
	for _, s := range spans {
		if endMs > s.FromMs && endMs <= s.ToMs {
			return true
		}
	}
	return false
}

// appendSpan adds a span that does not begin before the others, and joins it with the last where they touch.
func appendSpan(spans []Span, s Span) []Span {
	if n := len(spans); n > 0 && s.FromMs <= spans[n-1].ToMs {
		spans[n-1].ToMs = max(spans[n-1].ToMs, s.ToMs)
		return spans
	}
	return append(spans, s)
}

// union returns the spans of both, ascending and apart as each is.
func union(a, b []Span) []Span {
	var out []Span
	for len(a) > 0 || len(b) > 0 {
		if len(b) == 0 || len(a) > 0 && a[0].FromMs <= b[0].FromMs {
			a, b = b, a
		}
		out = appendSpan(out, b[0])
		b = b[1:]
	}
	return out
}

// floorTo rounds down to a multiple of the step.
func floorTo(timeMs, stepMs int64) int64 {
	end := EndMs(timeMs, stepMs)
	if end > timeMs {
		end -= stepMs
	}
	return end
}
