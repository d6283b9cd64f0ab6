package pii

import (
	"slices"
	"strings"
)

// Verdict is what becomes of a label.
type Verdict int

const (
	// Keep leaves it as it is.
	Keep Verdict = iota
	// Change gives it another value.
	Change
	// Leave leaves the label out.
	Leave
	// Reject rejects all that the label belongs to.
	Reject
)

// Result is what a policy says of a label's value.
type Result struct {
	Verdict Verdict

	// Value is the label's value from here on, the same string where the verdict is [Keep], and empty where it is [Leave] or [Reject].
	Value string

	// Found are the detectors that found something.
	Found Set
}

const (
	// maxRounds bounds how often a value is looked at: what was found is taken out, and what stood beside it may be a finding
	// then. maxFound bounds what is taken out of a value. Beyond either the whole value is.
	maxRounds = 8
	maxFound  = 32
)

// Treat says what becomes of a label's value. Treated again, a value stays as it is. The value of [NameLabel] stays a valid name
// of a metric, and is rejected where it would be left out.
func (p Policy) Treat(label, value string) Result {
	if p.rules == nil || value == "" {
		return Result{Value: value}
	}
	return p.treat(label, value, func(d *detector) Action { return d.action })
}

// Hide returns the value with a placeholder for everything that any detector finds, whatever it does with it: for messages
// to people.
func (p Policy) Hide(label, value string) string {
	if p.rules == nil || value == "" {
		return value
	}
	return p.treat(label, value, func(*detector) Action { return Mask }).Value
}

func (p Policy) treat(label, value string, does func(*detector) Action) Result {
	r := Result{Value: value}
	looking := ^p.rules.exempt[label]
	for round := 0; ; round++ {
		spans := p.rules.find(nil, r.Value, looking)
		verdict := p.rules.verdict(spans, does, &r)
		if verdict == Leave && label == NameLabel {
			verdict = Reject
		}
		if verdict > Change {
			return Result{Verdict: verdict, Found: r.Found}
		}
		spans = slices.DeleteFunc(spans, func(s span) bool { return does(&p.rules.detectors[s.by]) == Report })
		if len(spans) == 0 {
			return r
		}
		if round == maxRounds || len(spans) > maxFound {
			r.Value = string(p.appendPlaceholder(nil, label, spans[0].by, "", Mask))
			r.Verdict = Change
			return r
		}
		r.Value = p.replace(label, r.Value, spans, does)
		r.Verdict = Change
	}
}

// find appends what the detectors find that are looking.
func (r *rules) find(dst []span, value string, looking Set) []span {
	var c census
	c.take(value)
	for i := range r.detectors {
		d := &r.detectors[i]
		if looking&(1<<i) == 0 {
			continue
		}
		n := len(dst)
		switch {
		case d.own != nil:
			dst = r.findOwn(dst, d, value)
		case d.may(c):
			dst = d.find(dst, value)
		}
		for ; n < len(dst); n++ {
			dst[n].by = i
		}
	}
	return dst
}

// findOwn appends what a pattern finds outside of placeholders.
func (r *rules) findOwn(dst []span, d *detector, value string) []span {
	if !d.own.MatchString(value) {
		return dst
	}
	taken := r.placeholders(value)
	for _, at := range d.own.FindAllStringIndex(value, maxFound+1) {
		s := span{from: at[0], to: at[1]}
		if s.from < s.to && !slices.ContainsFunc(taken, func(t span) bool { return s.from < t.to && t.from < s.to }) {
			dst = append(dst, s)
		}
	}
	return dst
}

// verdict notes what was found, and returns the strictest verdict.
func (r *rules) verdict(spans []span, does func(*detector) Action, result *Result) (v Verdict) {
	for _, s := range spans {
		result.Found |= 1 << s.by
		switch does(&r.detectors[s.by]) {
		case Mask, Hash:
			v = max(v, Change)
		case Drop:
			v = max(v, Leave)
		case Refuse:
			v = max(v, Reject)
		}
	}
	return v
}

// part is a text that is replaced wherever it stands, also where no detector would find it.
type part struct {
	text string
	by   int
}

// replace puts placeholders for what was found. Findings that overlap are one, of the detector that begins first.
func (p Policy) replace(label, value string, spans []span, does func(*detector) Action) string {
	parts := partsOf(value, spans)
	out := make([]byte, 0, len(value)+32)
	for i := 0; i < len(value); {
		at := slices.IndexFunc(parts, func(p part) bool { return strings.HasPrefix(value[i:], p.text) })
		if at < 0 {
			out = append(out, value[i])
			i++
			continue
		}
		out = p.appendPlaceholder(out, label, parts[at].by, parts[at].text, does(&p.rules.detectors[parts[at].by]))
		i += len(parts[at].text)
	}
	return string(out)
}

// partsOf returns the texts of the findings, the longest first: those that overlap together, and each alone.
func partsOf(value string, spans []span) []part {
	slices.SortStableFunc(spans, func(a, b span) int { return a.from - b.from })
	parts := make([]part, 0, 2*len(spans))
	for i := 0; i < len(spans); {
		first, end := spans[i], spans[i].to
		for i++; i < len(spans) && spans[i].from < end; i++ {
			end = max(end, spans[i].to)
			parts = append(parts, part{value[spans[i].from:spans[i].to], spans[i].by})
		}
		parts = append(parts, part{value[first.from:end], first.by}, part{value[first.from:first.to], first.by})
	}
	slices.SortStableFunc(parts, func(a, b part) int { return len(b.text) - len(a.text) })
	return parts
}

// appendPlaceholder appends what stands for a text: [NAME] or [NAME:LETTERS], in the name of a metric _NAME_ or _NAME_LETTERS_.
func (p Policy) appendPlaceholder(dst []byte, label string, by int, text string, does Action) []byte {
	open, colon, end := byte('['), byte(':'), byte(']')
	if label == NameLabel {
		open, colon, end = '_', '_', '_'
	}
	dst = append(append(dst, open), p.rules.detectors[by].name...)
	if does == Hash {
		dst = p.appendHash(append(dst, colon), text)
	}
	return append(dst, end)
}

// placeholders returns where placeholders stand in a value.
func (r *rules) placeholders(value string) (all []span) {
	for i := 0; i < len(value); i++ {
		if value[i] != '[' && value[i] != '_' {
			continue
		}
		for _, d := range r.detectors {
			if to := placeholderEnd(value, i, d.name); to > 0 {
				all = append(all, span{from: i, to: to})
			}
		}
	}
	return all
}

// placeholderEnd returns where the placeholder of a detector's name ends that begins at i, 0 where there is none.
func placeholderEnd(value string, i int, name string) int {
	colon, end := byte(':'), byte(']')
	if value[i] == '_' {
		colon, end = '_', '_'
	}
	rest := value[i+1:]
	if !strings.HasPrefix(rest, name) {
		return 0
	}
	i += 1 + len(name)
	if after(value, i) == colon {
		n := i + 1
		for n < len(value) && n-i <= 2*hashBytes && strings.IndexByte(hashLetters, value[n]) >= 0 {
			n++
		}
		if n-i == 2*hashBytes+1 && after(value, n) == end {
			return n + 1
		}
	}
	if after(value, i) == end {
		return i + 1
	}
	return 0
}
