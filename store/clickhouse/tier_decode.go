package clickhouse

import (
	"math"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
)

// needs returns the columns that a read of some columns of rows needs; starts says whether a series has start timestamps.
func (c *tierColumns) needs(want rollup.Columns, starts bool) proto.Results {
	names := []string{"metric", "id", "bucket", "ver", "n", "flags", "stale_o"}
	add := func(of rollup.Columns, more ...string) {
		if want&of != 0 {
			names = append(names, more...)
		}
	}
	const values = rollup.FirstColumns | rollup.LastColumns | rollup.PrevColumns | rollup.SumColumn | rollup.MinColumn | rollup.MaxColumn | rollup.CompColumn
	add(values, "exp", "last")
	add(rollup.FirstColumns|rollup.MinColumn, "first_d")
	add(rollup.FirstColumns, "first_o")
	add(rollup.LastColumns|rollup.PrevColumns, "last_o")
	if starts {
		add(rollup.FirstColumns, "first_st")
		add(rollup.LastColumns, "last_st")
	}
	add(rollup.PrevColumns, "prev_d", "prev_o")
	add(rollup.SumColumn, "sum_d")
	add(rollup.MinColumn, "min_d")
	add(rollup.MaxColumn, "max_d")
	add(rollup.CompColumn, "comp_d")
	add(rollup.CompColumn|rollup.ResetsColumn, "resets")
	add(rollup.ChangesColumn, "changes")
	add(rollup.M2Column, "m2")
	all := c.columns()
	out := make(proto.Results, len(names))
	for i, name := range names {
		out[i] = proto.ResultColumn{Name: name, Data: all[name]}
	}
	return out
}

// rowsReader appends the rows of a block to a series' rows, column by column.
type rowsReader struct {
	c      *tierColumns
	want   rollup.Columns
	stepMs int64
	lastV  uint64 // the version of the last row that was appended
}

// appendRows appends rows i to j, which are of one series and in order of time. Of the rows of one bucket that with the
// greatest version stays.
func (d *rowsReader) appendRows(r *rollup.Rows, i, j int) {
	for i < j {
		if n := len(r.EndsMs); n > 0 && r.EndsMs[n-1] == int64(d.c.buckets[i])*minuteMs {
			if d.c.vers[i] < d.lastV {
				i++
				continue
			}
			truncate(r, n-1)
		}
		end := i + 1
		for end < j && d.c.buckets[end] != d.c.buckets[end-1] {
			end++
		}
		d.appendRun(r, i, end)
		d.lastV = d.c.vers[end-1]
		i = end
	}
}

// appendRun appends rows of different buckets.
func (d *rowsReader) appendRun(r *rollup.Rows, i, j int) {
	c := d.c
	for k := i; k < j; k++ {
		end := int64(c.buckets[k]) * minuteMs
		r.EndsMs = append(r.EndsMs, end)
		r.Flags = append(r.Flags, rollup.Flags(c.flags[k]))
		stale := int64(0)
		if o := c.staleO[k]; o != 0 {
			stale = end - int64(o-1)
		}
		r.StaleMs = append(r.StaleMs, stale)
	}
	r.N = append(r.N, c.ns[i:j]...)
	if d.want&rollup.ResetsColumn != 0 {
		r.Resets = append(r.Resets, c.resets[i:j]...)
	}
	if d.want&rollup.ChangesColumn != 0 {
		r.Changes = append(r.Changes, c.changes[i:j]...)
	}
	if d.want&rollup.M2Column != 0 {
		r.M2 = append(r.M2, c.m2[i:j]...)
	}
	d.appendTimes(r, i, j)
	d.appendValues(r, i, j)
}

func (d *rowsReader) appendTimes(r *rollup.Rows, i, j int) {
	c := d.c
	for k := i; k < j; k++ {
		end := int64(c.buckets[k]) * minuteMs
		if d.want&rollup.FirstColumns != 0 {
			r.FirstMs = append(r.FirstMs, timeIf(c.ns[k] > 0, end-d.stepMs+int64(c.firstO[k])))
			r.FirstStartMs = append(r.FirstStartMs, startOf(c.firstSt, k))
		}
		if d.want&rollup.LastColumns != 0 {
			r.LastMs = append(r.LastMs, timeIf(c.ns[k] > 0, end-int64(c.lastO[k])))
			r.LastStartMs = append(r.LastStartMs, startOf(c.lastSt, k))
		}
		if d.want&rollup.PrevColumns != 0 {
			r.PrevMs = append(r.PrevMs, timeIf(c.ns[k] > 1, end-int64(c.lastO[k])-int64(c.prevO[k])))
		}
	}
}

func timeIf(there bool, ms int64) int64 {
	if there {
		return ms
	}
	return 0
}

// startOf returns a start timestamp of a column that may not have been asked for.
func startOf(col proto.ColInt64, i int) int64 {
	if len(col) == 0 {
		return 0
	}
	return col[i]
}

func (d *rowsReader) appendValues(r *rollup.Rows, i, j int) {
	c := d.c
	first := func(k int) int64 { return c.against(k, c.last[k], c.firstD[k]) }
	if d.want&rollup.LastColumns != 0 {
		r.Last = c.appendFloats(r.Last, i, j, func(k int) int64 { return c.last[k] })
	}
	if d.want&rollup.FirstColumns != 0 {
		r.First = c.appendFloats(r.First, i, j, first)
	}
	if d.want&rollup.PrevColumns != 0 {
		r.Prev = c.appendFloats(r.Prev, i, j, func(k int) int64 {
			if c.ns[k] < 2 {
				return 0
			}
			return c.against(k, c.last[k], c.prevD[k])
		})
	}
	if d.want&rollup.MinColumn != 0 {
		r.Min = c.appendFloats(r.Min, i, j, func(k int) int64 { return c.against(k, first(k), c.minD[k]) })
	}
	if d.want&rollup.MaxColumn != 0 {
		r.Max = c.appendFloats(r.Max, i, j, func(k int) int64 {
			if c.exps[k] == store.RawExp {
				return c.last[k] ^ c.maxD[k]
			}
			return c.last[k] + c.maxD[k]
		})
	}
	if d.want&rollup.SumColumn != 0 {
		r.Sum = c.appendFloats(r.Sum, i, j, func(k int) int64 { return c.product(k, c.ns[k], c.sumD[k]) })
	}
	if d.want&rollup.CompColumn != 0 {
		r.Comp = c.appendFloats(r.Comp, i, j, func(k int) int64 { return c.product(k, c.resets[k], c.compD[k]) })
	}
}

// against is the mantissa that is stored as its difference to another.
func (c *tierColumns) against(k int, other, d int64) int64 {
	if c.exps[k] == store.RawExp {
		return other ^ d
	}
	return other - d
}

// product is the mantissa that is stored as its difference to a multiple of the last.
func (c *tierColumns) product(k int, times uint32, d int64) int64 {
	if c.exps[k] == store.RawExp {
		return c.last[k] ^ d
	}
	return int64(times)*c.last[k] - d
}

func (c *tierColumns) appendFloats(dst []float64, i, j int, mant func(k int) int64) []float64 {
	for k := i; k < j; k++ {
		dst = append(dst, store.Decimal{Exp: c.exps[k], Mant: mant(k)}.Float())
	}
	return dst
}

// truncate leaves the first n rows.
func truncate(r *rollup.Rows, n int) {
	r.EndsMs, r.N, r.Flags, r.StaleMs = cut(r.EndsMs, n), cut(r.N, n), cut(r.Flags, n), cut(r.StaleMs, n)
	r.FirstMs, r.LastMs, r.PrevMs = cut(r.FirstMs, n), cut(r.LastMs, n), cut(r.PrevMs, n)
	r.First, r.Last, r.Prev = cut(r.First, n), cut(r.Last, n), cut(r.Prev, n)
	r.FirstStartMs, r.LastStartMs = cut(r.FirstStartMs, n), cut(r.LastStartMs, n)
	r.Sum, r.Min, r.Max, r.Comp = cut(r.Sum, n), cut(r.Min, n), cut(r.Max, n), cut(r.Comp, n)
	r.Resets, r.Changes, r.M2 = cut(r.Resets, n), cut(r.Changes, n), cut(r.M2, n)
}

// cut shortens a column that may not be there.
func cut[T any](col []T, n int) []T { return col[:min(n, len(col))] }

// rounded keeps 44 bits of a number's fraction: the other eight are noise of the computation and do not compress.
func rounded(v float64) float64 {
	const noise = 1<<8 - 1
	if math.IsInf(v, 0) || v != v {
		return v
	}
	return math.Float64frombits((math.Float64bits(v) + noise/2 + 1) &^ noise)
}
