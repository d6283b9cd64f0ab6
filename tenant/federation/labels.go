package federation

import (
	"slices"
	"strings"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant"
	"github.com/prometheus/prometheus/model/labels"
)

// Label is the label that says which tenant a series is of.
const Label = "__tenant_id__"

// movedPrefix is put before the name of a label whose place is taken.
const movedPrefix = "original_"

// moved returns the name that a label gets whose place is taken.
func moved(name string) string { return movedPrefix + name }

// isMoved reports whether a name is that of a label which may have been moved here.
func isMoved(name string) bool {
	before, ok := strings.CutSuffix(name, Label)
	return ok && before != "" && strings.ReplaceAll(before, movedPrefix, "") == ""
}

// mark adds the tenant to a series. A label that has this name already is moved, and one that has the name which that one
// gets too, so that different series stay different.
func mark(ls labels.Labels, id string) labels.Labels {
	b := labels.NewBuilder(ls)
	for name, value := Label, id; value != ""; name = moved(name) {
		before := ls.Get(name)
		b.Set(name, value)
		value = before
	}
	return b.Labels()
}

// part is a selection of one of several tenants.
type part struct {
	selection store.Selection

	// after are matchers of labels that may have been moved: they are looked at when the series is marked.
	after []*labels.Matcher
}

func (p part) tenant() string { return p.selection.Tenant }

// chooses reports whether a marked series is one of the selection's.
func (p part) chooses(ls labels.Labels) bool {
	return !slices.ContainsFunc(p.after, func(m *labels.Matcher) bool { return !m.Matches(ls.Get(m.Name)) })
}

// divide returns the selections of the tenants that the matchers choose, sorted by their names.
func divide(s store.Selection) []part {
	var ofTenants, after, rest []*labels.Matcher
	for _, m := range s.Matchers {
		switch {
		case m.Name == Label:
			ofTenants = append(ofTenants, m)
		case isMoved(m.Name):
			after = append(after, m)
		default:
			rest = append(rest, m)
		}
	}
	var parts []part
	for _, id := range tenant.Split(s.Tenant) {
		if slices.ContainsFunc(ofTenants, func(m *labels.Matcher) bool { return !m.Matches(id) }) {
			continue
		}
		one := s
		one.Tenant, one.Matchers = id, rest
		parts = append(parts, part{one, after})
	}
	return parts
}

// looksAtMoved reports whether a selection has matchers that only marked series can be compared with.
func looksAtMoved(ms []*labels.Matcher) bool {
	return slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return isMoved(m.Name) })
}
