package clickhouse

import (
	"context"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/prometheus/prometheus/model/histogram"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse/sqlgen"
	"github.com/metricstream/metricstream/store/rollup"
)

// tierHistogramTables are the tables of histogram rows by tier.
var tierHistogramTables = map[rollup.Tier]string{rollup.Minute: "rollup_histograms_1m", rollup.Hour: "rollup_histograms_1h"}

// histogramColumns are rows of a tier's table of histograms.
type histogramColumns struct {
	keys    keyColumns
	buckets proto.ColInt32
	vers    proto.ColUInt64
	ns      proto.ColUInt32
	flags   proto.ColUInt8
	classes proto.ColUInt8

	first, last, prev, sum, comp proto.ColStr

	firstO, lastO, prevO, staleO, resets, changes proto.ColUInt32

	firstSt, lastSt proto.ColInt64

	blob []byte // scratch
}

// columns lists the columns in the order of the table.
func (c *histogramColumns) columns() proto.Input {
	return proto.Input{
		{Name: "metric", Data: &c.keys.metrics}, {Name: "id", Data: &c.keys.ids}, {Name: "bucket", Data: &c.buckets}, {Name: "ver", Data: &c.vers},
		{Name: "n", Data: &c.ns}, {Name: "flags", Data: &c.flags}, {Name: "first", Data: &c.first}, {Name: "last", Data: &c.last},
		{Name: "prev", Data: &c.prev}, {Name: "sum", Data: &c.sum}, {Name: "comp", Data: &c.comp}, {Name: "first_o", Data: &c.firstO},
		{Name: "last_o", Data: &c.lastO}, {Name: "prev_o", Data: &c.prevO}, {Name: "stale_o", Data: &c.staleO}, {Name: "resets", Data: &c.resets},
		{Name: "changes", Data: &c.changes}, {Name: "first_st", Data: &c.firstSt}, {Name: "last_st", Data: &c.lastSt},
		{Name: "class", Data: &c.classes},
	}
}

// needs returns the columns that a read of some columns of rows needs: the histograms are what costs.
func (c *histogramColumns) needs(want rollup.Columns) proto.Results {
	unwanted := map[string]bool{
		"first": want&rollup.FirstColumns == 0, "last": want&rollup.LastColumns == 0, "prev": want&rollup.PrevColumns == 0,
		"sum": want&rollup.SumColumn == 0, "comp": want&rollup.CompColumn == 0, "class": true,
	}
	var out proto.Results
	for _, col := range c.columns() {
		if !unwanted[col.Name] {
			out = append(out, proto.ResultColumn{Name: col.Name, Data: col.Data.(proto.Column)})
		}
	}
	return out
}

// append adds a row of a series.
func (c *histogramColumns) append(k store.Key, class uint8, r *rollup.HistogramRow, ver uint64, stepMs int64) {
	c.keys.append(k)
	c.classes.Append(class)
	c.buckets.Append(int32(r.EndMs / minuteMs))
	c.vers.Append(ver)
	c.ns.Append(r.N)
	c.flags.Append(uint8(r.Flags))
	o := offsetsOf(r.EndMs, stepMs, r.N, r.FirstMs, r.LastMs, r.PrevMs, r.StaleMs)
	c.firstO.Append(o.first)
	c.lastO.Append(o.last)
	c.prevO.Append(o.prev)
	c.staleO.Append(o.stale)
	for _, h := range []struct {
		col *proto.ColStr
		h   *histogram.FloatHistogram
	}{{&c.first, r.First}, {&c.last, r.Last}, {&c.prev, r.Prev}, {&c.sum, r.Sum}, {&c.comp, r.Comp}} {
		c.blob = c.blob[:0]
		if h.h != nil {
			c.blob = store.AppendFloatHistogram(c.blob, h.h)
		}
		h.col.AppendBytes(c.blob)
	}
	c.resets.Append(r.Resets)
	c.changes.Append(r.Changes)
	c.firstSt.Append(r.FirstStartMs)
	c.lastSt.Append(r.LastStartMs)
}

// row returns a row that was read.
func (c *histogramColumns) row(i int, stepMs int64) (r rollup.HistogramRow, err error) {
	end := int64(c.buckets[i]) * minuteMs
	r = rollup.HistogramRow{
		EndMs: end, N: c.ns[i], Flags: rollup.Flags(c.flags[i]), Resets: c.resets[i], Changes: c.changes[i],
		FirstStartMs: c.firstSt[i], LastStartMs: c.lastSt[i],
		FirstMs: timeIf(c.ns[i] > 0, end-stepMs+int64(c.firstO[i])),
		LastMs:  timeIf(c.ns[i] > 0, end-int64(c.lastO[i])),
		PrevMs:  timeIf(c.ns[i] > 1, end-int64(c.lastO[i])-int64(c.prevO[i])),
		StaleMs: timeIf(c.staleO[i] > 0, end-int64(c.staleO[i])+1),
	}
	for _, h := range []struct {
		col *proto.ColStr
		to  **histogram.FloatHistogram
	}{{&c.first, &r.First}, {&c.last, &r.Last}, {&c.prev, &r.Prev}, {&c.sum, &r.Sum}, {&c.comp, &r.Comp}} {
		if h.col.Rows() == 0 || len(h.col.RowBytes(i)) == 0 {
			continue
		}
		if _, *h.to, err = store.DecodeHistogram(h.col.RowBytes(i)); err != nil {
			return r, err
		}
	}
	return r, nil
}

// writeHistogramRows inserts the histogram rows of a fold.
func (s *Store) writeHistogramRows(ctx context.Context, b *rollup.Batch) error {
	var c histogramColumns
	for i := range b.Series {
		for j := range b.Series[i].Histograms {
			c.append(b.Series[i].Key, b.Series[i].Class, &b.Series[i].Histograms[j], b.Version, b.Tier.StepMs())
		}
	}
	return s.insert(ctx, tierHistogramTables[b.Tier], c.columns())
}

// readTierHistograms reads the histogram rows of the series that have histograms, each bucket's newest.
func (s *Store) readTierHistograms(ctx context.Context, sel rollup.Selection, found []foundSeries) (map[store.Key][]rollup.HistogramRow, error) {
	p := sqlgen.Points{Keys: keysWith(found, store.HasHistograms), MinMs: sel.MinMs, MaxMs: sel.MaxMs}
	if len(p.Keys) == 0 {
		return nil, nil
	}
	return s.readHistogramRows(ctx, sel, p)
}

// readHistogramRows reads histogram rows into memory.
func (s *Store) readHistogramRows(ctx context.Context, sel rollup.Selection, p sqlgen.Points) (map[store.Key][]rollup.HistogramRow, error) {
	var c histogramColumns
	columns := c.needs(sel.Columns)
	q := withKeys(p)
	q.Result = columns
	out := map[store.Key][]rollup.HistogramRow{}
	table := tierHistogramTables[sel.Tier]
	total, lastVer := 0, uint64(0)
	err := s.queryOn(ctx, s.besides, table, p.Tier(table, namesOf(columns), rollup.Windows{}), q, func(rows int) error {
		if total += rows; sel.MaxSamples > 0 && total > sel.MaxSamples {
			return samplesLimit(s.metrics.limits, sel.MaxSamples)
		}
		for i := range rows {
			k := store.Key{Metric: c.keys.metrics[i], ID: c.keys.ids[i]}
			list := out[k]
			if n := len(list); n > 0 && list[n-1].EndMs == int64(c.buckets[i])*minuteMs {
				if c.vers[i] < lastVer {
					continue
				}
				list = list[:n-1]
			}
			r, err := c.row(i, sel.Tier.StepMs())
			if err != nil {
				return err
			}
			out[k], lastVer = append(list, r), c.vers[i]
		}
		return nil
	})
	return out, err
}
