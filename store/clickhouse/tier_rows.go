package clickhouse

import (
	"math"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
)

// tierColumns are rows of a tier's table as the native protocol carries them. How a row is written is said in the schema.
type tierColumns struct {
	keys    keyColumns
	buckets proto.ColInt32
	vers    proto.ColUInt64
	ns      proto.ColUInt32
	flags   proto.ColUInt8
	classes proto.ColUInt8
	exps    proto.ColInt8

	last, firstD, prevD, minD, maxD, sumD, compD proto.ColInt64

	firstO, lastO, prevO, staleO, resets, changes proto.ColUInt32

	m2              proto.ColFloat64
	firstSt, lastSt proto.ColInt64
}

const minuteMs = 60_000

// append adds row i of a series; stepMs is the width of the tier's buckets.
func (c *tierColumns) append(k store.Key, class uint8, r *rollup.Rows, i int, ver uint64, stepMs int64) {
	c.keys.append(k)
	c.classes.Append(class)
	c.buckets.Append(int32(r.EndsMs[i] / minuteMs))
	c.vers.Append(ver)
	c.ns.Append(r.N[i])
	c.flags.Append(uint8(r.Flags[i]))
	c.appendTimes(r, i, stepMs)
	c.appendValues(r, i)
	c.resets.Append(r.Resets[i])
	c.changes.Append(r.Changes[i])
	c.m2.Append(rounded(r.M2[i]))
}

func (c *tierColumns) appendTimes(r *rollup.Rows, i int, stepMs int64) {
	o := offsetsOf(r.EndsMs[i], stepMs, r.N[i], r.FirstMs[i], r.LastMs[i], r.PrevMs[i], r.StaleMs[i])
	c.firstO.Append(o.first)
	c.lastO.Append(o.last)
	c.prevO.Append(o.prev)
	c.staleO.Append(o.stale)
	c.firstSt.Append(r.FirstStartMs[i])
	c.lastSt.Append(r.LastStartMs[i])
}

// offsets are the times of a row as the tables have them.
type offsets struct{ first, last, prev, stale uint32 }

func offsetsOf(endMs, stepMs int64, n uint32, firstMs, lastMs, prevMs, staleMs int64) (o offsets) {
	if begin := endMs - stepMs; staleMs > begin && staleMs <= endMs && staleMs != 0 {
		o.stale = uint32(endMs-staleMs) + 1
	}
	if n > 0 {
		o.first, o.last = uint32(firstMs-(endMs-stepMs)), uint32(endMs-lastMs)
	}
	if n > 1 {
		o.prev = uint32(lastMs - prevMs)
	}
	return o
}

// The places of a row's values in an array.
const (
	atLast = iota
	atFirst
	atPrev
	atMin
	atMax
	atSum
	atComp
	values
)

func (c *tierColumns) appendValues(r *rollup.Rows, i int) {
	var v [values]float64
	if r.N[i] > 0 {
		v = [values]float64{r.Last[i], r.First[i], r.Last[i], r.Min[i], r.Max[i], r.Sum[i], r.Comp[i]}
	}
	if r.N[i] > 1 {
		v[atPrev] = r.Prev[i]
	}
	m, exp := decimals(&v)
	c.exps.Append(exp)
	c.last.Append(m[atLast])
	if exp == store.RawExp {
		c.firstD.Append(m[atFirst] ^ m[atLast])
		c.prevD.Append(m[atPrev] ^ m[atLast])
		c.minD.Append(m[atMin] ^ m[atFirst])
		c.maxD.Append(m[atMax] ^ m[atLast])
		c.sumD.Append(m[atSum] ^ m[atLast])
		c.compD.Append(m[atComp] ^ m[atLast])
		return
	}
	c.firstD.Append(m[atLast] - m[atFirst])
	c.prevD.Append(m[atLast] - m[atPrev])
	c.minD.Append(m[atFirst] - m[atMin])
	c.maxD.Append(m[atMax] - m[atLast])
	c.sumD.Append(int64(r.N[i])*m[atLast] - m[atSum])
	c.compD.Append(int64(r.Resets[i])*m[atLast] - m[atComp])
}

// decimals returns the values with one exponent, or their bits where there is none for all.
func decimals(v *[values]float64) (m [values]int64, exp int8) {
	digits := uint8(0)
	for i := 0; i < values; {
		d, _ := store.DecimalOf(v[i], digits)
		switch {
		case d.Exp == store.RawExp || uint8(-d.Exp) < digits:
			return bitsOf(v), store.RawExp
		case uint8(-d.Exp) > digits && i > 0:
			digits, i = uint8(-d.Exp), 0 // the values before it need as many
			continue
		}
		digits = uint8(-d.Exp)
		m[i] = d.Mant
		i++
	}
	return m, -int8(digits)
}

func bitsOf(v *[values]float64) (m [values]int64) {
	for i := range v {
		m[i] = int64(math.Float64bits(v[i]))
	}
	return m
}
