package record

import (
	"encoding/binary"
	"math"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/store"
)

// Encoder encodes batches. Its memory is kept between them. The zero value is ready; it may not be used by
// several goroutines at once.
type Encoder struct {
	refs    map[string]uint64
	symbols []string
	rows    []byte
}

// Append appends the record of everything in b except Progress, which is not data, and returns the longer
// slice. It keeps nothing of b.
func (e *Encoder) Append(dst []byte, b *store.Batch) []byte {
	if e.refs == nil {
		e.refs = make(map[string]uint64)
	}
	clear(e.refs)
	clear(e.symbols)
	e.symbols = e.symbols[:0]

	// The strings are known only when the rows that need them are encoded, and stand before them.
	e.rows = e.appendSeries(e.rows[:0], b.Series)
	e.rows = appendSamples(e.rows, &b.Samples)
	e.rows = appendStarts(e.rows, b.Starts)
	e.rows = appendHistograms(e.rows, b.Histograms)
	e.rows = e.appendExemplars(e.rows, b.Exemplars)
	e.rows = e.appendMetadata(e.rows, b.Metadata)

	if b.Class == 0 {
		dst = append(dst, version)
	} else {
		dst = append(dst, versionClass, b.Class)
	}
	dst = binary.AppendUvarint(dst, uint64(len(e.symbols)))
	for _, s := range e.symbols {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
	}
	for _, s := range e.symbols {
		dst = append(dst, s...)
	}
	return append(dst, e.rows...)
}

// ref returns the number of a string in the record's table.
func (e *Encoder) ref(s string) uint64 {
	if r, ok := e.refs[s]; ok {
		return r
	}
	r := uint64(len(e.symbols))
	e.refs[s] = r
	e.symbols = append(e.symbols, s)
	return r
}

func (e *Encoder) appendSeries(dst []byte, series []store.Series) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(series)))
	var lastMs int64
	for i := range series {
		s := &series[i]
		dst = binary.AppendUvarint(dst, e.ref(s.Tenant))
		dst = appendKey(dst, s.Key)
		dst = binary.AppendVarint(dst, s.MinMs-lastMs)
		dst = binary.AppendVarint(dst, s.MaxMs-s.MinMs)
		lastMs = s.MinMs
		dst = append(dst, byte(s.Has))
		dst = e.appendLabels(dst, s.Labels)
	}
	return dst
}

func (e *Encoder) appendLabels(dst []byte, ls labels.Labels) []byte {
	dst = binary.AppendUvarint(dst, uint64(ls.Len()))
	ls.Range(func(l labels.Label) {
		dst = binary.AppendUvarint(dst, e.ref(l.Name))
		dst = binary.AppendUvarint(dst, e.ref(l.Value))
	})
	return dst
}

func appendStarts(dst []byte, starts []store.Start) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(starts)))
	var lastMs int64
	for _, s := range starts {
		dst = appendKey(dst, s.Key)
		dst = binary.AppendVarint(dst, s.TimeMs-lastMs)
		dst = binary.AppendVarint(dst, s.StartMs)
		lastMs = s.TimeMs
	}
	return dst
}

func appendHistograms(dst []byte, hs []store.Histogram) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(hs)))
	var lastMs int64
	for i := range hs {
		h := &hs[i]
		dst = appendKey(dst, h.Key)
		dst = binary.AppendVarint(dst, h.TimeMs-lastMs)
		lastMs = h.TimeMs
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(h.Count))
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(h.Sum))
		dst = binary.AppendUvarint(dst, uint64(len(h.Blob)))
		dst = append(dst, h.Blob...)
	}
	return dst
}

func (e *Encoder) appendExemplars(dst []byte, exemplars []store.Exemplar) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(exemplars)))
	var lastMs int64
	for i := range exemplars {
		x := &exemplars[i]
		dst = appendKey(dst, x.Key)
		dst = binary.AppendVarint(dst, x.TimeMs-lastMs)
		lastMs = x.TimeMs
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(x.Value))
		dst = e.appendLabels(dst, x.Labels)
	}
	return dst
}

func (e *Encoder) appendMetadata(dst []byte, ms []store.Metadata) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(ms)))
	for i := range ms {
		m := &ms[i]
		for _, s := range [...]string{m.Tenant, m.Name, m.Type, m.Help, m.Unit} {
			dst = binary.AppendUvarint(dst, e.ref(s))
		}
	}
	return dst
}

func appendKey(dst []byte, k store.Key) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, k.Metric)
	return binary.LittleEndian.AppendUint64(dst, k.ID)
}
