package codec

import (
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
)

// explainSeries returns the label set in r.labels, and why it is refused.
func (r *Request) explainSeries(bad refusal) (series, detail string) {
	if bad.why != BadSymbolRef {
		series = r.showLabels(r.labels)
	}
	return series, r.explain(bad)
}

// explain puts the refusal of the label set in r.labels, or in r.refs, into words.
func (r *Request) explain(bad refusal) string {
	switch bad.why {
	case BadSymbolRef:
		return r.explainRefs(bad.at)
	case TooManyLabels:
		most := r.bounds.labels
		return fmt.Sprintf("series %s has more than %d labels; send fewer, or raise %s", r.showLabels(r.labels), most.Most, most.Setting())
	case NoMetricName:
		return fmt.Sprintf("series %s has no metric name: the label %s is missing or empty", r.showLabels(r.labels), labels.MetricName)
	}
	series, l := r.showLabels(r.labels), r.labels[bad.at]
	switch {
	case bad.why == DuplicateLabel:
		return fmt.Sprintf("series %s has the label %s twice", series, show(l.name))
	case bad.why == LabelTooLong:
		part, n, most := "name", len(l.name), r.bounds.nameBytes
		if n <= int(most.Most) {
			part, n, most = "value", len(l.value), r.bounds.valueBytes
		}
		return fmt.Sprintf("series %s has the label %s with a %s of %d bytes, more than %d; shorten it, or raise %s", series, show(l.name), part, n, most.Most, most.Setting())
	case len(l.name) == 0:
		return fmt.Sprintf("series %s has a label without a name", series)
	default:
		return fmt.Sprintf("series %s has a label that is not UTF-8: %s=%s", series, show(l.name), r.showValue(l))
	}
}

// explainRefs says what is wrong with the references from the one at an index on.
func (r *Request) explainRefs(at int) string {
	if at+1 >= len(r.refs) {
		return fmt.Sprintf("a label set has %d references to symbols, which is no even number", len(r.refs))
	}
	return fmt.Sprintf("a label set refers to the symbols %d and %d, but there are only %d", r.refs[at], r.refs[at+1], len(r.symbols))
}

func (r *Request) explainCollision(ls labels.Labels) (series, detail string) {
	series = r.showSeries(ls)
	return series, fmt.Sprintf("series %s has the same key as another series; change any of its labels", series)
}

const (
	maxShownLabels = 6
	maxShownBytes  = 40
)

// show quotes the beginning of a string for a message.
func show(b []byte) string {
	if len(b) > maxShownBytes {
		return fmt.Sprintf("%q...", b[:maxShownBytes])
	}
	return fmt.Sprintf("%q", b)
}

// showLabels shows the first labels of a series, the metric name before all others.
func (r *Request) showLabels(ls []label) string {
	var b []byte
	for _, l := range ls {
		if string(l.name) == labels.MetricName {
			b = append(b, r.showValue(l)...)
			break
		}
	}
	b = append(b, '{')
	shown := 0
	for _, l := range ls {
		if string(l.name) == labels.MetricName {
			continue
		}
		if shown == maxShownLabels {
			b = append(b, ", ..."...)
			break
		}
		if shown > 0 {
			b = append(b, ", "...)
		}
		b = append(append(append(b, show(l.name)...), '='), r.showValue(l)...)
		shown++
	}
	return string(append(b, '}'))
}

func (r *Request) showSeries(ls labels.Labels) string {
	var list []label
	ls.Range(func(l labels.Label) { list = append(list, label{[]byte(l.Name), []byte(l.Value)}) })
	return r.showLabels(list)
}
