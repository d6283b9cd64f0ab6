package record

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/metricstream/metricstream/store"
)

// appendSamples appends the sample columns. Neighbours with the same key are one run, so that a series'
// further samples cost no key; neighbouring runs with the same metric share it.
func appendSamples(dst []byte, s *store.Samples) []byte {
	n := s.Len()
	dst = binary.AppendUvarint(dst, uint64(n))
	if n == 0 {
		return dst
	}
	dst = slices.Grow(dst, 20*n)
	dst = appendRunLengths(dst, s)
	dst = appendMetrics(dst, s)
	for i, id := range s.IDs {
		if i == 0 || id != s.IDs[i-1] || s.Metrics[i] != s.Metrics[i-1] {
			dst = binary.LittleEndian.AppendUint64(dst, id)
		}
	}
	var lastMs int64
	for _, t := range s.TimesMs {
		dst = binary.AppendVarint(dst, t-lastMs)
		lastMs = t
	}
	dst = appendExps(dst, s.Exps)
	return appendMants(dst, s)
}

// appendRunLengths appends how many runs of one key there are and how many samples each has.
func appendRunLengths(dst []byte, s *store.Samples) []byte {
	runs := 1
	for i := 1; i < s.Len(); i++ {
		if s.IDs[i] != s.IDs[i-1] || s.Metrics[i] != s.Metrics[i-1] {
			runs++
		}
	}
	dst = binary.AppendUvarint(dst, uint64(runs))
	if runs == s.Len() {
		return append(dst, columnEqual)
	}
	dst = append(dst, columnPlain)
	begin := 0
	for i := 1; i <= s.Len(); i++ {
		if i == s.Len() || s.IDs[i] != s.IDs[i-1] || s.Metrics[i] != s.Metrics[i-1] {
			dst = binary.AppendUvarint(dst, uint64(i-begin))
			begin = i
		}
	}
	return dst
}

// appendMetrics appends the metrics with the number of runs of one key that each covers.
func appendMetrics(dst []byte, s *store.Samples) []byte {
	keys := uint64(1)
	for i := 1; i < s.Len(); i++ {
		switch {
		case s.Metrics[i] != s.Metrics[i-1]:
			dst = binary.LittleEndian.AppendUint32(dst, s.Metrics[i-1])
			dst = binary.AppendUvarint(dst, keys)
			keys = 1
		case s.IDs[i] != s.IDs[i-1]:
			keys++
		}
	}
	dst = binary.LittleEndian.AppendUint32(dst, s.Metrics[s.Len()-1])
	return binary.AppendUvarint(dst, keys)
}

func appendExps(dst []byte, exps []int8) []byte {
	for _, e := range exps {
		if e != exps[0] {
			dst = append(dst, columnPlain)
			for _, e := range exps {
				dst = append(dst, byte(e))
			}
			return dst
		}
	}
	return append(dst, columnEqual, byte(exps[0]))
}

// appendMants appends the mantissas: integers as varints, raw floats, which would be long ones, as they are.
func appendMants(dst []byte, s *store.Samples) []byte {
	for i, m := range s.Mants {
		if s.Exps[i] == store.RawExp {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(m))
		} else {
			dst = binary.AppendVarint(dst, m)
		}
	}
	return dst
}

// decodeSamples appends the samples to s. It reserves memory only for rows that the input is long enough for.
func (r *reader) decodeSamples(s *store.Samples) {
	n := r.count(2) // a time and a mantissa have at least a byte each
	if n == 0 {
		return
	}
	begin := s.Len()
	grow(s, n)
	r.decodeKeys(s.Metrics[begin:], s.IDs[begin:])
	r.decodeTimes(s.TimesMs[begin:])
	r.decodeExps(s.Exps[begin:])
	r.decodeMants(s.Mants[begin:], s.Exps[begin:])
}

func grow(s *store.Samples, n int) {
	n += s.Len()
	s.Metrics = slices.Grow(s.Metrics, n-len(s.Metrics))[:n]
	s.IDs = slices.Grow(s.IDs, n-len(s.IDs))[:n]
	s.TimesMs = slices.Grow(s.TimesMs, n-len(s.TimesMs))[:n]
	s.Exps = slices.Grow(s.Exps, n-len(s.Exps))[:n]
	s.Mants = slices.Grow(s.Mants, n-len(s.Mants))[:n]
}

func (r *reader) decodeKeys(metrics []uint32, ids []uint64) {
	runs := r.count(8)
	mode := r.byte()
	lengths := *r // read a second time, beside the ids
	switch {
	case mode == columnEqual && runs == len(ids):
	case mode == columnPlain && runs > 0:
		for range runs {
			r.uvarint()
		}
	default:
		r.fail("samples: %d runs of mode %d for %d samples", runs, mode, len(ids))
		return
	}
	metricRuns := *r // read a second time, beside the ids
	for left := runs; left > 0 && r.err == nil; {
		r.bytes(4)
		keys := r.uvarint()
		if keys == 0 || keys > uint64(left) {
			r.fail("samples: a metric covers %d of %d keys", keys, left)
			return
		}
		left -= int(keys)
	}
	block := r.bytes(8 * runs)
	if r.err != nil {
		return
	}
	if mode == columnEqual {
		fillKeys(metrics, ids, block, &metricRuns)
		return
	}
	r.fillRuns(metrics, ids, block, &metricRuns, &lengths)
}

// fillKeys fills in keys of one sample each.
func fillKeys(metrics []uint32, ids []uint64, block []byte, metricRuns *reader) {
	for i := range ids {
		ids[i] = binary.LittleEndian.Uint64(block[8*i:])
	}
	for len(metrics) > 0 {
		metric := binary.LittleEndian.Uint32(metricRuns.bytes(4))
		keys := int(metricRuns.uvarint())
		for i := range metrics[:keys] {
			metrics[i] = metric
		}
		metrics = metrics[keys:]
	}
}

// fillRuns fills in keys of several samples.
func (r *reader) fillRuns(metrics []uint32, ids []uint64, block []byte, metricRuns, lengths *reader) {
	var metric uint32
	var keys uint64
	for ; len(block) > 0; block = block[8:] {
		if keys == 0 {
			metric = binary.LittleEndian.Uint32(metricRuns.bytes(4))
			keys = metricRuns.uvarint()
		}
		keys--
		id := binary.LittleEndian.Uint64(block)
		n := lengths.uvarint()
		if n == 0 || n > uint64(len(ids)) {
			r.fail("samples: a run of %d, %d samples are left", n, len(ids))
			return
		}
		for i := range ids[:n] {
			ids[i], metrics[i] = id, metric
		}
		ids, metrics = ids[n:], metrics[n:]
	}
	if len(ids) > 0 {
		r.fail("samples: %d are in no run", len(ids))
	}
}

func (r *reader) decodeTimes(times []int64) {
	var t int64
	for i := range times {
		t += r.varint()
		times[i] = t
	}
}

func (r *reader) decodeExps(exps []int8) {
	switch mode := r.byte(); mode {
	case columnEqual:
		e := int8(r.byte())
		for i := range exps {
			exps[i] = e
		}
	case columnPlain:
		for i, b := range r.bytes(len(exps)) {
			exps[i] = int8(b)
		}
	default:
		r.fail("samples: exponents of mode %d", mode)
	}
}

func (r *reader) decodeMants(mants []int64, exps []int8) {
	for i := range mants {
		if exps[i] == store.RawExp {
			mants[i] = int64(r.fixed64())
		} else {
			mants[i] = r.varint()
		}
	}
}

func (r *reader) float() float64 { return math.Float64frombits(r.fixed64()) }
