package api

import (
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
)

// writeFamilies starts a new family wherever the name or the type changes.
func writeFamilies(enc expfmt.Encoder, format expfmt.Format, samples []federated) error {
	native := false
	switch format.FormatType() {
	case expfmt.TypeProtoDelim, expfmt.TypeProtoText, expfmt.TypeProtoCompact:
		native = true
	}
	var family *dto.MetricFamily
	for _, s := range samples {
		if s.h != nil && !native && !s.h.UsesCustomBuckets() {
			continue // text has no words for it
		}
		name, kind := s.labels.Get(labels.MetricName), familyType(s.h)
		if family != nil && (family.GetName() != name || family.GetType() != kind) {
			if err := enc.Encode(family); err != nil {
				return err
			}
			family = nil
		}
		if family == nil {
			family = &dto.MetricFamily{Name: &name, Type: &kind}
		}
		family.Metric = append(family.Metric, s.metric())
	}
	if family == nil {
		return nil
	}
	return enc.Encode(family)
}

func familyType(h *histogram.FloatHistogram) dto.MetricType {
	switch {
	case h == nil:
		return dto.MetricType_UNTYPED
	case h.CounterResetHint == histogram.GaugeType:
		return dto.MetricType_GAUGE_HISTOGRAM
	default:
		return dto.MetricType_HISTOGRAM
	}
}

// metric always has an instance label, if an empty one: else the scraping Prometheus would add its own.
func (s federated) metric() *dto.Metric {
	m := &dto.Metric{TimestampMs: &s.timeMs}
	instance := false
	s.labels.Range(func(l labels.Label) {
		if l.Name == labels.MetricName {
			return
		}
		instance = instance || l.Name == "instance"
		m.Label = append(m.Label, &dto.LabelPair{Name: &l.Name, Value: &l.Value})
	})
	if !instance {
		name, empty := "instance", ""
		m.Label = append(m.Label, &dto.LabelPair{Name: &name, Value: &empty})
	}
	switch {
	case s.h == nil:
		m.Untyped = &dto.Untyped{Value: &s.value}
	case s.h.UsesCustomBuckets():
		m.Histogram = classicHistogram(s.h)
	default:
		m.Histogram = nativeHistogram(s.h)
	}
	return m
}

func nativeHistogram(h *histogram.FloatHistogram) *dto.Histogram {
	return &dto.Histogram{
		SampleCountFloat: &h.Count,
		SampleSum:        &h.Sum,
		Schema:           &h.Schema,
		ZeroThreshold:    &h.ZeroThreshold,
		ZeroCountFloat:   &h.ZeroCount,
		NegativeSpan:     spans(h.NegativeSpans),
		NegativeCount:    h.NegativeBuckets,
		PositiveSpan:     spans(h.PositiveSpans),
		PositiveCount:    h.PositiveBuckets,
	}
}

func spans(all []histogram.Span) []*dto.BucketSpan {
	var out []*dto.BucketSpan
	for _, s := range all {
		out = append(out, &dto.BucketSpan{Offset: &s.Offset, Length: &s.Length})
	}
	return out
}

// classicHistogram turns custom buckets into classic, cumulative ones. The one without a bound is added by the
// encoder.
func classicHistogram(h *histogram.FloatHistogram) *dto.Histogram {
	counts := make([]float64, len(h.CustomValues)+1)
	for it := h.PositiveBucketIterator(); it.Next(); {
		if b := it.At(); b.Index >= 0 && int(b.Index) < len(counts) {
			counts[b.Index] += b.Count
		}
	}
	out := &dto.Histogram{SampleCountFloat: &h.Count, SampleSum: &h.Sum}
	var total float64
	for i, upper := range h.CustomValues {
		total += counts[i]
		count := total
		out.Bucket = append(out.Bucket, &dto.Bucket{CumulativeCountFloat: &count, UpperBound: &upper})
	}
	return out
}
