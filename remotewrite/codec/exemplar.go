package codec

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/exemplar"
)

// The Exemplar messages differ only in how they hold the labels.
const (
	exemplarLabels = 1
	exemplarValue  = 2
	exemplarTime   = 3
)

// exemplarV1 decodes an Exemplar message of 1.0.
func (r *Request) exemplarV1(t *target, msg []byte) error {
	if err := r.count(); err != nil {
		return err
	}
	r.labels = r.labels[:0]
	var e store.Exemplar
	in := reader{buf: msg}
	for {
		field, wire, ok := in.next()
		if !ok {
			break
		}
		if field != exemplarLabels {
			in.exemplarField(&e, field, wire)
			continue
		}
		if raw := in.messageField(wire); in.err == nil {
			l, err := parseLabelV1(raw)
			in.fail(err)
			r.addLabel(l)
		}
	}
	if in.err != nil {
		return in.err
	}
	r.addExemplar(t, e, "")
	return nil
}

// exemplarV2 decodes an Exemplar message of 2.0.
func (r *Request) exemplarV2(t *target, msg []byte) error {
	if err := r.count(); err != nil {
		return err
	}
	r.refs = r.refs[:0]
	var e store.Exemplar
	in := reader{buf: msg}
	for {
		field, wire, ok := in.next()
		if !ok {
			break
		}
		if field == exemplarLabels {
			r.appendRefs(&in, wire)
			continue
		}
		in.exemplarField(&e, field, wire)
	}
	if in.err != nil {
		return in.err
	}
	r.labels = r.labels[:0]
	wrong := ""
	if bad := r.labelsOfRefs(); bad.refused {
		wrong = r.explain(bad)
	}
	r.addExemplar(t, e, wrong)
	return nil
}

func (r *reader) exemplarField(e *store.Exemplar, field int32, wire int) {
	switch field {
	case exemplarValue:
		e.Value = r.doubleField(wire)
	case exemplarTime:
		e.TimeMs = int64(r.varintField(wire))
	default:
		r.skip(wire)
	}
}

// addExemplar adds an exemplar with the labels in r.labels, unless something is wrong with it.
func (r *Request) addExemplar(t *target, e store.Exemplar, wrong string) {
	if t.series == nil {
		t.lost++
		return
	}
	if wrong == "" {
		wrong = r.checkExemplarLabels()
	}
	if wrong != "" {
		r.Rejected.add(BadExemplar, 1, func() (string, string) {
			series := r.showSeries(t.series.labels)
			return series, fmt.Sprintf("series %s has an exemplar at %d: %s", series, e.TimeMs, wrong)
		})
		return
	}
	if r.exemplarsFull() {
		r.Dropped.Exemplars++
		return
	}
	if !r.treatExemplar(t, e.TimeMs) {
		return
	}
	if r.open(t, e.TimeMs) < 0 {
		return
	}
	e.Key, e.Labels = t.series.key, r.buildLabels()
	r.Batch.Exemplars = append(r.Batch.Exemplars, e)
	r.Accepted.Exemplars++
}

// checkExemplarLabels sorts and validates r.labels as those of an exemplar, which has no metric name and, as
// OpenMetrics has it, at most 128 characters of labels. It returns what is wrong.
func (r *Request) checkExemplarLabels() string {
	if limit := r.decoder.limits.Labels; len(r.labels) > limit {
		return fmt.Sprintf("it has more than %d labels", limit)
	}
	slices.SortStableFunc(r.labels, byName)
	runes := 0
	for i, l := range r.labels {
		switch {
		case len(l.name) == 0:
			return "it has a label without a name"
		case !utf8.Valid(l.name), !utf8.Valid(l.value):
			return fmt.Sprintf("its label %s is not UTF-8", show(l.name))
		case i > 0 && bytes.Equal(l.name, r.labels[i-1].name):
			return fmt.Sprintf("it has the label %s twice", show(l.name))
		}
		runes += utf8.RuneCount(l.name) + utf8.RuneCount(l.value)
	}
	if runes > exemplar.ExemplarMaxLabelSetLength {
		return fmt.Sprintf("its labels have %d characters, at most %d are allowed", runes, exemplar.ExemplarMaxLabelSetLength)
	}
	return ""
}
