package sqlgen

import (
	"github.com/prometheus/prometheus/model/labels"
)

// Series chooses series of a tenant.
type Series struct {
	Tenant   string
	Matchers []*labels.Matcher

	// FirstDay and LastDay bound the days in which the series have samples, both included.
	FirstDay, LastDay int32
}

// Select returns metric, id, labels and has of the series. A series may come several times.
func (s Series) Select() Statement {
	var b builder
	s.where(&b)
	return b.statement("SELECT metric, id, labels, toUInt8(has) AS kinds FROM series $WHERE")
}

// Names returns the label names of the series, sorted.
func (s Series) Names() Statement {
	var b builder
	if len(s.Matchers) == 0 {
		s.whereTenantAndDays(&b)
		return b.statement("SELECT DISTINCT label AS label_name FROM postings $WHERE ORDER BY label_name")
	}
	s.where(&b)
	return b.statement("SELECT DISTINCT arrayJoin(mapKeys(labels)) AS label_name FROM series $WHERE ORDER BY label_name")
}

// Values returns the values of one label of the series, sorted, without the empty one.
func (s Series) Values(label string) Statement {
	var b builder
	if len(s.Matchers) == 0 {
		s.whereTenantAndDays(&b)
		b.where("label = " + b.text(label))
		b.where("value != ''")
		return b.statement("SELECT DISTINCT value AS label_value FROM postings $WHERE ORDER BY label_value")
	}
	s.where(&b)
	col := column(&b, label)
	b.where(col + " != ''")
	return b.statement("SELECT DISTINCT toString(" + col + ") AS label_value FROM series $WHERE ORDER BY label_value")
}

func (s Series) where(b *builder) {
	s.whereTenantAndDays(b)
	for _, m := range s.Matchers {
		match(b, m)
	}
}

func (s Series) whereTenantAndDays(b *builder) {
	b.where("tenant = " + b.text(s.Tenant))
	b.where("first_day <= " + b.int64(int64(s.LastDay)))
	b.where("last_day >= " + b.int64(int64(s.FirstDay)))
}

// column is the value of a label. A label that a series does not have is the empty string, of PromQL and of
// ClickHouse's maps alike, so that no matcher needs a case for it.
func column(b *builder, label string) string {
	if label == labels.MetricName {
		return "name"
	}
	return "labels[" + b.text(label) + "]"
}

// match adds the condition of a matcher.
func match(b *builder, m *labels.Matcher) {
	switch m.Type {
	case labels.MatchEqual:
		b.where(column(b, m.Name) + " = " + b.text(m.Value))
	case labels.MatchNotEqual:
		b.where(column(b, m.Name) + " != " + b.text(m.Value))
	case labels.MatchRegexp:
		matchRegexp(b, m, "", "IN")
	case labels.MatchNotRegexp:
		matchRegexp(b, m, "NOT ", "NOT IN")
	}
}

// matchRegexp adds the condition of a regular expression. It is anchored at both ends and its dot matches a
// newline, as in Prometheus. A list of plain words, which is what Grafana's variables make, needs none.
func matchRegexp(b *builder, m *labels.Matcher, not, in string) {
	if set := m.SetMatches(); len(set) > 0 {
		b.where(column(b, m.Name) + " " + in + " " + b.texts(set))
		return
	}
	b.where(not + "match(" + column(b, m.Name) + ", " + b.text("^(?s:"+m.Value+")$") + ")")
}
