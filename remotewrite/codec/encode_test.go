package codec

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
)

// encoder writes protobuf by hand: the generated marshalers leave out a -0, and write neither fields in another
// order nor lists that are not packed nor fields that nobody knows.
type encoder struct{ buf []byte }

func (e *encoder) tag(field, wire int) { e.buf = binary.AppendUvarint(e.buf, uint64(field<<3|wire)) }

func (e *encoder) varint(field int, v uint64) {
	e.tag(field, wireVarint)
	e.buf = binary.AppendUvarint(e.buf, v)
}

func (e *encoder) zigzag(field int, v int64) { e.varint(field, uint64(v)<<1^uint64(v>>63)) }

func (e *encoder) double(field int, v float64) {
	e.tag(field, wireFixed64)
	e.buf = binary.LittleEndian.AppendUint64(e.buf, math.Float64bits(v))
}

func (e *encoder) bytes(field int, b []byte) {
	e.tag(field, wireBytes)
	e.buf = binary.AppendUvarint(e.buf, uint64(len(b)))
	e.buf = append(e.buf, b...)
}

func (e *encoder) string(field int, s string) { e.bytes(field, []byte(s)) }

// generator writes random requests, nearly all of them valid protobuf with strange contents here and there.
type generator struct {
	*rand.Rand
	v Version
	// tame requests have only what the protocol allows.
	tame bool

	symbols []string
	refs    map[string]uint64
}

func newGenerator(seed uint64, v Version) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, 1)), v: v}
}

func (g *generator) odd(n int) bool { return !g.tame && g.IntN(n) == 0 }

// join writes the fields of a message, now and then in another order and with an unknown one among them.
func (g *generator) join(fields [][]byte) []byte {
	if g.odd(10) {
		g.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	}
	if g.odd(10) {
		fields = append(fields, g.unknown())
	}
	var msg []byte
	for _, f := range fields {
		msg = append(msg, f...)
	}
	return msg
}

func (g *generator) unknown() []byte {
	var e encoder
	field := 100 + g.IntN(100)
	switch g.IntN(5) {
	case 0:
		e.varint(field, g.Uint64())
	case 1:
		e.double(field, g.Float64())
	case 2:
		e.string(field, "unknown")
	case 3:
		e.tag(field, wireFixed32)
		e.buf = append(e.buf, 1, 2, 3, 4)
	case 4:
		e.tag(field, wireStartGroup)
		e.varint(1, 7)
		e.tag(2, wireStartGroup)
		e.tag(2, wireEndGroup)
		e.tag(field, wireEndGroup)
	}
	return e.buf
}

var oddFloats = []float64{
	0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64, 1 << 53, -1 << 60,
	math.Float64frombits(0x7ff0000000000002), math.Float64frombits(0x7ff8000000000001), math.Float64frombits(0xfff8dead0000beef),
}

func (g *generator) float() float64 {
	switch g.IntN(5) {
	case 0:
		return oddFloats[g.IntN(len(oddFloats))]
	case 1:
		return math.Float64frombits(g.Uint64())
	case 2:
		return float64(g.IntN(100000)) / 100
	default:
		return float64(g.IntN(1000))
	}
}

func (g *generator) time() int64 {
	switch {
	case g.odd(40):
		return testNowMs + testLimits().FutureMs + int64(g.IntN(3)) - 1
	case g.odd(40):
		return testNowMs - testLimits().AgeMs + int64(g.IntN(3)) - 1
	case g.odd(60):
		return int64(g.Uint64())
	default:
		return testNowMs - int64(g.IntN(100_000))
	}
}

var labelNames = []string{"a", "b", "job", "instance", "le", "größe", "dots.in.it", "zz"}

func (g *generator) text() string {
	switch {
	case g.odd(60):
		return "\xff\xfe"
	case g.odd(40):
		return ""
	case g.odd(200):
		return string(make([]byte, 5000))
	default:
		return string(rune('a'+g.IntN(5))) + string(rune('a'+g.IntN(26)))
	}
}

// labelSet returns names and values by turns.
func (g *generator) labelSet() []string {
	ls := []string{"__name__", "metric_" + string(rune('a'+g.IntN(8)))}
	if g.odd(40) {
		ls = ls[:0]
	}
	for _, name := range labelNames {
		if g.IntN(3) == 0 {
			ls = append(ls, name, g.text())
		}
	}
	if g.odd(40) {
		ls = append(ls, ls[:min(2, len(ls))]...)
	}
	if g.odd(60) {
		ls = append(ls, g.text(), "v")
	}
	if g.odd(20) {
		for i := 0; i+3 < len(ls); i += 4 {
			ls[i], ls[i+1], ls[i+2], ls[i+3] = ls[i+2], ls[i+3], ls[i], ls[i+1]
		}
	}
	return ls
}

func (g *generator) labelFields(ls []string) [][]byte {
	var fields [][]byte
	for i := 0; i < len(ls); i += 2 {
		var l, e encoder
		l.string(labelName, ls[i])
		l.string(labelValue, ls[i+1])
		e.bytes(1, l.buf)
		fields = append(fields, e.buf)
	}
	return fields
}

func (g *generator) ref(s string) uint64 {
	if g.odd(500) {
		return uint64(g.IntN(1 << 20))
	}
	if ref, ok := g.refs[s]; ok {
		return ref
	}
	ref := uint64(len(g.symbols))
	g.symbols, g.refs[s] = append(g.symbols, s), ref
	return ref
}

func (g *generator) refFields(ls []string) [][]byte {
	var e encoder
	var packed []byte
	unpacked := g.odd(20)
	for _, s := range ls {
		if ref := g.ref(s); unpacked {
			e.varint(1, ref)
		} else {
			packed = binary.AppendUvarint(packed, ref)
		}
	}
	if g.odd(300) {
		packed = append(packed, 0)
	}
	if !unpacked {
		e.bytes(1, packed)
	}
	return [][]byte{e.buf}
}

func (g *generator) sample() []byte {
	var value, time encoder
	value.double(sampleValue, g.float())
	time.varint(sampleTime, uint64(g.time()))
	fields := [][]byte{value.buf, time.buf}
	if g.v == V2 && g.IntN(3) == 0 {
		var start encoder
		start.varint(sampleStart, uint64(testNowMs-g.IntN(1000)))
		fields = append(fields, start.buf)
	}
	return g.join(fields)
}

func (g *generator) exemplar() []byte {
	var value, time encoder
	value.double(exemplarValue, g.float())
	time.varint(exemplarTime, uint64(g.time()))
	ls := []string{"trace_id", g.text()}
	if g.odd(20) {
		ls = append(ls, "long", string(make([]byte, 130)))
	}
	if g.odd(20) {
		ls = append(ls, ls[:2]...)
	}
	fields := g.labelFields(ls)
	if g.v == V2 {
		fields = g.refFields(ls)
	}
	return g.join(append(fields, value.buf, time.buf))
}

// histogram writes a histogram that is valid more often than not.
func (g *generator) histogram() []byte {
	var e encoder
	isFloat, custom := g.IntN(2) == 0, g.IntN(4) == 0
	n := g.IntN(6)
	schema := int64(g.IntN(9))
	if g.odd(10) {
		schema = int64(9 + g.IntN(44))
	}
	if g.odd(30) {
		schema = int64(g.IntN(200) - 100)
	}
	if custom {
		schema = -53
	}
	count := uint64(0)
	var deltas []int64
	var counts []float64
	for range n {
		c := uint64(g.IntN(20))
		count += c
		counts = append(counts, float64(c))
		if len(counts) == 1 {
			deltas = append(deltas, int64(c))
		} else {
			deltas = append(deltas, int64(c)-int64(counts[len(counts)-2]))
		}
	}
	if g.odd(20) {
		count++
	}
	if isFloat {
		e.double(histCountFloat, float64(count))
	} else {
		e.varint(histCountInt, count)
	}
	e.double(histSum, g.float())
	e.zigzag(histSchema, schema)
	if !custom {
		e.double(histZeroThreshold, 0.001)
		if isFloat {
			e.double(histZeroFloat, math.Copysign(0, -1))
		} else {
			e.varint(histZeroInt, 0)
		}
	}
	g.buckets(&e, isFloat, deltas, counts)
	if custom {
		for i := range n + g.IntN(3) {
			e.double(histCustomValues, float64(i))
		}
	}
	e.varint(histResetHint, uint64(g.IntN(4)))
	e.varint(histTime, uint64(g.time()))
	if g.v == V2 && g.IntN(3) == 0 {
		e.varint(histStart, uint64(testNowMs-g.IntN(1000)))
	}
	return g.join([][]byte{e.buf})
}

func (g *generator) buckets(e *encoder, isFloat bool, deltas []int64, counts []float64) {
	if n := len(counts); n > 0 {
		var s encoder
		if g.odd(4) {
			s.zigzag(spanOffset, int64(g.IntN(5)-1))
		}
		s.varint(spanLength, uint64(n))
		e.bytes(histPosSpans, s.buf)
	}
	var packed []byte
	switch {
	case isFloat && g.IntN(4) == 0:
		for _, c := range counts {
			e.double(histPosCounts, c)
		}
	case isFloat:
		for _, c := range counts {
			packed = binary.LittleEndian.AppendUint64(packed, math.Float64bits(c))
		}
		e.bytes(histPosCounts, packed)
	default:
		for _, d := range deltas {
			packed = binary.AppendUvarint(packed, uint64(d)<<1^uint64(d>>63))
		}
		e.bytes(histPosDeltas, packed)
	}
}

func (g *generator) series() []byte {
	samples, exemplars, histograms := v1SeriesSamples, v1SeriesExemplars, v1SeriesHistograms
	ls := g.labelSet()
	var fields [][]byte
	if g.v == V1 {
		fields = g.labelFields(ls)
	} else {
		samples, exemplars, histograms = v2SeriesSamples, v2SeriesExemplars, v2SeriesHistograms
		fields = g.refFields(ls)
	}
	add := func(n, field int, message func() []byte) {
		for range n {
			var e encoder
			e.bytes(field, message())
			fields = append(fields, e.buf)
		}
	}
	if g.IntN(3) > 0 || g.tame {
		add(1+g.IntN(3), samples, g.sample)
	} else {
		add(g.IntN(3), histograms, g.histogram)
	}
	add(max(0, g.IntN(6)-4), exemplars, g.exemplar)
	if g.v == V2 && g.IntN(2) == 0 {
		var m, e encoder
		m.varint(v2MetadataType, uint64(g.IntN(9)))
		m.varint(v2MetadataHelpRef, g.ref("help "+g.text()))
		m.varint(v2MetadataUnitRef, g.ref(g.text()))
		e.bytes(v2SeriesMetadata, m.buf)
		fields = append(fields, e.buf)
	}
	return g.join(fields)
}

func (g *generator) metadata() []byte {
	var e encoder
	e.varint(v1MetadataType, uint64(g.IntN(9)))
	e.string(v1MetadataName, g.text())
	e.string(v1MetadataHelp, g.text())
	e.string(v1MetadataUnit, g.text())
	return e.buf
}

// request writes a whole request.
func (g *generator) request() []byte {
	g.symbols, g.refs = []string{""}, map[string]uint64{"": 0}
	var fields [][]byte
	for range 1 + g.IntN(8) {
		var e encoder
		if g.v == V1 {
			e.bytes(v1RequestTimeseries, g.series())
		} else {
			e.bytes(v2RequestTimeseries, g.series())
		}
		fields = append(fields, e.buf)
	}
	for range g.IntN(3) {
		if g.v == V1 {
			var e encoder
			e.bytes(v1RequestMetadata, g.metadata())
			fields = append(fields, e.buf)
		}
	}
	msg := g.join(fields)
	if g.v == V2 {
		var e encoder
		for _, s := range g.symbols {
			e.string(v2RequestSymbols, s)
		}
		if g.odd(4) {
			return append(msg, e.buf...)
		}
		return append(e.buf, msg...)
	}
	return msg
}
