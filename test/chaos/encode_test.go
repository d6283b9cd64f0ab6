package chaos

import (
	"strconv"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// startEveryMs is how often the start timestamp of a series changes, as if its process had started again.
const startEveryMs = 40 * stepMs

// startMs is the start timestamp of the sample at a time.
func startMs(ms int64) int64 { return ms/startEveryMs*startEveryMs - 1 }

// hasStarts tells whether a writer sends start timestamps, by Remote Write 2.0.
func hasStarts(writer int) bool { return writer%2 == 0 }

func contentType(b batch) string {
	if hasStarts(b.writer) {
		return "application/x-protobuf;proto=io.prometheus.write.v2.Request"
	}
	return "application/x-protobuf"
}

// encode makes the request of a batch: for each series a sample on each of three days.
func (l *load) encode(b batch) []byte {
	encode := l.encode1
	if hasStarts(b.writer) {
		encode = l.encode2
	}
	raw, err := encode(b)
	if err != nil {
		panic(err)
	}
	return snappy.Encode(nil, raw)
}

func (l *load) encode1(b batch) ([]byte, error) {
	req := prompb.WriteRequest{Metadata: []prompb.MetricMetadata{{MetricFamilyName: "chaos", Type: prompb.MetricMetadata_GAUGE, Help: "made up"}}}
	for i := range floatSeries + histograms {
		s := prompb.TimeSeries{Labels: prompb.FromLabels(seriesLabels(b, i), nil)}
		for d := range days {
			at := l.timeMs(b, d)
			switch asInt, asFloat := histogramOf(b, i, d); {
			case asInt != nil:
				s.Histograms = append(s.Histograms, prompb.FromIntHistogram(at, asInt))
			case asFloat != nil:
				s.Histograms = append(s.Histograms, prompb.FromFloatHistogram(at, asFloat))
			default:
				s.Samples = append(s.Samples, prompb.Sample{Timestamp: at, Value: value(b, i, d)})
			}
		}
		if i < floatSeries {
			step := []prompb.Label{{Name: "step", Value: strconv.Itoa(b.step)}}
			s.Exemplars = []prompb.Exemplar{{Labels: step, Value: 1, Timestamp: l.timeMs(b, 0)}}
		}
		req.Timeseries = append(req.Timeseries, s)
	}
	return req.Marshal()
}

func (l *load) encode2(b batch) ([]byte, error) {
	symbols := writev2.NewSymbolTable()
	var req writev2.Request
	for i := range floatSeries + histograms {
		s := writev2.TimeSeries{
			LabelsRefs: symbols.SymbolizeLabels(seriesLabels(b, i), nil),
			Metadata:   writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_GAUGE, HelpRef: symbols.Symbolize("made up")},
		}
		for d := range days {
			at := l.timeMs(b, d)
			switch asInt, asFloat := histogramOf(b, i, d); {
			case asInt != nil:
				s.Histograms = append(s.Histograms, writev2.FromIntHistogram(startMs(at), at, asInt))
			case asFloat != nil:
				s.Histograms = append(s.Histograms, writev2.FromFloatHistogram(startMs(at), at, asFloat))
			default:
				s.Samples = append(s.Samples, writev2.Sample{Timestamp: at, StartTimestamp: startMs(at), Value: value(b, i, d)})
			}
		}
		if i < floatSeries {
			step := symbols.SymbolizeLabels(labels.FromStrings("step", strconv.Itoa(b.step)), nil)
			s.Exemplars = []writev2.Exemplar{{LabelsRefs: step, Value: 1, Timestamp: l.timeMs(b, 0)}}
		}
		req.Timeseries = append(req.Timeseries, s)
	}
	req.Symbols = symbols.Symbols()
	return req.Marshal()
}

// seriesLabels are the labels of the i-th series of a batch; the histograms come after the floats.
func seriesLabels(b batch, i int) labels.Labels {
	name := "chaos"
	if i >= floatSeries {
		name = "chaos_histogram"
	}
	return labels.FromStrings("__name__", name, "i", strconv.Itoa(i), "point", b.label, "writer", strconv.Itoa(b.writer))
}

// histogramOf returns what the i-th series has on a day: one of the two for a histogram, none for a float.
func histogramOf(b batch, i, day int) (*histogram.Histogram, *histogram.FloatHistogram) {
	n, spans := histogramCount(b, day), []histogram.Span{{Offset: 0, Length: 1}}
	switch i {
	case floatSeries:
		return &histogram.Histogram{Count: uint64(n), Sum: n / 2, PositiveSpans: spans, PositiveBuckets: []int64{int64(n)}}, nil
	case floatSeries + 1:
		return nil, &histogram.FloatHistogram{Count: n, Sum: n / 2, PositiveSpans: spans, PositiveBuckets: []float64{n}}
	}
	return nil, nil
}
