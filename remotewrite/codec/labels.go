package codec

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"
	"unsafe"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/zeebo/xxh3"
)

// label is a label as it stands in the request.
type label struct{ name, value []byte }

// refusal says why a label set is refused; the zero value is none.
type refusal struct {
	why    Reason
	detail string
}

// lookup returns the target of a TimeSeries message whose labels have this hash. Only a label set that the cache
// does not have is parsed, by parse, which appends to r.labels.
func (r *Request) lookup(h hash128, parse func() (refusal, error)) (target, error) {
	if s := r.decoder.cache.find(h, r.tenant, r.nowMs); s != nil {
		return target{series: s, slot: -1}, nil
	}
	t := target{slot: -1}
	r.labels = r.labels[:0]
	bad, err := parse()
	if err != nil {
		return t, err
	}
	if bad.detail == "" {
		bad = r.checkLabels()
	}
	if bad.detail != "" {
		r.refuse(&t, bad.why, func() string { return bad.detail })
		return t, nil
	}
	ls := r.buildLabels()
	t.series = r.decoder.cache.add(h, r.tenant, r.decoder.keyOf(r.tenant, ls), ls, r.nowMs)
	if t.series == nil {
		r.refuse(&t, KeyCollision, collisionDetail(ls))
	}
	return t, nil
}

// checkLabels sorts r.labels by name, drops the labels without a value, which are the same as none, and validates
// the rest as the labels of a series.
func (r *Request) checkLabels() refusal {
	r.labels = slices.DeleteFunc(r.labels, func(l label) bool { return len(l.value) == 0 })
	if !slices.IsSortedFunc(r.labels, byName) {
		slices.SortStableFunc(r.labels, byName)
	}
	limits := &r.decoder.limits
	if len(r.labels) > limits.Labels {
		return refusal{TooManyLabels, fmt.Sprintf("series %s has %d labels, at most %d are allowed", showLabels(r.labels), len(r.labels), limits.Labels)}
	}
	named := false
	for i, l := range r.labels {
		switch {
		case len(l.name) == 0:
			return refusal{BadLabels, fmt.Sprintf("series %s has a label without a name", showLabels(r.labels))}
		case len(l.name) > limits.NameBytes:
			return refusal{LabelTooLong, fmt.Sprintf("series %s has a label name of %d bytes, at most %d are allowed", showLabels(r.labels), len(l.name), limits.NameBytes)}
		case len(l.value) > limits.ValueBytes:
			return refusal{LabelTooLong, fmt.Sprintf("series %s has a value of %d bytes for the label %s, at most %d are allowed", showLabels(r.labels), len(l.value), show(l.name), limits.ValueBytes)}
		case !utf8.Valid(l.name):
			return refusal{BadLabels, fmt.Sprintf("series %s has the label name %s, which is not UTF-8", showLabels(r.labels), show(l.name))}
		case !utf8.Valid(l.value):
			return refusal{BadLabels, fmt.Sprintf("series %s has a value of the label %s that is not UTF-8: %s", showLabels(r.labels), show(l.name), show(l.value))}
		case i > 0 && bytes.Equal(l.name, r.labels[i-1].name):
			return refusal{DuplicateLabel, fmt.Sprintf("series %s has the label %s twice", showLabels(r.labels), show(l.name))}
		}
		named = named || string(l.name) == labels.MetricName
	}
	if !named {
		return refusal{NoMetricName, fmt.Sprintf("series %s has no metric name: the label %s is missing or empty", showLabels(r.labels), labels.MetricName)}
	}
	return refusal{}
}

func byName(a, b label) int { return bytes.Compare(a.name, b.name) }

// buildLabels returns r.labels as labels of their own memory.
func (r *Request) buildLabels() labels.Labels {
	r.builder.Reset()
	r.builder.SetUnsafeAdd(true)
	for _, l := range r.labels {
		r.builder.Add(unsafeString(l.name), unsafeString(l.value))
	}
	ls := r.builder.Labels()
	r.builder.Reset()
	return ls
}

// unsafeString lets a string share the request's memory for as long as it is being looked at.
func unsafeString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func (r *Request) hashOf(b []byte) hash128 {
	h := xxh3.Hash128Seed(b, r.seed)
	return hash128{h.Hi, h.Lo}
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
func showLabels(ls []label) string {
	var b []byte
	for _, l := range ls {
		if string(l.name) == labels.MetricName {
			b = append(b, show(l.value)...)
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
		b = append(append(append(b, show(l.name)...), '='), show(l.value)...)
		shown++
	}
	return string(append(b, '}'))
}

func showSeries(ls labels.Labels) string {
	var list []label
	ls.Range(func(l labels.Label) { list = append(list, label{[]byte(l.Name), []byte(l.Value)}) })
	return showLabels(list)
}

func collisionDetail(ls labels.Labels) func() string {
	return func() string {
		return fmt.Sprintf("series %s has the same key as another series; change any of its labels", showSeries(ls))
	}
}
