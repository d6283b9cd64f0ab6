package codec

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/metricstream/metricstream/store"
)

// io.prometheus.write.v2.Request and the messages in it.
const (
	v2RequestSymbols    = 4
	v2RequestTimeseries = 5

	v2SeriesRefs       = 1
	v2SeriesSamples    = 2
	v2SeriesHistograms = 3
	v2SeriesExemplars  = 4
	v2SeriesMetadata   = 5
	v2SeriesCreated    = 6 // up to 2.0-rc.3; later versions have a start timestamp in each sample
)

// symbolsPerSeries bounds the symbols of a request by its series.
const symbolsPerSeries = 32

// symbol is a string of the request's table. Label sets are hashed by the hashes of their strings, because the
// references differ from request to request.
type symbol struct {
	text []byte
	hash hash128
}

func (h hash128) put(dst []byte) {
	binary.LittleEndian.PutUint64(dst, h.hi)
	binary.LittleEndian.PutUint64(dst[8:], h.lo)
}

func (r *Request) decodeV2(body []byte) error {
	if err := r.parseSymbols(body); err != nil {
		return err
	}
	in := reader{buf: body}
	series := 0
	for {
		field, wire, ok := in.next()
		if !ok {
			break
		}
		if field != v2RequestTimeseries {
			in.skip(wire)
			continue
		}
		msg := in.messageField(wire)
		if series++; series > r.decoder.limits.Series {
			return r.tooManySeries()
		}
		if in.err == nil {
			in.fail(r.seriesV2(msg))
		}
	}
	if in.err == nil && series == 0 && len(r.symbols) == 0 && len(body) > 0 {
		return store.Invalidf("the message has none of the fields of io.prometheus.write.v2.Request: does the Content-Type name the right message?")
	}
	return in.err
}

// parseSymbols reads the table of symbols, which may stand anywhere in the request.
func (r *Request) parseSymbols(body []byte) error {
	limit := symbolsPerSeries * r.decoder.limits.Series
	in := reader{buf: body}
	for {
		field, wire, ok := in.next()
		if !ok {
			break
		}
		if field != v2RequestSymbols {
			in.skip(wire)
			continue
		}
		text := in.messageField(wire)
		if len(r.symbols) >= limit {
			return store.Invalidf("%w: it has more than %d symbols", ErrTooMuch, limit)
		}
		r.symbols = append(r.symbols, symbol{text: text, hash: r.hashOf(text)})
	}
	if in.err == nil && len(r.symbols) > 0 && len(r.symbols[0].text) > 0 {
		return store.Invalidf("the first symbol is %s, but it has to be the empty string", r.showValue(label{value: r.symbols[0].text}))
	}
	return in.err
}

// headV2 is what a first walk over a TimeSeries message finds: what holds for all of its points, wherever in the
// message it stands. The references are in r.refs.
type headV2 struct {
	meta      metadataV2
	createdMs int64

	samples, histograms, exemplars int

	sample []byte // the last Sample message: nearly always the only point
}

func (r *Request) seriesV2(msg []byte) error {
	head, err := r.headV2(msg)
	if err != nil {
		return err
	}
	t, err := r.targetV2(&head)
	if err != nil {
		return err
	}
	if t.duplicate {
		return r.addDuplicates(Counts{Samples: head.samples, Histograms: head.histograms, Exemplars: head.exemplars})
	}
	if head.samples == 1 && head.histograms+head.exemplars == 0 {
		err = r.sample(&t, head.sample, V2, head.createdMs)
	} else {
		err = r.pointsV2(&t, msg, head.createdMs)
	}
	if err != nil {
		return err
	}
	r.addSeriesMetadata(&t, &head)
	r.close(&t)
	return nil
}

func (r *Request) headV2(msg []byte) (h headV2, _ error) {
	r.refs = r.refs[:0]
	in := reader{buf: msg}
	for {
		field, wire, ok := in.next()
		if !ok {
			return h, in.err
		}
		switch {
		case field == v2SeriesRefs:
			r.appendRefs(&in, wire)
		case field == v2SeriesMetadata:
			if m := in.messageField(wire); in.err == nil {
				in.fail(h.meta.parse(m))
			}
		case field == v2SeriesCreated && wire == wireVarint:
			h.createdMs = int64(in.varint())
		case field == v2SeriesSamples:
			h.samples++
			h.sample = in.messageField(wire)
		case field == v2SeriesHistograms:
			h.histograms++
			in.messageField(wire)
		case field == v2SeriesExemplars:
			h.exemplars++
			in.messageField(wire)
		default:
			in.skip(wire)
		}
	}
}

func (r *Request) pointsV2(t *target, msg []byte, createdMs int64) error {
	in := reader{buf: msg}
	for {
		field, wire, ok := in.next()
		if !ok {
			return in.err
		}
		switch field {
		case v2SeriesSamples:
			in.fail(r.sample(t, in.bytes(), V2, createdMs))
		case v2SeriesHistograms:
			in.fail(r.histogram(t, in.bytes(), V2, createdMs))
		case v2SeriesExemplars:
			in.fail(r.exemplarV2(t, in.bytes()))
		default:
			in.skip(wire)
		}
	}
}

// targetV2 returns the target for the label set in r.refs.
func (r *Request) targetV2(h *headV2) (target, error) {
	r.hashRefs()
	t, err := r.lookup(r.hashOf(r.raw), func() (refusal, error) { return r.labelsOfRefs(), nil })
	if empty := h.samples+h.histograms+h.exemplars == 0 && !h.meta.says(); err == nil && empty && t.series != nil && !t.duplicate {
		ls := t.series.labels
		r.refuse(&t, EmptySeries, func() (string, string) {
			series := r.showSeries(ls)
			return series, fmt.Sprintf("series %s has neither samples nor histograms nor exemplars nor metadata", series)
		})
	}
	return t, err
}

// hashRefs sets r.raw to the hashes of the strings that r.refs stand for. Where they stand for none it is empty,
// which is the hash of no series that is remembered: labelsOfRefs will find what is wrong.
func (r *Request) hashRefs() {
	if len(r.refs) > r.maxRefs() {
		r.raw = r.raw[:0]
		return
	}
	r.raw = slices.Grow(r.raw[:0], 16*len(r.refs))[:16*len(r.refs)]
	for i, ref := range r.refs {
		if ref >= uint32(len(r.symbols)) {
			r.raw = r.raw[:0]
			return
		}
		r.symbols[ref].hash.put(r.raw[16*i:])
	}
}

// maxRefs is how many references a label set may have. It leaves room for labels without a value, which do not
// count as labels.
func (r *Request) maxRefs() int { return 8 * r.decoder.limits.Labels }

// labelsOfRefs adds the labels that r.refs stand for to r.labels.
func (r *Request) labelsOfRefs() refusal {
	if len(r.refs) > r.maxRefs() {
		return refused(TooManyLabels, 0)
	}
	n := uint32(len(r.symbols))
	for i := 0; i+1 < len(r.refs); i += 2 {
		name, value := r.refs[i], r.refs[i+1]
		if name >= n || value >= n {
			return refused(BadSymbolRef, i)
		}
		r.addLabel(label{r.symbols[name].text, r.symbols[value].text})
	}
	if len(r.refs)%2 != 0 {
		return refused(BadSymbolRef, len(r.refs)-1)
	}
	return refusal{}
}

// appendRefs reads a field of labels_refs, packed or not, into r.refs, of which it keeps no more than it takes to
// see that there are too many.
func (r *Request) appendRefs(in *reader, wire int) {
	refs, limit := r.refs, r.maxRefs()
	if wire != wireBytes {
		if ref := uint32(in.varintField(wire)); len(refs) <= limit {
			r.refs = append(refs, ref)
		}
		return
	}
	list := in.bytes()
	for i := 0; i < len(list); {
		ref := uint32(list[i])
		switch {
		// References of one and two bytes by hand, as with the labels of 1.0.
		case ref < 0x80:
			i++
		case i+1 < len(list) && list[i+1] < 0x80:
			ref = ref&0x7f | uint32(list[i+1])<<7
			i += 2
		default:
			slow := reader{buf: list, pos: i}
			ref = uint32(slow.varint())
			if slow.err != nil {
				in.fail(slow.err)
				return
			}
			i = slow.pos
		}
		if len(refs) <= limit {
			refs = append(refs, ref)
		}
	}
	r.refs = refs
}
