// Package pii owns personal data in label values: what it looks like, what is done with it, and how both are configured.
// It is pure: it reads no clock, does no I/O and starts no goroutine. It leaves to its callers where values come from,
// when they are looked at, and where findings are kept.
package pii

// Action is what is done with a value in which a detector finds something.
type Action string

// The actions, from the mildest to the strictest. Where several detectors find something in one value, refuse beats drop,
// and drop beats the rest.
const (
	// Off does not look.
	Off Action = "off"
	// Report counts a finding and changes nothing.
	Report Action = "report"
	// Mask puts [NAME] in place of what was found, NAME being the detector's.
	Mask Action = "mask"
	// Hash puts [NAME:LETTERS] in its place; the letters are a keyed hash of it, so equal texts of one tenant stay equal and
	// different ones different, and nobody without the key can try texts out.
	Hash Action = "hash"
	// Drop leaves the label out.
	Drop Action = "drop"
	// Refuse does not take the series, the exemplar or the metadata at all.
	Refuse Action = "refuse"
)

// actions are all of them, for messages.
const actions = "off, report, mask, hash, drop or refuse"

func (a Action) valid() bool {
	switch a {
	case Off, Report, Mask, Hash, Drop, Refuse:
		return true
	}
	return false
}

// The labels under which metadata is looked at: its metric name as the series', its texts under names that no label should have.
const (
	NameLabel = "__name__"
	HelpLabel = "__help__"
	UnitLabel = "__unit__"
)

// span is a part of a value, and by is the index of the detector that found it.
type span struct{ from, to, by int }

// builtin is a detector of this package. Its find appends what it finds in s, in order, without overlaps; may says from a
// count of the characters, which all detectors share, whether there can be anything.
type builtin struct {
	name string
	may  func(c census) bool
	find func(dst []span, s string) []span
}

// builtins returns the detectors; the README says what each one's findings look like.
func builtins() []builtin {
	return []builtin{
		{"email", func(c census) bool { return c.ats+c.percents > 0 && c.dots > 0 }, findEmails},
		{"ipv4", func(c census) bool { return c.dots >= 3 && c.digits >= 4 }, findIPv4},
		{"ipv6", func(c census) bool { return c.colons >= 2 }, findIPv6},
		{"phone", func(c census) bool { return c.digits >= 8 && c.pluses+c.percents+c.brackets > 0 }, findPhones},
		{"credit_card", func(c census) bool { return c.digits >= 14 }, findCards},
		{"iban", func(c census) bool { return c.digits >= 7 && c.length >= 15 }, findIBANs},
		{"jwt", func(c census) bool { return c.dots >= 2 && c.length >= 20 }, findJWTs},
		{"api_key", func(c census) bool { return c.length >= 15 }, findKeys},
	}
}

// Names returns the names of the detectors that are built in.
func Names() []string {
	var names []string
	for _, b := range builtins() {
		names = append(names, b.name)
	}
	return names
}

// census counts the characters of a value by what detectors need.
type census struct{ length, digits, dots, colons, ats, percents, pluses, brackets int }

func (c *census) take(s string) {
	c.length = len(s)
	for i := range len(s) {
		switch b := s[i]; {
		case isDigit(b):
			c.digits++
		case b == '.':
			c.dots++
		case b == ':':
			c.colons++
		case b == '@':
			c.ats++
		case b == '%':
			c.percents++
		case b == '+':
			c.pluses++
		case b == '(':
			c.brackets++
		}
	}
}

func isDigit(b byte) bool  { return b-'0' <= 9 }
func isLetter(b byte) bool { return b|0x20-'a' <= 'z'-'a' }
func isAlnum(b byte) bool  { return isDigit(b) || isLetter(b) }
func isHex(b byte) bool    { return isDigit(b) || b|0x20-'a' <= 'f'-'a' }

// before and after return the bytes around a part, 0 at the ends.
func before(s string, i int) byte {
	if i == 0 {
		return 0
	}
	return s[i-1]
}

func after(s string, i int) byte {
	if i >= len(s) {
		return 0
	}
	return s[i]
}
