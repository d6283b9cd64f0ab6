package codec

import (
	"bytes"
	"slices"
	"unicode/utf8"
	"unsafe"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/zeebo/xxh3"
)

// label is a label as it stands in the request.
type label struct{ name, value []byte }

// refusal says that a label set is refused, why, and which label or reference of it is to blame; the zero value is
// that it is not. The words are made only where they will be shown.
type refusal struct {
	refused bool
	why     Reason
	at      int
}

func refused(why Reason, at int) refusal { return refusal{refused: true, why: why, at: at} }

// lookup returns the target of a TimeSeries message whose labels have this hash. Only a label set that the cache
// does not have, or that was taken before it was too large, is parsed, by parse, which adds them to r.labels.
func (r *Request) lookup(h hash128, parse func() (refusal, error)) (target, error) {
	if s := r.decoder.cache.find(h, r.tenant, r.nowMs); s.series != nil && !(r.capped && s.series.shape.exceeds(r.shape)) {
		return r.targetOf(s)
	}
	t := target{slot: -1}
	r.labels = r.labels[:0]
	bad, err := parse()
	if err != nil {
		return t, err
	}
	if !bad.refused {
		bad = r.checkLabels()
	}
	if bad.refused {
		r.refuse(&t, bad.why, func() (string, string) { return r.explainSeries(bad) })
		return t, nil
	}
	pair := r.takePair()
	if p := r.treatLabels(); p != nil {
		return r.targetOf(r.rememberPersonal(h, pair, p))
	}
	ls := r.buildLabels()
	key := r.decoder.keyOf(r.tenant, ls)
	if !r.mayAdd(&t, key, ls) {
		return t, nil
	}
	s := r.decoder.cache.add(h, r.tenant, key, ls, pair, r.nowMs)
	if s == nil {
		r.refuse(&t, KeyCollision, func() (string, string) { return r.explainCollision(ls) })
		return t, nil
	}
	return r.targetOf(sighting{s, pair})
}

// addLabel appends a label to r.labels. A label without a value is the same as none. Of labels beyond the limit only
// the first is kept, for checkLabels to see: millions of them fit into a request.
func (r *Request) addLabel(l label) {
	if len(l.value) > 0 && len(r.labels) <= r.decoder.limits.Labels {
		r.labels = append(r.labels, l)
	}
}

// checkLabels sorts r.labels by name and validates them as the labels of a series.
func (r *Request) checkLabels() refusal {
	if !slices.IsSortedFunc(r.labels, byName) {
		slices.SortStableFunc(r.labels, byName)
	}
	limit := &r.shape
	if len(r.labels) > int(limit.labels) {
		return refused(TooManyLabels, 0)
	}
	named := false
	for i, l := range r.labels {
		switch {
		case len(l.name) > int(limit.nameBytes), len(l.value) > int(limit.valueBytes):
			return refused(LabelTooLong, i)
		case len(l.name) == 0, !utf8.Valid(l.name), !utf8.Valid(l.value):
			return refused(BadLabels, i)
		case i > 0 && bytes.Equal(l.name, r.labels[i-1].name):
			return refused(DuplicateLabel, i)
		}
		named = named || string(l.name) == labels.MetricName
	}
	if !named {
		return refused(NoMetricName, 0)
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
