package codec

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/metricstream/metricstream/store"
)

// outcome is what a request comes to, one line for each point, in order of the request and by kind.
type outcome struct {
	samples, histograms, exemplars []string
	metadata                       []string // sorted, each once
	refused                        bool
}

func (o *outcome) sample(tenant string, ls labels.Labels, t int64, v float64) {
	o.samples = append(o.samples, fmt.Sprintf("%s %s %d %x", tenant, ls, t, math.Float64bits(v)))
}

func (o *outcome) histogram(tenant string, ls labels.Labels, t int64, blob []byte) {
	o.histograms = append(o.histograms, fmt.Sprintf("%s %s %d %x", tenant, ls, t, blob))
}

func (o *outcome) exemplar(tenant string, ls, ex labels.Labels, t int64, v float64) {
	o.exemplars = append(o.exemplars, fmt.Sprintf("%s %s %s %d %x", tenant, ls, ex, t, math.Float64bits(v)))
}

func (o *outcome) meta(m store.Metadata) {
	o.metadata = append(o.metadata, fmt.Sprintf("%+q", []string{m.Tenant, m.Name, m.Type, m.Help, m.Unit}))
}

func (o *outcome) done() outcome {
	slices.Sort(o.metadata)
	o.metadata = slices.Compact(o.metadata)
	return *o
}

// outcomeOf reads a decoded request.
func outcomeOf(r *Request) outcome {
	var o outcome
	b := &r.Batch
	names := map[store.Key]store.Series{}
	for _, s := range b.Series {
		if _, twice := names[s.Key]; twice {
			o.samples = append(o.samples, "series listed twice: "+s.Labels.String())
		}
		names[s.Key] = s
	}
	for i := range b.Samples.Len() {
		s := names[store.Key{Metric: b.Samples.Metrics[i], ID: b.Samples.IDs[i]}]
		o.sample(s.Tenant, s.Labels, b.Samples.TimesMs[i], store.Decimal{Exp: b.Samples.Exps[i], Mant: b.Samples.Mants[i]}.Float())
	}
	for _, h := range b.Histograms {
		o.histogram(names[h.Key].Tenant, names[h.Key].Labels, h.TimeMs, h.Blob)
	}
	for _, e := range b.Exemplars {
		o.exemplar(names[e.Key].Tenant, names[e.Key].Labels, e.Labels, e.TimeMs, e.Value)
	}
	for _, m := range b.Metadata {
		o.meta(m)
	}
	o.refused = r.Rejected.Total() > 0
	return o.done()
}

// reference decodes a request with the generated types and the obvious rules.
type reference struct {
	outcome
	limits Limits
}

const testTenant = "tenant"

func referenceOf(v Version, body []byte) (outcome, error) {
	ref := reference{limits: testLimits()}
	if v == V1 {
		var req prompb.WriteRequest
		if err := req.Unmarshal(body); err != nil {
			return outcome{}, err
		}
		for _, ts := range req.Timeseries {
			ref.seriesV1(ts)
		}
		for _, m := range req.Metadata {
			ref.metadataV1(m)
		}
		return ref.done(), nil
	}
	var req writev2.Request
	if err := req.Unmarshal(body); err != nil {
		return outcome{}, err
	}
	for _, ts := range req.Timeseries {
		ref.seriesV2(ts, req.Symbols)
	}
	return ref.done(), nil
}

// labels returns the label set without empty values, and whether it is one. Exemplars need no name.
func (r *reference) labels(names, values []string, isSeries bool) (labels.Labels, bool) {
	var b labels.ScratchBuilder
	n := 0
	for i := range names {
		if values[i] == "" {
			continue
		}
		if isSeries && (len(names[i]) > r.limits.NameBytes || len(values[i]) > r.limits.ValueBytes) {
			return labels.EmptyLabels(), false
		}
		b.Add(names[i], values[i])
		n++
	}
	b.Sort()
	ls := b.Labels()
	if _, twice := ls.HasDuplicateLabelNames(); twice || !ls.IsValid(model.UTF8Validation) {
		return ls, false
	}
	if !isSeries {
		runes := 0
		ls.Range(func(l labels.Label) { runes += utf8.RuneCountInString(l.Name) + utf8.RuneCountInString(l.Value) })
		return ls, runes <= 128
	}
	return ls, ls.Has(labels.MetricName) && n <= r.limits.Labels
}

func (r *reference) timely(t int64) bool {
	if t < 0 || t < testNowMs-r.limits.AgeMs || t > testNowMs+r.limits.FutureMs {
		r.refused = true
		return false
	}
	return true
}

func splitV1(ls []prompb.Label) (names, values []string) {
	for _, l := range ls {
		names, values = append(names, l.Name), append(values, l.Value)
	}
	return names, values
}

func (r *reference) seriesV1(ts prompb.TimeSeries) {
	names, values := splitV1(ts.Labels)
	ls, ok := r.labels(names, values, true)
	if !ok {
		r.refused = true
		return
	}
	for _, s := range ts.Samples {
		if r.timely(s.Timestamp) {
			r.sample(testTenant, ls, s.Timestamp, s.Value)
		}
	}
	for _, h := range ts.Histograms {
		if h.ResetHint < 0 || h.ResetHint > 3 {
			h.ResetHint = 0
		}
		r.addHistogram(ls, h.Timestamp, h.ToIntHistogram(), h.IsFloatHistogram(), h.ToFloatHistogram)
	}
	for _, e := range ts.Exemplars {
		names, values := splitV1(e.Labels)
		r.addExemplar(ls, names, values, true, e.Timestamp, e.Value)
	}
}

func (r *reference) metadataV1(m prompb.MetricMetadata) {
	ok := m.MetricFamilyName != "" && len(m.MetricFamilyName) <= r.limits.ValueBytes
	for _, s := range []string{m.MetricFamilyName, m.Help, m.Unit} {
		ok = ok && utf8.ValidString(s)
	}
	if !ok {
		r.refused = true
		return
	}
	typ := strings.ToLower(m.Type.String())
	if _, known := prompb.MetricMetadata_MetricType_name[int32(m.Type)]; !known {
		typ = "unknown"
	}
	r.meta(store.Metadata{Tenant: testTenant, Name: m.MetricFamilyName, Type: typ, Help: m.Help, Unit: m.Unit})
}

func (r *reference) addHistogram(ls labels.Labels, t int64, ints *histogram.Histogram, isFloat bool, float func() *histogram.FloatHistogram) {
	var blob []byte
	var err error
	if isFloat {
		h := float()
		if len(h.CustomValues) == 0 {
			h.CustomValues = nil
		}
		if h.Schema > 8 && h.Schema <= 52 {
			err = h.ReduceResolution(8)
		}
		if err == nil {
			err = h.Validate()
		}
		blob = store.AppendFloatHistogram(nil, h)
	} else {
		if len(ints.CustomValues) == 0 {
			ints.CustomValues = nil
		}
		if ints.Schema > 8 && ints.Schema <= 52 {
			err = ints.ReduceResolution(8)
		}
		if err == nil {
			err = ints.Validate()
		}
		blob = store.AppendHistogram(nil, ints)
	}
	if err != nil {
		r.refused = true
		return
	}
	if r.timely(t) {
		r.histogram(testTenant, ls, t, blob)
	}
}

func (r *reference) addExemplar(ls labels.Labels, names, values []string, ok bool, t int64, v float64) {
	ex, valid := r.labels(names, values, false)
	if !ok || !valid {
		r.refused = true
		return
	}
	if r.timely(t) {
		r.exemplar(testTenant, ls, ex, t, v)
	}
}

func splitV2(refs []uint32, symbols []string) (names, values []string, ok bool) {
	if len(refs)%2 != 0 {
		return nil, nil, false
	}
	for i, ref := range refs {
		if int(ref) >= len(symbols) {
			return nil, nil, false
		}
		if i%2 == 0 {
			names = append(names, symbols[ref])
		} else {
			values = append(values, symbols[ref])
		}
	}
	return names, values, true
}

func (r *reference) seriesV2(ts writev2.TimeSeries, symbols []string) {
	names, values, ok := splitV2(ts.LabelsRefs, symbols)
	ls, valid := r.labels(names, values, true)
	m := ts.Metadata
	says := m.Type != 0 || m.HelpRef != 0 || m.UnitRef != 0
	if !ok || !valid || !says && len(ts.Samples)+len(ts.Histograms)+len(ts.Exemplars) == 0 {
		r.refused = true
		return
	}
	for _, s := range ts.Samples {
		if r.timely(s.Timestamp) {
			r.sample(testTenant, ls, s.Timestamp, s.Value)
		}
	}
	for _, h := range ts.Histograms {
		if h.ResetHint < 0 || h.ResetHint > 3 {
			h.ResetHint = 0
		}
		r.addHistogram(ls, h.Timestamp, h.ToIntHistogram(), h.IsFloatHistogram(), h.ToFloatHistogram)
	}
	for _, e := range ts.Exemplars {
		names, values, ok := splitV2(e.LabelsRefs, symbols)
		r.addExemplar(ls, names, values, ok, e.Timestamp, e.Value)
	}
	if !says {
		return
	}
	if int(m.HelpRef) >= len(symbols) || int(m.UnitRef) >= len(symbols) || !utf8.ValidString(symbols[m.HelpRef]) || !utf8.ValidString(symbols[m.UnitRef]) {
		r.refused = true
		return
	}
	typ := strings.ToLower(strings.TrimPrefix(m.Type.String(), "METRIC_TYPE_"))
	if _, known := writev2.Metadata_MetricType_name[int32(m.Type)]; !known || m.Type == 0 {
		typ = "unknown"
	}
	r.meta(store.Metadata{
		Tenant: testTenant, Name: family(ls.Get(labels.MetricName), typ, len(ts.Histograms)),
		Type: typ, Help: symbols[m.HelpRef], Unit: symbols[m.UnitRef],
	})
}
