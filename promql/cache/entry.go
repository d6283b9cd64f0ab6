package cache

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/cespare/xxhash/v2"
	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
)

// entry is what is remembered of a block. Its bytes never change.
//
// The format, all numbers little-endian: "MSQ1", the xxHash64 of the key that it is kept under and of all that follows, and 8
// bytes each of: the first and the
// last time, the step, the sum of changes, from when on raw samples were complete, when it was made; then the number of
// series as a uvarint. A series is the length of its labels and its labels, each a length and a string, names and values in
// turn; the number of floats and the floats; the number of histograms and these. A point is the number of steps, from the
// first time or from the point before, as a uvarint, and the value: 8 bytes, or a length and the encoding of
// store.AppendFloatHistogram.
type entry struct {
	times   span
	step    int64
	changes uint64
	rawFrom int64
	madeMs  int64
	series  []byte // their number and they
	bytes   []byte
}

const (
	magic     = "MSQ1"
	headerLen = len(magic) + 8 + 6*8
)

var errCorrupt = errors.New("the bytes are not those of a remembered answer")

// parse reads the entry of a key, but for its series, whose bytes are checked by their hash.
func parse(key string, b []byte) (*entry, error) {
	if len(b) < headerLen+1 || string(b[:len(magic)]) != magic || binary.LittleEndian.Uint64(b[len(magic):]) != hash(key, b) {
		return nil, errCorrupt
	}
	at := len(magic) + 8
	next := func() int64 {
		v := int64(binary.LittleEndian.Uint64(b[at:]))
		at += 8
		return v
	}
	e := &entry{bytes: b}
	e.times.from, e.times.to, e.step = next(), next(), next()
	e.changes, e.rawFrom, e.madeMs = uint64(next()), next(), next()
	e.series = b[at:]
	if e.step <= 0 || e.times.to < e.times.from || (e.times.to-e.times.from)%e.step != 0 {
		return nil, errCorrupt
	}
	return e, nil
}

// hash is what tells bytes that were written for a key from all others.
func hash(key string, b []byte) uint64 {
	h := xxhash.New()
	_, _ = h.WriteString(key)
	_, _ = h.Write(b[len(magic)+8:])
	return h.Sum64()
}

// sizeOf is about how many bytes the entry of some series has.
func sizeOf(series []promql.Series) int {
	size := headerLen + 16
	for i := range series {
		size += 64 + 9*len(series[i].Floats) + 256*len(series[i].Histograms)
	}
	return size
}

// encode returns the entry of a key with the series, which have no points outside its times.
func encode(key string, e entry, series []promql.Series) *entry {
	b := append(make([]byte, 0, sizeOf(series)), magic...)
	b = binary.LittleEndian.AppendUint64(b, 0)
	for _, v := range []int64{e.times.from, e.times.to, e.step, int64(e.changes), e.rawFrom, e.madeMs} {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	b = binary.AppendUvarint(b, uint64(len(series)))
	var space []byte
	for i := range series {
		s := &series[i]
		space = appendLabels(space[:0], s.Metric)
		b = append(binary.AppendUvarint(b, uint64(len(space))), space...)
		b = binary.AppendUvarint(b, uint64(len(s.Floats)))
		at := e.times.from
		for _, p := range s.Floats {
			b = binary.AppendUvarint(b, uint64((p.T-at)/e.step))
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(p.F))
			at = p.T
		}
		b = binary.AppendUvarint(b, uint64(len(s.Histograms)))
		at = e.times.from
		for _, p := range s.Histograms {
			b = binary.AppendUvarint(b, uint64((p.T-at)/e.step))
			space = store.AppendFloatHistogram(space[:0], p.H)
			b = append(binary.AppendUvarint(b, uint64(len(space))), space...)
			at = p.T
		}
	}
	binary.LittleEndian.PutUint64(b[len(magic):], hash(key, b))
	e.bytes, e.series = b, b[headerLen:]
	return &e
}

// appendLabels appends labels so that equal ones have equal bytes.
func appendLabels(dst []byte, ls labels.Labels) []byte {
	ls.Range(func(l labels.Label) {
		for _, s := range [...]string{l.Name, l.Value} {
			dst = append(binary.AppendUvarint(dst, uint64(len(s))), s...)
		}
	})
	return dst
}

func parseLabels(b []byte) (labels.Labels, error) {
	builder := labels.NewScratchBuilder(8)
	r := reader{b: b}
	for len(r.b) > 0 && !r.bad {
		name := string(r.bytes())
		builder.Add(name, string(r.bytes()))
	}
	if r.bad {
		return labels.Labels{}, errCorrupt
	}
	return builder.Labels(), nil
}

// reader takes bytes off the front; what is not there makes it bad.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) bytes() []byte { return r.take(r.uvarint()) }

func (r *reader) float() float64 {
	b := r.take(8)
	if b == nil {
		return 0
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

// each calls f for each series of the entry; add is called for its points within the times that are wanted.
func (e *entry) each(wanted span, f func(labels []byte) (*promql.Series, error)) error {
	r := reader{b: e.series}
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		s, err := f(r.bytes())
		if err != nil {
			return err
		}
		if err := e.points(&r, wanted, s); err != nil {
			return err
		}
	}
	if r.bad || len(r.b) > 0 {
		return errCorrupt
	}
	return nil
}

func (e *entry) points(r *reader, wanted span, s *promql.Series) error {
	at := e.times.from
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		at += int64(r.uvarint()) * e.step
		v := r.float()
		if at >= wanted.from && at <= wanted.to {
			s.Floats = append(s.Floats, promql.FPoint{T: at, F: v})
		}
	}
	at = e.times.from
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		at += int64(r.uvarint()) * e.step
		blob := r.bytes()
		if at < wanted.from || at > wanted.to {
			continue
		}
		h, err := parseHistogram(blob)
		if err != nil {
			return err
		}
		s.Histograms = append(s.Histograms, promql.HPoint{T: at, H: h})
	}
	if r.bad {
		return errCorrupt
	}
	return nil
}

func parseHistogram(blob []byte) (*histogram.FloatHistogram, error) {
	_, h, err := store.DecodeHistogram(blob)
	if err != nil || h == nil {
		return nil, errCorrupt
	}
	return h, nil
}
