package correlation

import (
	"slices"
	"strings"
)

// maxListed is how many ids a list shows.
const maxListed = 8

// List collects the ids of the requests that one piece of work is for, such as one write of many requests' rows. It
// holds the first eight different ones: more would not be read by anybody, and would be in every statement.
type List struct {
	ids  []string
	more bool
}

// Add adds an id. One that is not [Valid] is left out: it came from outside.
func (l *List) Add(id []byte) {
	if l.more || slices.ContainsFunc(l.ids, func(known string) bool { return known == string(id) }) {
		return
	}
	text := string(id)
	switch {
	case !Valid(text):
	case len(l.ids) == maxListed:
		l.more = true
	default:
		l.ids = append(l.ids, text)
	}
}

// String returns the ids with commas between them, and at the end three dots where there were more.
func (l *List) String() string {
	if l.more {
		return strings.Join(l.ids, ",") + ",..."
	}
	return strings.Join(l.ids, ",")
}
