package codec

import (
	"fmt"
	"strings"
	"unique"

	"github.com/metricstream/metricstream/pii"
	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/labels"
)

// Found is a kind of personal data that was found, without the data.
type Found struct {
	pii.Finding

	// Label is where: a label of a series or of an exemplar, or one of [pii.HelpLabel] and [pii.UnitLabel].
	Label string

	// Metric is the metric's name as it is stored, empty where personal data stands in it, or all of it was refused.
	Metric string
}

// maxKeptFound is how large Found may be to be used again.
const maxKeptFound = 1000

// personal is why a series, or a part of one, is refused. It shows nothing that was found.
type personal struct{ series, detail string }

var nameLabel = []byte(labels.MetricName)

// treatLabels does with r.labels, those of a series, what the policy says. It returns why the series is refused, nil where it is
// not.
func (r *Request) treatLabels() *personal {
	if !r.Privacy.Active() {
		return nil
	}
	name := unsafeString(r.labels[r.labelAt(labels.MetricName)].value)
	refusing := r.treatEach(r.Privacy.Treat(pii.NameLabel, name).Value)
	if refusing == "" {
		return nil
	}
	series := r.showLabels(r.labels)
	return &personal{series, fmt.Sprintf("series %s has personal data: %s", series, refusing)}
}

// treatEach does with each of r.labels what the policy says, and notes what is found. It returns which labels are refused, and
// for what; the others have been treated also then.
func (r *Request) treatEach(metric string) (refusing string) {
	kept := r.labels[:0]
	for _, l := range r.labels {
		res := r.Privacy.Treat(unsafeString(l.name), unsafeString(l.value))
		r.note(res.Found, string(l.name), metric)
		switch res.Verdict {
		case pii.Change:
			l.value = []byte(res.Value)
		case pii.Leave:
			continue
		case pii.Reject:
			refusing += r.refusing(res.Found, string(l.name))
		}
		kept = append(kept, l)
	}
	r.labels = kept
	return strings.TrimPrefix(refusing, ", ")
}

// refusing says which detectors found something in a label.
func (r *Request) refusing(set pii.Set, label string) (text string) {
	for f := range r.Privacy.Findings(set) {
		text += fmt.Sprintf(", %s in %s", f.Detector, show([]byte(label)))
	}
	return text
}

// note counts findings. metric is the name as it will be stored.
func (r *Request) note(set pii.Set, label, metric string) {
	if set == 0 {
		return
	}
	if r.Privacy.Hide(pii.NameLabel, metric) != metric {
		metric = ""
	}
	if r.Found == nil {
		r.Found = make(map[Found]int)
	}
	metric = strings.Clone(metric)
	for f := range r.Privacy.Findings(set) {
		r.Found[Found{f, label, metric}]++
	}
}

// rememberPersonal returns what a label set leads to that is refused, and remembers it: its next sample is refused without
// another look.
func (r *Request) rememberPersonal(h hash128, pair unique.Handle[Pair], p *personal) sighting {
	c := r.decoder.cache
	c.misses.Add(1)
	s := sighting{&series{tenant: r.tenant, personal: p}, pair}
	s.series.usedMs.Store(r.nowMs)
	c.remember(h, s, r.nowMs)
	return s
}

func (r *Request) refusePersonal(t *target) {
	p := t.series.personal
	r.refuse(t, PersonalData, func() (string, string) { return p.series, p.detail })
}

// treatExemplar does with r.labels, those of an exemplar, what the policy says; false is that it is refused.
func (r *Request) treatExemplar(t *target, timeMs int64) bool {
	if !r.Privacy.Active() {
		return true
	}
	refusing := r.treatEach(t.series.labels.Get(labels.MetricName))
	if refusing == "" {
		return true
	}
	r.Rejected.add(PersonalData, 1, func() (string, string) {
		series := r.showSeries(t.series.labels)
		return series, fmt.Sprintf("series %s has an exemplar at %d with personal data: %s", series, timeMs, refusing)
	})
	return false
}

// treatMetadata does with the texts of metadata what the policy says; false is that it is refused.
func (r *Request) treatMetadata(m *store.Metadata) bool {
	if !r.Privacy.Active() {
		return true
	}
	name := r.Privacy.Treat(pii.NameLabel, m.Name)
	refusing := ""
	for _, f := range []struct {
		label string
		value *string
	}{{pii.NameLabel, &m.Name}, {pii.HelpLabel, &m.Help}, {pii.UnitLabel, &m.Unit}} {
		res := r.Privacy.Treat(f.label, *f.value)
		r.note(res.Found, f.label, name.Value)
		*f.value = res.Value
		if res.Verdict == pii.Reject {
			refusing += r.refusing(res.Found, f.label)
		}
	}
	if refusing == "" {
		return true
	}
	r.Rejected.add(PersonalData, 1, func() (string, string) {
		series := show([]byte(name.Value))
		return series, fmt.Sprintf("metadata of %s has personal data: %s", series, strings.TrimPrefix(refusing, ", "))
	})
	return false
}

// showValue quotes the beginning of a label's value for a message, without personal data.
func (r *Request) showValue(l label) string {
	if !r.Privacy.Active() {
		return show(l.value)
	}
	if most := r.decoder.limits.ValueBytes; len(l.value) > most {
		return fmt.Sprintf("(%d bytes)", len(l.value)) // too much to be looked through for a message
	}
	return show([]byte(r.Privacy.Hide(string(l.name), string(l.value))))
}
