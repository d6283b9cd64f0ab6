package clickhouse

import (
	"math"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
)

// needs returns the columns that a read of some columns of rows needs; starts says whether a series has start timestamps.
func (c *tierColumns) needs(want rollup.Columns, starts bool) proto.Results {
	names := []string{"metric", "id", "bucket", "ver", "n", "flags"}
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
	add(rollup.StaleColumn, "stale_o")
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

	// unversioned says that the versions were not read, twice that a bucket then turned out to have several rows.
	unversioned, twice bool

	first, space []int64 // mantissas
}

// appendRows appends rows i to j, which are of one series and in order of time. Of the rows of one bucket that with the
// greatest version stays.
func (d *rowsReader) appendRows(r *rollup.Rows, i, j int) {
	for i < j {
		if n := len(r.EndsMs); n > 0 && r.EndsMs[n-1] == int64(d.c.buckets[i])*minuteMs {
			if d.unversioned {
				d.twice = true
				return
			}
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
		if !d.unversioned {
			d.lastV = d.c.vers[end-1]
		}
		i = end
	}
}

// appendRun appends rows of different buckets.
func (d *rowsReader) appendRun(r *rollup.Rows, i, j int) {
	c := d.c
	ends, tail := grow(r.EndsMs, j-i)
	for k, b := range c.buckets[i:j] {
		tail[k] = int64(b) * minuteMs
	}
	r.EndsMs = ends
	flags, some := grow(r.Flags, j-i)
	for k, f := range c.flags[i:j] {
		some[k] = rollup.Flags(f)
	}
	r.Flags = flags
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
	d.appendTimes(r, tail, i, j)
	d.appendValues(r, i, j)
}

func (d *rowsReader) appendTimes(r *rollup.Rows, ends []int64, i, j int) {
	c := d.c
	ns := c.ns[i:j]
	var out []int64
	if d.want&rollup.FirstColumns != 0 {
		r.FirstMs, out = grow(r.FirstMs, j-i)
		for k, o := range c.firstO[i:j] {
			out[k] = timeIf(ns[k] > 0, ends[k]-d.stepMs+int64(o))
		}
		r.FirstStartMs = appendStarts(r.FirstStartMs, c.firstSt, i, j)
	}
	if d.want&rollup.LastColumns != 0 {
		r.LastMs, out = grow(r.LastMs, j-i)
		for k, o := range c.lastO[i:j] {
			out[k] = timeIf(ns[k] > 0, ends[k]-int64(o))
		}
		r.LastStartMs = appendStarts(r.LastStartMs, c.lastSt, i, j)
	}
	if d.want&rollup.PrevColumns != 0 {
		r.PrevMs, out = grow(r.PrevMs, j-i)
		lasts := c.lastO[i:j]
		for k, o := range c.prevO[i:j] {
			out[k] = timeIf(ns[k] > 1, ends[k]-int64(lasts[k])-int64(o))
		}
	}
	if d.want&rollup.StaleColumn != 0 {
		r.StaleMs, out = grow(r.StaleMs, j-i)
		for k, o := range c.staleO[i:j] {
			out[k] = timeIf(o != 0, ends[k]-int64(o)+1)
		}
	}
}

func timeIf(there bool, ms int64) int64 {
	if there {
		return ms
	}
	return 0
}

// appendStarts appends start timestamps, of a column that may not have been asked for because there are none.
func appendStarts(dst []int64, column proto.ColInt64, i, j int) []int64 {
	if len(column) > 0 {
		return append(dst, column[i:j]...)
	}
	dst, tail := grow(dst, j-i)
	clear(tail)
	return dst
}

// appendValues puts the values together again.
func (d *rowsReader) appendValues(r *rollup.Rows, i, j int) {
	const all = rollup.FirstColumns | rollup.LastColumns | rollup.PrevColumns | rollup.SumColumn | rollup.MinColumn | rollup.MaxColumn | rollup.CompColumn
	if d.want&all == 0 {
		return
	}
	for exps := d.c.exps; i < j; {
		same := i + 1
		for same < j && exps[same] == exps[i] {
			same++
		}
		d.appendAlike(r, i, same)
		i = same
	}
}

// appendAlike appends the values of rows that have the same exponent.
func (d *rowsReader) appendAlike(r *rollup.Rows, i, j int) {
	c, exp, last := d.c, d.c.exps[i], d.c.last[i:j]
	if d.want&rollup.LastColumns != 0 {
		r.Last = store.AppendFloats(r.Last, exp, last)
	}
	if d.want&(rollup.FirstColumns|rollup.MinColumn) != 0 {
		d.first = less(d.first, exp, last, c.firstD[i:j])
	}
	if d.want&rollup.FirstColumns != 0 {
		r.First = store.AppendFloats(r.First, exp, d.first)
	}
	if d.want&rollup.MinColumn != 0 {
		d.space = less(d.space, exp, d.first, c.minD[i:j])
		r.Min = store.AppendFloats(r.Min, exp, d.space)
	}
	if d.want&rollup.PrevColumns != 0 {
		d.space = less(d.space, exp, last, c.prevD[i:j])
		r.Prev = store.AppendFloats(r.Prev, exp, d.space)
		prev := r.Prev[len(r.Prev)-(j-i):]
		for k, n := range c.ns[i:j] {
			if n < 2 {
				prev[k] = 0
			}
		}
	}
	if d.want&rollup.MaxColumn != 0 {
		d.space = more(d.space, exp, last, c.maxD[i:j])
		r.Max = store.AppendFloats(r.Max, exp, d.space)
	}
	if d.want&rollup.SumColumn != 0 {
		d.space = product(d.space, exp, last, c.ns[i:j], c.sumD[i:j])
		r.Sum = store.AppendFloats(r.Sum, exp, d.space)
	}
	if d.want&rollup.CompColumn != 0 {
		d.space = product(d.space, exp, last, c.resets[i:j], c.compD[i:j])
		r.Comp = store.AppendFloats(r.Comp, exp, d.space)
	}
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
