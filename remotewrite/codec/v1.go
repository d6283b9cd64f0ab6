package codec

import "github.com/metricstream/metricstream/store"

// prometheus.WriteRequest and the messages in it. Exemplars and histograms have files of their own.
const (
	v1RequestTimeseries = 1
	v1RequestMetadata   = 3

	v1SeriesLabels     = 1
	v1SeriesSamples    = 2
	v1SeriesExemplars  = 3
	v1SeriesHistograms = 4

	labelName  = 1
	labelValue = 2

	tagV1SeriesLabels = v1SeriesLabels<<3 | wireBytes
)

func (r *Request) decodeV1(body []byte) error {
	in := reader{buf: body}
	series, known := 0, len(body) == 0
	for {
		field, wire, ok := in.next()
		if !ok {
			break
		}
		switch field {
		case v1RequestTimeseries:
			known = true
			msg := in.messageField(wire)
			if series++; series > r.decoder.limits.Series {
				return r.tooManySeries()
			}
			if in.err == nil {
				in.fail(r.seriesV1(msg))
			}
		case v1RequestMetadata:
			known = true
			msg := in.messageField(wire)
			if in.err == nil {
				in.fail(r.metadataV1(msg))
			}
		default:
			in.skip(wire)
		}
	}
	if in.err == nil && !known {
		return store.Invalidf("the message has none of the fields of prometheus.WriteRequest: does the Content-Type name the right message?")
	}
	return in.err
}

func (r *Request) tooManySeries() error {
	return store.Invalidf("%w: it has more than %d series", ErrTooMuch, r.decoder.limits.Series)
}

// seriesV1 decodes a TimeSeries message in two walks: the first finds the labels, wherever in the message they
// stand, the second reads the points.
func (r *Request) seriesV1(msg []byte) error {
	raw, rest, err := r.rawLabelsV1(msg)
	if err != nil {
		return err
	}
	t, err := r.lookup(r.hashOf(raw), func() (refusal, error) { return refusal{}, r.parseLabelsV1(raw) })
	if err != nil {
		return err
	}
	if t.duplicate {
		return r.skipSeriesV1(msg[rest:])
	}
	in := reader{buf: msg, pos: rest}
	for {
		field, wire, ok := in.next()
		if !ok {
			break
		}
		switch field {
		case v1SeriesLabels:
			in.messageField(wire)
		case v1SeriesSamples:
			if sample := in.messageField(wire); in.err == nil {
				in.fail(r.sample(&t, sample, V1, 0))
			}
		case v1SeriesExemplars:
			if ex := in.messageField(wire); in.err == nil {
				in.fail(r.exemplarV1(&t, ex))
			}
		case v1SeriesHistograms:
			if h := in.messageField(wire); in.err == nil {
				in.fail(r.histogram(&t, h, V1, 0))
			}
		default:
			in.skip(wire)
		}
	}
	if in.err == nil {
		r.close(&t)
	}
	return in.err
}

// rawLabelsV1 returns the label fields of a TimeSeries message as they stand on the wire, tags included, and
// where the first other field begins. Senders write the labels first, so that nothing has to be copied.
func (r *Request) rawLabelsV1(msg []byte) (raw []byte, rest int, err error) {
	// The common case, by hand: it is a good part of all the work on a sample.
	for rest+1 < len(msg) && msg[rest] == tagV1SeriesLabels && msg[rest+1] < 0x80 {
		end := rest + 2 + int(msg[rest+1])
		if end > len(msg) {
			return nil, 0, errTruncated
		}
		rest = end
	}
	return r.rawLabelsSlow(msg, rest)
}

// rawLabelsSlow looks for more label fields behind those in front of msg[rest:].
func (r *Request) rawLabelsSlow(msg []byte, rest int) (raw []byte, _ int, err error) {
	raw = msg[:rest]
	scattered := false
	in := reader{buf: msg, pos: rest}
	for {
		start := in.pos
		field, wire, ok := in.next()
		if !ok {
			return raw, rest, in.err
		}
		if field != v1SeriesLabels {
			in.skip(wire)
			continue
		}
		in.messageField(wire)
		if in.err != nil {
			return nil, 0, in.err
		}
		if start == rest { // still in front, with a long length
			rest = in.pos
			raw = msg[:rest]
			continue
		}
		if !scattered {
			r.raw = append(r.raw[:0], raw...)
			scattered = true
		}
		r.raw = append(r.raw, msg[start:in.pos]...)
		raw = r.raw
	}
}

// parseLabelsV1 adds the labels of a list of label fields to r.labels.
func (r *Request) parseLabelsV1(raw []byte) error {
	in := reader{buf: raw}
	for {
		_, wire, ok := in.next()
		if !ok {
			return in.err
		}
		l, err := parseLabelV1(in.messageField(wire))
		in.fail(err)
		r.addLabel(l)
	}
}

func parseLabelV1(msg []byte) (label, error) {
	var l label
	in := reader{buf: msg}
	for {
		field, wire, ok := in.next()
		if !ok {
			return l, in.err
		}
		switch field {
		case labelName:
			l.name = in.messageField(wire)
		case labelValue:
			l.value = in.messageField(wire)
		default:
			in.skip(wire)
		}
	}
}
